"""Names of columns and fields: which holds the picture, which the caption, and which rows to take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnclip.stores.raw.rows import RowProblem, shown

IMAGE_COLUMNS = (
    "image",
    "image_path",
    "filepath",
    "file_path",
    "file_name",
    "filename",
    "path",
    "file",
    "图片",
)


@dataclass(frozen=True)
class TableColumns:
    """Which column or JSON field holds what; None = the first known name that the table has.

    Attributes:
        image: path of the picture file, relative to `image_root`.
        caption: a caption, or in JSONL a list of captions.
        image_id: the picture's id; without it the path is the id.
        text_id: the caption's id; without it the row's line number (`17`; `17#2` for the second of a list).
        image_root: the folder that pictures must lie in; None = the table's own.
        where: column -> value; other rows are passed over.
    """

    image: str | None = None
    caption: str | None = None
    image_id: str | None = None
    text_id: str | None = None
    image_root: Path | None = None
    where: Mapping[str, str] = field(default_factory=dict)


def name_of(fields: Mapping[str, Any], wanted: str | None, known: tuple[str, ...], what: str) -> str:
    """The field that holds `what`: the wanted one, or the first known one that the row has.

    Raises:
        RowProblem: there is none; names the option that helps.
    """
    names = (wanted,) if wanted is not None else known
    for name in names:
        if name in fields:
            return name
    option = what.replace(" ", "-")
    found = shown(", ".join(fields), 200)
    raise RowProblem(
        f"missing field: no {what} column ({', '.join(names)}); found {found}; use --{option}-column NAME"
    )


def fits(fields: Mapping[str, Any], where: Mapping[str, str]) -> bool:
    """Whether a row has the wanted values.

    Raises:
        RowProblem: it lacks a field that is asked for.
    """
    for name, value in where.items():
        if name not in fields:
            raise RowProblem(f"missing field: {name}, which --where asks for")
        if _plain(fields[name]) != value:
            return False
    return True


def _plain(value: object) -> str:
    """A field as the filter compares it."""
    return (
        {True: "true", False: "false", None: "null"}[value] if isinstance(value, bool | None) else str(value)
    )
