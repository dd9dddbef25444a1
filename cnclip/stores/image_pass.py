"""The first pass of a build: every picture of a source is read, checked and written, in order."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from cnclip.errors import ImageError
from cnclip.stores.layout import IMAGE, IMAGE_ID, encode_record, row_key
from cnclip.stores.raw.rows import BadRow, RawImage, RowProblem, Source
from cnclip.stores.seen import REJECTED, Seen
from cnclip.stores.sinks import Sinks, Tick

Prepare = Callable[[bytes], bytes | None]


@dataclass(frozen=True)
class _Looked:
    """A picture that was read and checked, or one that needs no second look."""

    raw: RawImage
    data: bytes = b""
    digest: bytes = b""
    problem: str = ""
    repeats: bool = False


_Event = BadRow | _Looked | Future[_Looked]


class ImagePass:
    """Reads and checks pictures in several threads, writes them in the source's order.

    Args:
        sinks: where to.
        prepare: called with a picture's bytes in several threads: raises ImageError for bytes that are no
            picture, returns the bytes to store instead or None to keep them; None takes all bytes.
        workers: threads that read and check.
    """

    def __init__(self, sinks: Sinks, *, prepare: Prepare | None, workers: int) -> None:
        self._sinks = sinks
        self._rows = sinks.tally.image_rows
        self._prepare = prepare
        self._workers = workers
        self._queue: deque[_Event] = deque()
        self._in_flight: set[tuple[str, str]] = set()

    def run(self, source: Source, tick: Tick) -> None:
        """Write all pictures but those that were dealt with before a resume, which are not even read."""
        skipping = self._sinks.skipping()

        def is_new(row: BadRow | RawImage) -> bool:
            if skipping.has(_line(row)):
                tick("pictures", skipping.met)
                return False
            return True

        def report(bad: BadRow) -> None:
            if is_new(bad):
                self._offer(bad, tick)

        pool = ThreadPoolExecutor(self._workers)
        try:
            for raw in source.images(report):
                if is_new(raw):
                    repeats = self._repeats(raw)
                    self._offer(_Looked(raw, repeats=True) if repeats else pool.submit(self._look, raw), tick)
            skipping.end(str(source.root))
            while self._queue:
                self._consume(tick)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _offer(self, event: _Event, tick: Tick) -> None:
        """Queue an event behind those before it; deal with the oldest ones where there are enough."""
        self._queue.append(event)
        while len(self._queue) > 2 * self._workers:
            self._consume(tick)

    def _consume(self, tick: Tick) -> None:
        event = self._queue.popleft()
        if isinstance(event, Future):
            event = event.result()
        if isinstance(event, BadRow):
            self._reject(event)
        else:
            self._take(event)
        self._sinks.row_done(_line(event if isinstance(event, BadRow) else event.raw))
        tick("pictures", self._rows.rows_in)

    def _repeats(self, raw: RawImage) -> bool:
        """Whether the same file under the same id was met before; `_take` looks again when its turn comes."""
        if not raw.origin:
            return False
        name = (raw.image_id, raw.origin)
        seen = self._sinks.seen.get(IMAGE_ID, raw.image_id)
        if name in self._in_flight or (seen is not None and seen.has_origin(raw.origin)):
            return True
        self._in_flight.add(name)
        return False

    def _look(self, raw: RawImage) -> _Looked:
        try:
            data = raw.load()
            if self._prepare is not None:
                data = self._prepare(data) or data
        except RowProblem as problem:
            return _Looked(raw, problem=str(problem))
        except ImageError as error:
            return _Looked(raw, problem=f"bad picture: {error.what}")
        return _Looked(raw, data, hashlib.sha256(data).digest())

    def _take(self, looked: _Looked) -> None:
        """What becomes of a picture depends on the rows before it alone, not on how far the threads are."""
        raw, seen = looked.raw, self._sinks.seen.get(IMAGE_ID, looked.raw.image_id)
        self._in_flight.discard((raw.image_id, raw.origin))
        if seen is not None and seen.has_origin(raw.origin):
            if seen.index == REJECTED:
                self._reject(BadRow(raw.where, raw.image_id, seen.reason), raw.origin)
            else:
                self._rows.deduplicated += 1
            return
        if looked.repeats:  # of a file that another one under the same id came after
            looked = self._look(raw)
        if looked.problem:
            self._reject(BadRow(raw.where, raw.image_id, looked.problem), raw.origin)
        elif seen is None or seen.index == REJECTED:
            self._write(looked)
        elif seen.content == looked.digest[:16]:
            self._rows.deduplicated += 1
        else:
            reason = f"duplicate id: another picture has it at {seen.where}"
            self._reject(BadRow(raw.where, raw.image_id, reason))

    def _write(self, looked: _Looked) -> None:
        raw, index = looked.raw, self._rows.written
        key = row_key(IMAGE, index)
        row = {"image_id": raw.image_id, "where": raw.where}
        self._sinks.shards.put(key, encode_record(key, row, looked.data))
        seen = Seen(index, looked.digest[:16], raw.where, raw.origin)
        self._sinks.seen.put(IMAGE_ID, raw.image_id, seen)
        self._sinks.hash_row([raw.image_id, looked.digest.hex()])
        self._rows.written += 1
        self._sinks.tally.image_bytes += len(looked.data)

    def _reject(self, bad: BadRow, origin: str = "") -> None:
        """Note a bad row; captions that point to its id will be told why it is not there."""
        self._rows.rejected += 1
        self._sinks.log.add("image", bad)
        if bad.id and self._sinks.seen.get(IMAGE_ID, bad.id) is None:
            self._sinks.seen.put(IMAGE_ID, bad.id, Seen(REJECTED, b"", bad.where, origin, bad.reason))


def _line(row: BadRow | RawImage) -> list[str]:
    """A row as the source gave it: what a resume compares."""
    return (
        [row.where, row.id, row.reason] if isinstance(row, BadRow) else [row.where, row.image_id, row.origin]
    )
