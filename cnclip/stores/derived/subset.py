"""Which rows of a store belong to some ids, or have captions that say a word."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import numpy as np

from cnclip.errors import RecipeError, SourceError, UnknownNameError
from cnclip.stores.derived.rows import NONE, Choice, Mask, Places
from cnclip.stores.raw.lines import LineFile
from cnclip.stores.raw.rows import BadRow, RowProblem, clean_id, shown
from cnclip.stores.reader import StoreReader

IdKind = Literal["auto", "image", "text"]
KeptCaptions = Literal["matching", "all"]
_SHOWN_IDS = 10


def read_ids(file: Path) -> list[str]:
    """The ids in a UTF-8 file, one per line, each once; empty lines are passed over.

    Raises:
        SourceError: no such file, another encoding, a line that can be no id.
    """
    lines = LineFile(file, root=file.parent)

    def refuse(bad: BadRow) -> None:
        raise SourceError(bad.reason, where=f"{file.parent / bad.where}", fix="one id per line, in UTF-8")

    ids: dict[str, None] = {}
    for number, line in lines.lines(refuse):
        if line.strip():
            try:
                ids[clean_id(line, "the line")] = None
            except RowProblem as problem:
                refuse(BadRow(lines.where(number), "", str(problem)))
    return list(ids)


def choose(
    reader: StoreReader,
    *,
    ids: Iterable[str] | None = None,
    kind: IdKind = "auto",
    says: Callable[[str], bool] | None = None,
    captions: KeptCaptions = "matching",
    skip_unknown: bool = False,
) -> Choice:
    """The rows that have the ids, and of them those whose captions say what is asked for.

    Args:
        reader: of the store.
        ids: of pictures, which bring their captions, or of captions, which bring their pictures; None = all.
        kind: of the ids; auto takes the kind that more of them belong to.
        says: a test of captions; a picture stays where one of its captions passes.
        captions: `matching` takes only the captions that were asked for, `all` every one of a picture.
        skip_unknown: pass over ids that the store lacks.

    Raises:
        UnknownNameError: ids that the store lacks.
        RecipeError: the ids are those of pictures and of captions alike.
        SourceError: nothing is left.
    """
    images = np.ones(reader.image_count, dtype=bool)
    texts = np.ones(reader.text_count, dtype=bool)
    if ids is not None:
        found_kind, rows = _rows_of(reader, list(ids), kind, skip_unknown)
        if found_kind == "image":
            images = _mask(reader.image_count, rows)
            texts = _texts_of(reader, images)
        else:
            texts = _mask(reader.text_count, rows)
            images = _pictures_of(reader, texts)
    if says is not None:
        for index in np.flatnonzero(texts).tolist():
            texts[index] = says(reader.text(index).caption)
        images &= _pictures_of(reader, texts)
    if captions == "all":
        texts |= _texts_of(reader, images)
    if not images.any():
        raise SourceError(
            "no picture is left", where=str(reader.path), fix="ask for other ids or another word"
        )
    return Choice(np.where(images, np.arange(len(images)), NONE), texts)


def _mask(count: int, rows: Places | list[int]) -> Mask:
    mask = np.zeros(count, dtype=bool)
    mask[rows] = True
    return mask


def _pictures_of(reader: StoreReader, texts: Mask) -> Mask:
    return _mask(reader.image_count, reader.pair_images[texts[reader.pair_texts]])


def _texts_of(reader: StoreReader, images: Mask) -> Mask:
    return _mask(reader.text_count, reader.pair_texts[images[reader.pair_images]])


def _rows_of(
    reader: StoreReader, ids: list[str], kind: IdKind, skip_unknown: bool
) -> tuple[Literal["image", "text"], list[int]]:
    """The kind of the ids, and their rows."""
    found = {
        "image": _known(ids, reader.image_index) if kind != "text" else {},
        "text": _known(ids, reader.text_index) if kind != "image" else {},
    }
    if kind == "auto" and len(found["image"]) == len(found["text"]) > 0:
        raise RecipeError(
            "the ids are those of pictures and of captions alike",
            where=str(reader.path),
            fix="--kind image or --kind text",
        )
    best: Literal["image", "text"] = "image" if len(found["image"]) > len(found["text"]) else "text"
    best = best if kind == "auto" else kind
    missing = [name for name in ids if name not in found[best]]
    if missing and not (skip_unknown and found[best]):
        named = ", ".join(shown(name) for name in missing[:_SHOWN_IDS])
        what = "picture" if best == "image" else "caption"
        more = f" and {len(missing) - _SHOWN_IDS} more" if len(missing) > _SHOWN_IDS else ""
        raise UnknownNameError(
            f"no {what} has the id {named}{more}",
            where=str(reader.path),
            fix="mend the list, name the ids' --kind, or add --skip-unknown true",
        )
    return best, list(found[best].values())


def _known(ids: list[str], index_of: Callable[[str], int]) -> dict[str, int]:
    found = {}
    for name in ids:
        try:
            found[name] = index_of(name)
        except KeyError:
            continue
    return found
