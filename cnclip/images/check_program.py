"""The program of a process that checks pictures: `python -m cnclip.images.check_program`.

It speaks through the socket that is its standard input, in frames: one byte for the kind, four for the
length, the content. The first frame that it gets is a JSON object, its settings; it answers READY. Each
further frame is a picture; the answer is KEEP, CHANGED with other bytes, or REFUSED with the reason.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from cnclip.errors import ImageError
from cnclip.images.reencode import check_picture, shrink

SETTINGS, PICTURE, READY, KEEP, CHANGED, REFUSED = range(6)
_HEAD = struct.Struct("<BI")
_PIECE_BYTES = 1 << 20
_MARGIN_SECONDS = 10

Prepare = Callable[[bytes], bytes | None]


def send_frame(connection: socket.socket, kind: int, content: bytes) -> None:
    """Send one frame.

    Raises:
        OSError: the other end is gone, or the connection's time is up.
    """
    connection.sendall(_HEAD.pack(kind, len(content)))
    connection.sendall(content)


def receive_frame(connection: socket.socket) -> tuple[int, bytes] | None:
    """(kind, content) of the next frame; None where the other end is gone.

    Raises:
        OSError: the connection's time is up.
    """
    head = _receive(connection, _HEAD.size)
    if head is None:
        return None
    kind, size = _HEAD.unpack(head)
    content = _receive(connection, size)
    return None if content is None else (kind, content)


def serve(prepare_by: Callable[[Mapping[str, Any]], Prepare]) -> None:
    """Answer until the other end is gone; a picture that takes too long ends the process.

    Args:
        prepare_by: makes, of the settings, what a picture goes through; that raises ImageError.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the builder's affair
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    connection = socket.socket(fileno=os.dup(0))
    first = receive_frame(connection)
    if first is None:
        return
    settings = json.loads(first[1])
    prepare = prepare_by(settings)
    send_frame(connection, READY, b"")
    while (frame := receive_frame(connection)) is not None:
        # a decoder that hangs outlives neither this nor its builder, killed or not: the kernel keeps the time
        signal.alarm(int(settings["limit_seconds"]) + _MARGIN_SECONDS)
        kind, content = _answer(prepare, frame[1])
        signal.alarm(0)
        try:
            send_frame(connection, kind, content)
        except OSError:
            return


def prepare_by(settings: Mapping[str, Any]) -> Prepare:
    """`check_picture`, or `shrink` where the settings have its arguments."""
    if settings.get("max_side") is None:
        return check_picture
    return partial(shrink, max_side=settings["max_side"], quality=settings["quality"])


def _answer(prepare: Prepare, data: bytes) -> tuple[int, bytes]:
    try:
        prepared = prepare(data)
    except ImageError as error:
        return REFUSED, error.what.encode(errors="replace")
    if prepared is None or prepared == data:
        return KEEP, b""
    return CHANGED, prepared


def _receive(connection: socket.socket, size: int) -> bytes | None:
    content = bytearray()
    while len(content) < size:
        piece = connection.recv(min(_PIECE_BYTES, size - len(content)))
        if not piece:
            return None
        content += piece
    return bytes(content)


if __name__ == "__main__":
    serve(prepare_by)
