"""The first pass of a build: every picture of a source is read, checked and written, in order."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

from cnclip.errors import ImageError
from cnclip.stores.accounts import RowCount
from cnclip.stores.layout import IMAGE, IMAGE_ID, encode_pointer, encode_record, row_key
from cnclip.stores.raw.rows import BadRow, RawImage, RowProblem, Source
from cnclip.stores.seen import REJECTED, Seen
from cnclip.stores.sinks import Sinks, Tick

CheckImage = Callable[[bytes], object]


@dataclass(frozen=True)
class _Looked:
    """A picture that was read and checked, or one that needs no second look."""

    raw: RawImage
    data: bytes = b""
    digest: bytes = b""
    problem: str = ""
    repeats: bool = False


class ImagePass:
    """Reads and checks pictures in several threads, writes them in the source's order.

    Args:
        sinks: where to.
        check: raises ImageError for bytes that are no picture; None takes all bytes.
        workers: threads that read and check.
    """

    def __init__(self, sinks: Sinks, *, check: CheckImage | None, workers: int) -> None:
        self.rows = RowCount()
        self.image_bytes = 0
        self._sinks = sinks
        self._check = check
        self._workers = workers
        self._in_flight: set[tuple[str, str]] = set()

    def run(self, source: Source, tick: Tick) -> None:
        """Write all pictures, then the index of their ids."""
        with closing(self._events(source)) as events:
            for event in events:
                if isinstance(event, BadRow):
                    self._reject(event)
                else:
                    self._take(event)
                tick("pictures", self.rows.rows_in)
        for key, index in self._sinks.seen.sorted_indices(IMAGE_ID):
            self._sinks.shards.put(key, encode_pointer(key, index))

    def _events(self, source: Source) -> Generator[BadRow | _Looked]:
        """Bad rows and looked-at pictures in the order of the source, whatever the number of threads."""
        queue: deque[BadRow | _Looked | Future[_Looked]] = deque()
        pool = ThreadPoolExecutor(self._workers)
        try:
            for raw in source.images(queue.append):
                queue.append(
                    _Looked(raw, repeats=True) if self._repeats(raw) else pool.submit(self._look, raw)
                )
                while len(queue) > 2 * self._workers:
                    yield self._next(queue)
            while queue:
                yield self._next(queue)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _next(self, queue: deque[BadRow | _Looked | Future[_Looked]]) -> BadRow | _Looked:
        event = queue.popleft()
        if not isinstance(event, Future):
            return event
        looked = event.result()
        self._in_flight.discard((looked.raw.image_id, looked.raw.origin))
        return looked

    def _repeats(self, raw: RawImage) -> bool:
        """Whether the same file under the same id was met before."""
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
            if self._check is not None:
                self._check(data)
        except RowProblem as problem:
            return _Looked(raw, problem=str(problem))
        except ImageError as error:
            return _Looked(raw, problem=f"bad picture: {error.what}")
        return _Looked(raw, data, hashlib.sha256(data).digest())

    def _take(self, looked: _Looked) -> None:
        raw, seen = looked.raw, self._sinks.seen.get(IMAGE_ID, looked.raw.image_id)
        if looked.repeats:
            assert seen is not None
            if seen.index == REJECTED:
                self._reject(BadRow(raw.where, raw.image_id, seen.reason), raw.origin)
            else:
                self.rows.deduplicated += 1
        elif looked.problem:
            self._reject(BadRow(raw.where, raw.image_id, looked.problem), raw.origin)
        elif seen is None or seen.index == REJECTED:
            self._write(looked)
        elif seen.content == looked.digest[:16]:
            self.rows.deduplicated += 1
        else:
            reason = f"duplicate id: another picture has it at {seen.where}"
            self._reject(BadRow(raw.where, raw.image_id, reason))

    def _write(self, looked: _Looked) -> None:
        raw, index = looked.raw, self.rows.written
        key = row_key(IMAGE, index)
        row = {"image_id": raw.image_id, "where": raw.where}
        self._sinks.shards.put(key, encode_record(key, row, looked.data))
        seen = Seen(index, looked.digest[:16], raw.where, raw.origin)
        self._sinks.seen.put(IMAGE_ID, raw.image_id, seen)
        self._sinks.hash_row([raw.image_id, looked.digest.hex()])
        self.rows.written += 1
        self.image_bytes += len(looked.data)

    def _reject(self, bad: BadRow, origin: str = "") -> None:
        """Note a bad row; captions that point to its id will be told why it is not there."""
        self.rows.rejected += 1
        self._sinks.log.add("image", bad)
        if bad.id and self._sinks.seen.get(IMAGE_ID, bad.id) is None:
            self._sinks.seen.put(IMAGE_ID, bad.id, Seen(REJECTED, b"", bad.where, origin, bad.reason))
