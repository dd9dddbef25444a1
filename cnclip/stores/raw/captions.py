"""The captions of one row (JSON object, table or Parquet row): under which field, with which ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cnclip.stores.raw.rows import (
    BadRow,
    RawText,
    Report,
    RowProblem,
    clean_caption,
    clean_id,
    shown,
)

CAPTION_FIELDS = ("caption", "captions", "text", "texts", "title", "description", "描述", "标题")


def caption_field(fields: Mapping[str, Any], wanted: str | None = None) -> str:
    """The first known field that the row has, or the wanted one.

    Raises:
        RowProblem: there is none.
    """
    names = CAPTION_FIELDS if wanted is None else (wanted,)
    for name in names:
        if fields.get(name) is not None:
            return name
    found = shown(", ".join(fields), 200)
    raise RowProblem(f"missing field: no caption under {', '.join(names)}; found {found or 'none'}")


def captions_of(
    fields: Mapping[str, Any],
    *,
    row_id: str,
    image_ids: tuple[str, ...],
    where: str,
    report: Report,
    wanted: str | None = None,
) -> Iterator[RawText]:
    """A row's captions.

    One string has the id of the row; those of a list are `id#1`, `id#2`, …. Where the row has `text_ids`, a
    list as long, those are the ids.

    Args:
        fields: of the row.
        row_id: of the captions, unless the row has `text_id` or `text_ids`.
        image_ids: the pictures that they belong to.
        where: the row's place.
        report: is told of what is wrong.
        wanted: the field; None = the first that is known.
    """
    try:
        name = caption_field(fields, wanted)
        value = fields[name]
        captions = value if isinstance(value, list) else [value]
        if not captions:
            raise RowProblem(f"empty caption: {name} is an empty list")
        row_id = clean_id(row_id, "the row's name")
        ids = _text_ids(fields, row_id, captions if isinstance(value, list) else None)
    except RowProblem as problem:
        report(BadRow(where, shown(row_id, 500), str(problem)))
        return
    for text_id, caption in zip(ids, captions, strict=True):
        try:
            yield RawText(text_id, clean_caption(caption, name), image_ids, where)
        except RowProblem as problem:
            report(BadRow(where, text_id, str(problem)))


def _text_ids(fields: Mapping[str, Any], row_id: str, captions: list[Any] | None) -> list[str]:
    ids = fields.get("text_ids")
    if captions is not None and isinstance(ids, list):
        if len(ids) != len(captions):
            raise RowProblem(f"text_ids: {len(ids)} ids for {len(captions)} captions")
        return [clean_id(value, "text_ids") for value in ids]
    if fields.get("text_id") is not None:
        row_id = clean_id(fields["text_id"], "text_id")
    if captions is None:
        return [row_id]
    return [f"{row_id}#{place}" for place in range(1, len(captions) + 1)]
