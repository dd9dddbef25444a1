"""Whether what was written reads back as the store, and if not, what exactly differs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from cnclip.stores.raw.rows import BadRow, RawImage, RawText, RowProblem, Source, shown
from cnclip.stores.reader import StoreReader

Progress = Callable[[str, int, int], None]
_EXAMPLES = 3


@dataclass
class Comparison:
    """What a source lacks or has otherwise than a store; all empty = a build of it has the same fingerprint.

    Attributes:
        differences: what differs -> rows and the first examples.
    """

    differences: dict[str, tuple[int, list[str]]] = field(default_factory=dict)

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.differences

    def note(self, what: str, example: str, count: int = 1) -> None:
        """Count a row that differs."""
        rows, examples = self.differences.setdefault(what, (0, []))
        if len(examples) < _EXAMPLES and example:
            examples.append(shown(example))
        self.differences[what] = (rows + count, examples)

    def lines(self) -> list[str]:
        """What differs, a line each."""
        return [
            f"{what}: {rows}" + (f", such as {'; '.join(examples)}" if examples else "")
            for what, (rows, examples) in self.differences.items()
        ]


def compare(reader: StoreReader, source: Source, *, progress: Progress | None = None) -> Comparison:
    """Read a source through and compare its rows with a store's, by id.

    Memory: a byte for each picture and caption.

    Args:
        reader: of the store.
        source: what was written of it.
        progress: called with (`pictures read back` or `captions read back`, rows, rows of the store).
    """
    found = Comparison()

    def bad(row: BadRow) -> None:
        found.note("rows that cannot be read back", f"{row.where} {row.reason}")

    seen = np.zeros(reader.image_count, dtype=bool)
    place = done = 0
    for raw in source.images(bad):
        index = _compare_image(reader, raw, found)
        if index is not None and not seen[index]:
            if index < place:
                found.note("pictures that come later than in the store", raw.image_id)
            seen[index] = True
            done += 1
            place = max(place, index)
        if progress is not None:
            progress("pictures read back", done, reader.image_count)
    _note_missing(found, "pictures left out", seen, reader.image_id)
    seen = np.zeros(reader.text_count, dtype=bool)
    place = done = 0
    for text in source.texts(bad):
        index = _compare_text(reader, text, found)
        if index is not None and not seen[index]:
            if index < place:
                found.note("captions that come later than in the store", text.text_id)
            seen[index] = True
            done += 1
            place = max(place, index)
        if progress is not None:
            progress("captions read back", done, reader.text_count)
    _note_missing(
        found, "captions left out or under other ids", seen, lambda index: reader.text(index).text_id
    )
    return found


def _compare_image(reader: StoreReader, raw: RawImage, found: Comparison) -> int | None:
    try:
        index = reader.image_index(raw.image_id)
    except KeyError:
        found.note("pictures under other ids", raw.image_id)
        return None
    try:
        if raw.load() != reader.image(index).image:
            found.note("pictures with other bytes", raw.image_id)
    except RowProblem as problem:
        found.note("rows that cannot be read back", f"{raw.where} {problem}")
    return index


def _compare_text(reader: StoreReader, text: RawText, found: Comparison) -> int | None:
    try:
        index = reader.text_index(text.text_id)
    except KeyError:
        found.note("captions under ids of their own", text.text_id)
        return None
    stored = reader.text(index)
    if stored.caption != text.caption:
        found.note("captions with another text", text.text_id)
    if stored.image_ids != text.image_ids:
        found.note("captions with other pictures", text.text_id)
    return index


def _note_missing(
    found: Comparison, what: str, seen: np.ndarray[tuple[int], np.dtype[np.bool_]], name: Callable[[int], str]
) -> None:
    missing = np.flatnonzero(~seen)
    for index in missing[:_EXAMPLES].tolist():
        found.note(what, name(index))
    if len(missing) > _EXAMPLES:
        found.note(what, "", len(missing) - _EXAMPLES)
