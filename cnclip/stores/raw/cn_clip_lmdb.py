"""The LMDB of cn_clip, read in place: `imgs` (id -> base64) and `pairs` (number -> pickle) of a split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import lmdb

from cnclip.errors import SourceError
from cnclip.stores.raw.cn_clip import decode_base64
from cnclip.stores.raw.lines import MAX_LINE_BYTES
from cnclip.stores.raw.lmdb_records import get, numbered, reading, records
from cnclip.stores.raw.lmdb_splits import DATA, IMAGES, PAIRS, find_lmdb_split
from cnclip.stores.raw.pickled import read_pickle
from cnclip.stores.raw.rows import (
    BadRow,
    RawImage,
    RawText,
    Report,
    RowProblem,
    clean_caption,
    clean_id,
    shown,
)

_IMAGES_COUNT, _PAIRS_COUNT = b"num_images", b"num_samples"


class CnClipLmdbSource:
    """One split of an LMDB that cn_clip's build_lmdb_dataset.py wrote.

    A caption with several pictures is one record per picture there; records that follow each other with the
    same id and text become one caption again. Pictures come in the order of the keys' bytes, captions in the
    order in which they were written.

    Args:
        path: `lmdb/train`, `lmdb`, or the folder that holds `lmdb`.
        split: needed where `path` holds several.

    Attributes:
        counts: records as the files count them.

    Raises:
        SourceError: no such split, or a half of it is missing.
    """

    def __init__(self, path: Path, *, split: str | None = None) -> None:
        folder = find_lmdb_split(path, split)
        self.root = folder
        self.inputs: tuple[Path, ...] = tuple(folder / part / DATA for part in (IMAGES, PAIRS))
        for file in self.inputs:
            if not file.is_file():
                raise SourceError(
                    f"half of the LMDB is missing: no {file.parent.name}/{DATA}",
                    where=str(folder),
                    fix="build it again from the TSV and JSONL files",
                )
        self.facts = {"kind": "lmdb", "split": folder.name}
        self.share_read: float | None = 0.0

    @property
    def counts(self) -> Mapping[str, int]:
        found = {}
        for name, part, counter in (("pictures", IMAGES, _IMAGES_COUNT), ("pairs", PAIRS, _PAIRS_COUNT)):
            with reading(self.root / part) as transaction:
                entries = transaction.stat()["entries"]
                found[name] = entries - (get(transaction, counter) is not None)
        return found

    def images(self, report: Report) -> Iterator[RawImage]:
        """Pictures in key order; base64 in either alphabet."""
        folder = self.root / IMAGES
        with reading(folder) as transaction:
            entries = transaction.stat()["entries"]
            found = entries - (get(transaction, _IMAGES_COUNT) is not None)
            _check_image_count(_counter(transaction, IMAGES, _IMAGES_COUNT, report), found, report)
        for number, (key, value) in enumerate(records(folder), 1):
            self.share_read = number / max(1, entries)
            if key == _IMAGES_COUNT:
                continue
            name, image_id = key.decode("utf-8", "backslashreplace"), ""
            try:
                image_id = clean_id(_text(key), "the key")
                if len(value) > MAX_LINE_BYTES:
                    raise RowProblem(f"picture too large: over {MAX_LINE_BYTES} bytes of base64")
                data = decode_base64(bytes(value))
            except RowProblem as problem:
                report(BadRow(f"{IMAGES}/{shown(name)}", image_id, str(problem)))
                continue
            yield RawImage(image_id, f"{IMAGES}/{shown(name)}", partial(bytes, data))

    def texts(self, report: Report) -> Iterator[RawText]:
        """Captions in the order of their numbers.

        Raises:
            RefusedError: a pickle of anything but (image_id, text_id, text); nothing of it is run.
        """
        held: RawText | None = None
        for where, value in self._pairs(report):
            try:
                text = _caption_of(value, str(self.root / where), where)
            except RowProblem as problem:
                report(BadRow(where, "", str(problem)))
                continue
            if held is not None and (held.text_id, held.caption) == (text.text_id, text.caption):
                ids = tuple(dict.fromkeys((*held.image_ids, *text.image_ids)))
                held = RawText(held.text_id, held.caption, ids, held.where)
                continue
            if held is not None:
                yield held
            held = text
        if held is not None:
            yield held

    def _pairs(self, report: Report) -> Iterator[tuple[str, bytes]]:
        """(where, pickle) by number; what the counter does not cover is reported."""
        folder = self.root / PAIRS
        with reading(folder) as transaction:
            entries = transaction.stat()["entries"]
            samples = _counter(transaction, PAIRS, _PAIRS_COUNT, report)
            found = entries - (get(transaction, _PAIRS_COUNT) is not None)
        read = 0
        for value in numbered(folder, samples):
            self.share_read = read / max(1, entries)
            yield f"{PAIRS}/{read}", value
            read += 1
        if samples is not None and read < samples:
            reason = f"missing pairs: num_samples says {samples}, number {read} is not there"
            report(BadRow(f"{PAIRS}/num_samples", "", reason))
        if read < found:
            yield from _beyond(records(folder), read, samples, report)


def _caption_of(value: bytes, place: str, where: str) -> RawText:
    row = read_pickle(value, place)
    if not isinstance(row, tuple) or len(row) != 3:
        raise RowProblem("wrong type: the pair is not (image_id, text_id, text)")
    image_id, text_id, caption = row
    return RawText(
        clean_id(text_id, "text_id"), clean_caption(caption, "text"), (clean_id(image_id, "image_id"),), where
    )


def _beyond(
    rows: Iterator[tuple[bytes, bytes | memoryview]], read: int, samples: int | None, report: Report
) -> Iterator[tuple[str, bytes]]:
    """Pairs behind a gap, which count; those behind the counter, which are of an older build, do not."""
    for key, value in rows:
        number = int(key) if key.isdigit() and len(key) < 19 else None
        if key == _PAIRS_COUNT or (number is not None and number < read):
            continue
        where = f"{PAIRS}/{shown(key.decode('utf-8', 'backslashreplace'))}"
        if number is not None and (samples is None or number < samples):
            yield where, bytes(value)
        else:
            detail = f"num_samples is {samples}; it was left by an older build"
            report(BadRow(where, "", f"stale pair: {detail}"))


def _counter(transaction: lmdb.Transaction, part: str, key: bytes, report: Report) -> int | None:
    """What the LMDB says that it holds; None, reported, where it does not say."""
    value = get(transaction, key)
    if value is not None and value.isdigit() and len(value) < 19:
        return int(value)
    problem = "no such key" if value is None else f"it is {value[:40]!r}"
    name = key.decode()
    report(BadRow(f"{part}/{name}", "", f"bad {name}: {problem}, must be a whole number"))
    return None


def _check_image_count(said: int | None, found: int, report: Report) -> None:
    if said is None or said == found:
        return
    if said < found:
        reason = f"stale pictures: num_images says {said}, found {found}; an older build left the rest"
    else:
        reason = f"missing pictures: num_images says {said}, found {found}; repeated ids were counted twice"
    report(BadRow(f"{IMAGES}/num_images", "", reason))


def _text(key: bytes) -> str:
    try:
        return key.decode()
    except UnicodeDecodeError:
        raise RowProblem("not utf-8: the key is no text") from None
