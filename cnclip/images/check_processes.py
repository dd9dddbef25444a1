"""Pictures are decoded in processes of their own: what kills a decoder costs one picture, not the build."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnclip.errors import ImageError, ResourceError
from cnclip.images.check_program import (
    CHANGED,
    PICTURE,
    READY,
    REFUSED,
    SETTINGS,
    receive_frame,
    send_frame,
)

LIMIT_SECONDS = 20.0
_PATIENCE = 3  # times as long at the second attempt: a machine may have been busy, or asleep
_START_SECONDS = 60.0
_ROOT = Path(__file__).resolve().parents[2]  # so that the program finds this package
# -P: a file called like a module in the user's folder is not taken for it
_PROGRAM = (sys.executable, "-P", "-m", "cnclip.images.check_program")


class CheckProcesses:
    """Hands pictures to processes; called from several threads, each call has a process to itself.

    Processes are started when they are needed, one for each call at work at the same time. One that dies is
    replaced and its picture is tried once more, for it may not have been the picture's fault. They end with
    `close`, and also where their owner is killed.

    Args:
        settings: for the program, as JSON values; see check_program.prepare_by.
        limit_seconds: that one picture may take.
        command: the program.
    """

    def __init__(
        self,
        settings: Mapping[str, Any] | None = None,
        *,
        limit_seconds: float = LIMIT_SECONDS,
        command: Sequence[str] = _PROGRAM,
    ) -> None:
        self._settings = json.dumps({**(settings or {}), "limit_seconds": limit_seconds}).encode()
        self._limit_seconds = limit_seconds
        self._command = tuple(command)
        self._idle: list[_Process] = []
        self._all: set[_Process] = set()
        self._lock = threading.Lock()

    def __call__(self, data: bytes) -> bytes | None:
        """The bytes to store instead of a picture's own, None to keep those.

        Raises:
            ImageError: no picture, or one whose decoder crashed or took too long, twice.
            ResourceError: no process can be started.
        """
        for attempt in (1, 2):
            process = self._borrowed()
            try:
                kind, content = process.ask(data, self._limit_seconds * (_PATIENCE if attempt == 2 else 1))
            except TimeoutError:
                self._end(process)
                if attempt == 2:
                    raise ImageError(f"decoder took over {self._limit_seconds:g} s twice") from None
                continue
            except _DiedError as error:
                self._end(process)
                if attempt == 2:
                    raise ImageError(f"decoder crashed ({error})") from None
                continue
            with self._lock:
                self._idle.append(process)
            if kind == REFUSED:
                raise ImageError(content.decode())
            return content if kind == CHANGED else None
        raise AssertionError("two attempts at most")

    def close(self) -> None:
        """End all processes."""
        for process in list(self._all):
            self._end(process)

    def __enter__(self) -> CheckProcesses:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _borrowed(self) -> _Process:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        process = _Process(self._command)
        with self._lock:
            self._all.add(process)
        try:
            process.start(self._settings)
        except BaseException:
            self._end(process)
            raise
        return process

    def _end(self, process: _Process) -> None:
        with self._lock:
            self._all.discard(process)
            if process in self._idle:
                self._idle.remove(process)
        process.end()


class _DiedError(Exception):
    """The process is gone; the message says how."""


class _Process:
    """One process and the connection to it."""

    def __init__(self, command: Sequence[str]) -> None:
        self._errors = tempfile.TemporaryFile()
        self.last_words = ""
        self._connection, theirs = socket.socketpair()
        paths = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
        quiet = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        try:
            with theirs:
                self._popen = subprocess.Popen(
                    command,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=self._errors,
                    env={**os.environ, **quiet, "PYTHONPATH": paths},
                    start_new_session=True,  # Ctrl-C on the terminal is not for them
                )
        except OSError as error:
            self._connection.close()
            self._errors.close()
            raise ResourceError(
                f"cannot start a process that checks pictures: {error.strerror}",
                fix="allow more processes (ulimit -u), or give fewer --workers",
            ) from error

    def start(self, settings: bytes) -> None:
        """Wait until it is ready.

        Raises:
            ResourceError: it does not start.
        """
        self._connection.settimeout(_START_SECONDS)
        try:
            send_frame(self._connection, SETTINGS, settings)
            frame = receive_frame(self._connection)
        except OSError:
            frame = None
        if frame is None or frame[0] != READY:
            self.end()
            raise ResourceError(
                f"the process that checks pictures does not start: {self.last_words}",
                fix="free some memory, or repair the installation of Pillow",
            )

    def ask(self, data: bytes, limit_seconds: float) -> tuple[int, bytes]:
        """The answer to a picture.

        Raises:
            TimeoutError: none came in time.
            _DiedError: the process is gone.
        """
        end = time.monotonic() + limit_seconds
        self._connection.settimeout(limit_seconds)
        try:
            send_frame(self._connection, PICTURE, data)
            self._connection.settimeout(max(0.001, end - time.monotonic()))
            frame = receive_frame(self._connection)
        except TimeoutError:
            raise
        except OSError:
            frame = None
        if frame is None:
            raise _DiedError(self._how_it_died())
        return frame

    def end(self) -> None:
        """Kill it, if it still runs, and let go of all that belongs to it."""
        if not self._errors.closed:
            self._connection.close()
            self._popen.kill()
            self._popen.wait()
            self._errors.seek(0)
            lines = self._errors.read().decode(errors="replace").strip().splitlines()
            self.last_words = lines[-1] if lines else "it says nothing"
            self._errors.close()

    def _how_it_died(self) -> str:
        try:
            code = self._popen.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return "it does not answer"
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"
