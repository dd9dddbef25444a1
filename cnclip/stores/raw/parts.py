"""One of n parts of a source, for builds that share the work: the same on every machine.

A row belongs to one part only, by a hash of its picture's id. No part needs to know what another one found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

from cnclip.errors import RecipeError, SourceError
from cnclip.stores.raw.remote import RemoteFile
from cnclip.stores.raw.rows import BadRow, RawImage, RawText, Report, Source

_File = TypeVar("_File")
_FORM = re.compile(r"(\d{1,9})/(\d{1,9})", re.ASCII)
_SALT = b"cnclip part"  # keeps the parts apart from anything else that is dealt out by a hash of ids


@dataclass(frozen=True)
class Part:
    """Which part, counted from 0 as SLURM_ARRAY_TASK_ID is, and of how many.

    Raises:
        RecipeError: no part has that number.
    """

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            last = f"{max(0, self.count - 1)}/{max(1, self.count)}"
            raise RecipeError(
                f"there is no part {self.index}/{self.count}: parts are counted from 0",
                where=f"--shard-of {self.index}/{self.count}",
                fix=f"--shard-of 0/{max(1, self.count)} to --shard-of {last}",
            )

    @classmethod
    def parse(cls, text: str) -> Part:
        """`3/16` is the fourth of sixteen parts.

        Raises:
            RecipeError: another form, or no such part.
        """
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise RecipeError(
                f"--shard-of does not understand {text!r}",
                fix="--shard-of 0/16 is the first of 16 parts, --shard-of 15/16 the last",
            )
        return cls(int(match[1]), int(match[2]))

    def has(self, key: str) -> bool:
        """Whether what has this id belongs to the part."""
        digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8, person=_SALT).digest()
        return int.from_bytes(digest, "little") % self.count == self.index

    def of_files(self, files: Sequence[_File]) -> list[_File] | None:
        """The part's files: every n-th; None where there are fewer files than parts."""
        return list(files[self.index :: self.count]) if len(files) >= self.count else None

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


class PartSource:
    """The rows of a source that belong to a part.

    A picture's captions are in its part. A caption of several pictures becomes a row for each of them, with
    the ids `id#1`, `id#2`, … by the picture's place in the caption's list, so that the rows do not depend on
    the number of parts. A caption without pictures goes by its own id, a bad row by its id or its place.

    Args:
        source: the whole; pictures of other parts are not loaded.
        part: which rows to take.
    """

    def __init__(self, source: Source, part: Part) -> None:
        self._source = source
        self._part = part
        self.root = source.root
        self.inputs: tuple[Path, ...] = source.inputs
        self.remote: tuple[RemoteFile, ...] = getattr(source, "remote", ())
        self.texts_follow_images: bool = getattr(source, "texts_follow_images", False)
        self.facts: Mapping[str, Any] = {**source.facts, "part": str(part), "part_by": "ids"}

    @property
    def share_read(self) -> float | None:
        return self._source.share_read

    def images(self, report: Report) -> Iterator[RawImage]:
        """Pictures of the part.

        Raises:
            SourceError: there are none, neither good nor bad: fewer parts would do.
        """
        is_empty = True

        def tell(bad: BadRow) -> None:
            nonlocal is_empty
            if self._part.has(bad.id or bad.where):
                is_empty = False
                report(bad)

        for image in self._source.images(tell):
            if self._part.has(image.image_id):
                is_empty = False
                yield image
        if is_empty:
            raise SourceError(
                f"part {self._part} of the source has no pictures",
                where=str(self.root),
                fix="take fewer parts, for all of them",
            )

    def texts(self, report: Report) -> Iterator[RawText]:
        """Captions of the part's pictures, and its share of the captions without pictures."""

        def tell(bad: BadRow) -> None:
            if self._part.has(bad.id or bad.where):
                report(bad)

        for text in self._source.texts(tell):
            if len(text.image_ids) < 2:
                if self._part.has(text.image_ids[0] if text.image_ids else text.text_id):
                    yield text
                continue
            for place, image_id in enumerate(text.image_ids, 1):
                if self._part.has(image_id):
                    yield RawText(f"{text.text_id}#{place}", text.caption, (image_id,), text.where)
