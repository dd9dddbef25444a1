"""Several stores as one: ids that collide are found before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from cnclip.errors import RecipeError, SourceError
from cnclip.stores.derived.rows import NONE, Choice, DerivedSource, origin_of
from cnclip.stores.doctor.groups import groups_by_key
from cnclip.stores.doctor.pictures import content_key
from cnclip.stores.raw.rows import shown
from cnclip.stores.reader import StoreReader

Duplicates = Literal["keep", "drop"]
Progress = Callable[[str, int, int], None]
SHOWN_IDS = 20


def merged(
    readers: Sequence[StoreReader],
    *,
    prefix: bool = False,
    duplicates: Duplicates = "keep",
    progress: Progress | None = None,
) -> DerivedSource:
    """The rows of all stores, one store after the other.

    Args:
        readers: of two or more different stores.
        prefix: put the store's folder name and "/" before all ids.
        duplicates: `drop` keeps the first of pictures with the same bytes, which gets the others' captions;
            a caption that is there already, with the same id, text and pictures, is dropped too.
        progress: called with (step, rows done, rows in all).

    Raises:
        RecipeError: fewer than two stores, one twice, or two of the same name with `prefix`.
        SourceError: ids that two stores have; they are listed.
    """
    check_stores(readers)
    names = [reader.path.resolve().name for reader in readers]
    if prefix and len(set(names)) < len(names):
        raise RecipeError(
            f"stores of the same name: {', '.join(names)}", fix="rename one: the name is put before its ids"
        )
    total = sum(reader.image_count for reader in readers)
    stand_ins = np.arange(total)
    if duplicates == "drop":
        stand_ins = _first_of_equals(readers, total, progress)
    choice = Choice(stand_ins, np.ones(sum(reader.text_count for reader in readers), dtype=bool))
    facts = {
        "kind": "merge",
        "stores": [origin_of(reader) for reader in readers],
        "prefix": prefix,
        "duplicates": duplicates,
    }
    source = DerivedSource(readers, choice, facts, [f"{name}/" for name in names] if prefix else None)
    if not prefix:
        _refuse_collisions(readers, source, same_is_one=duplicates == "drop", progress=progress)
    return source


def check_stores(readers: Sequence[StoreReader]) -> None:
    """Raise RecipeError for fewer than two stores, or one that is given twice."""
    paths = {reader.path.resolve() for reader in readers}
    if len(readers) < 2 or len(paths) < len(readers):
        raise RecipeError("a store is missing or given twice", fix="name two or more stores, each once")


def collision_error(count: int, lines: Sequence[str], fix: str) -> SourceError:
    """What to raise for `count` ids that two stores have, of which `lines` tell the first."""
    more = [f"  … and {count - len(lines)} more"] if count > len(lines) else []
    listed = "\n".join([*lines, *more])
    return SourceError(f"{count} ids that two stores have; nothing was written\n{listed}", fix=fix)


def _first_of_equals(
    readers: Sequence[StoreReader], total: int, progress: Progress | None
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """For each picture the first one with the same bytes."""
    keys = np.zeros(total, dtype=np.uint64)
    place = 0
    for reader in readers:
        for index in range(reader.image_count):
            keys[place] = content_key(reader.image(index).image)
            place += 1
            if progress is not None:
                progress("pictures compared", place, total)
    groups = groups_by_key(keys, np.ones(total, dtype=bool))
    members = np.flatnonzero(groups.labels != NONE)
    firsts = np.full(len(groups.sizes), total)
    np.minimum.at(firsts, groups.labels[members], members)
    stand_ins = np.arange(total)
    stand_ins[members] = firsts[groups.labels[members]]
    return stand_ins


def _refuse_collisions(
    readers: Sequence[StoreReader], source: DerivedSource, *, same_is_one: bool, progress: Progress | None
) -> None:
    """Raise SourceError where rows that would be written share an id."""
    found: list[str] = []
    count, total, done = 0, sum(r.image_count + r.text_count for r in readers[1:]), 0
    for later in range(1, len(readers)):
        reader = readers[later]
        for what, ids in (("picture", reader.image_ids()), ("caption", reader.text_ids())):
            for index, name in enumerate(ids):
                earlier = _collision(readers, source, (later, index), what, name, same_is_one)
                if earlier is not None:
                    count += 1
                    if len(found) < SHOWN_IDS:
                        found.append(f"  {what} {shown(name)}: {readers[earlier].path}, {reader.path}")
                done += 1
                if progress is not None:
                    progress("ids compared", done, total)
    if count:
        raise collision_error(count, found, "--prefix true puts the stores' names before all ids")


def _collision(
    readers: Sequence[StoreReader],
    source: DerivedSource,
    row: tuple[int, int],
    what: str,
    name: str,
    same_is_one: bool,
) -> int | None:
    """The earlier store that has another row of this id, or None."""
    later, index = row
    if what == "picture" and not source.is_written(later, index):
        return None
    for earlier in range(later):
        look = readers[earlier].image_index if what == "picture" else readers[earlier].text_index
        try:
            other = look(name)
        except KeyError:
            continue
        if what == "picture":
            if source.is_written(earlier, other):
                return earlier
        elif not (same_is_one and _says_the_same(source, (earlier, other), row)):
            return earlier
    return None


def _says_the_same(source: DerivedSource, one: tuple[int, int], two: tuple[int, int]) -> bool:
    first, second = source.text(*one), source.text(*two)
    if first is None or second is None:
        return first is second
    return (first.caption, first.image_ids) == (second.caption, second.image_ids)
