"""The folder `STORE.incomplete` in which a build works and from which a later one goes on.

    STORE.incomplete/
      build.json    what is being built: source, the state of its files, options
      store/        becomes the store by one renaming
      scratch/      ids met so far, and the notes from which a build goes on

It is removed when the store has its name or the source is refused. It stays where the process was killed,
stopped, or ran out of disk.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from cnclip.artifacts import read_json, write_json
from cnclip.errors import ArtifactError, RefusedError, StoreError
from cnclip.stores.opening import INCOMPLETE_SUFFIX

Resume = Literal["auto", "must", "fresh"]
FRESH = "drop the unfinished build: --resume fresh, or remove its folder"
_PLAN_NAME, _STORE, _SCRATCH = "build.json", "store", "scratch"
WHOLE = "work"  # folder of a store that is parted when it is whole
_SHOWN_DIFFERENCES = 5


class Staging:
    """The folder beside a target; whoever uses it holds the target's lock.

    Args:
        target: the store's final folder.
        work: names of the folders inside that hold what is unfinished; without the first there is nothing to
            go on with.

    Attributes:
        folder: `TARGET.incomplete`.
        store, scratch: see the module.
    """

    def __init__(self, target: Path, work: tuple[str, ...] = (_STORE, _SCRATCH)) -> None:
        self.folder = target.with_name(target.name + INCOMPLETE_SUFFIX)
        self.store = self.folder / _STORE
        self.scratch = self.folder / _SCRATCH
        self._work = work

    def open(self, plan: Mapping[str, Any], resume: Resume) -> bool:
        """Make the folder, or keep the one of the same plan; returns whether it was kept.

        Args:
            plan: what is built, as JSON values.
            resume: `auto` goes on where there is something; `must` wants that; `fresh` drops it.

        Raises:
            RefusedError: another plan's build lies there, none does and `must` is given, or the folder holds
                what no build put there.
        """
        self.sweep()
        if resume == "fresh":
            self.remove()
        if self.folder.exists():
            self._compare(plan)
            return True
        if resume == "must":
            raise RefusedError(
                "there is no unfinished build to go on with", where=str(self.folder), fix="--resume auto"
            )
        for name in self._work:
            (self.folder / name).mkdir(parents=True)
        write_json(self.folder / _PLAN_NAME, plan)
        return False

    def sweep(self) -> None:
        """Remove what is left of a build that was killed before its first note or after its last."""
        begun = any((self.folder / name).is_dir() for name in {self._work[0], _STORE, WHOLE})
        whole = (self.folder / _PLAN_NAME).is_file() and begun
        if self.folder.exists() and not whole:
            self.remove()

    def remove(self) -> None:
        """Delete the folder, if there is one.

        Raises:
            RefusedError: it holds what no build put there.
        """
        if not self.folder.exists():
            return
        ours = {_PLAN_NAME, _STORE, _SCRATCH, WHOLE, *self._work}
        foreign = [entry.name for entry in self.folder.iterdir() if not _is_ours(entry.name, ours)]
        if foreign:
            raise RefusedError(
                f"the folder holds what is not its own: {', '.join(sorted(foreign)[:3])}",
                where=str(self.folder),
                fix="move that elsewhere, or choose another name for the store",
            )
        shutil.rmtree(self.folder)

    def restart(self) -> None:
        """Empty the folders of what was begun and not noted."""
        for name in self._work:
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).mkdir()

    def keep_only(self, names: Iterable[str]) -> None:
        """Remove from the unfinished store what does not belong to the part of it that was noted."""
        kept = set(names)
        for entry in self.store.iterdir():
            if entry.name.startswith("shard-") or entry.name in kept:
                continue
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def _compare(self, plan: Mapping[str, Any]) -> None:
        try:
            found = _flat(read_json(self.folder / _PLAN_NAME))
        except ArtifactError as error:
            raise StoreError(error.what, where=error.where, fix=FRESH) from None
        wanted = _flat(plan)
        names = [name for name in (found | wanted) if found.get(name) != wanted.get(name)]
        if names:
            lines = [
                f"  {name}: {found.get(name, 'nothing')} there, {wanted.get(name, 'nothing')} now"
                for name in names[:_SHOWN_DIFFERENCES]
            ]
            more = len(names) - len(lines)
            lines += [f"  … and {more} more"] if more > 0 else []
            raise RefusedError(
                "an unfinished build of something else lies here\n" + "\n".join(lines),
                where=str(self.folder),
                fix="go on with the options and the source that it began with, or " + FRESH,
            )


def cut_off(path: Path, size: int) -> None:
    """Shorten a file to what was noted of it.

    Raises:
        StoreError: it is missing or shorter.
    """
    found = path.stat().st_size if path.is_file() else 0
    if found < size:
        raise StoreError(f"{found} bytes, not {size}", where=str(path), fix=FRESH)
    if found > size:
        os.truncate(path, size)


def _is_ours(name: str, ours: set[str]) -> bool:
    return name in ours or name.startswith((".tmp-", ".del-", ".old-")) or name.endswith(".lock")


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested JSON objects and lists as one object: `options.shard_bytes`, `inputs.0`."""
    if isinstance(value, Mapping):
        items = [(str(name), item) for name, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, list | Mapping) for item in value):
        items = [(str(place), item) for place, item in enumerate(value)]
    else:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for name, item in items:
        flat |= _flat(item, f"{prefix}.{name}" if prefix else name)
    return flat or {prefix: value}
