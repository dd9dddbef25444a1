"""A store as cn_clip's `{split}_imgs.tsv` and `{split}_texts.jsonl`, byte for byte as it has them."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

from cnclip.errors import RefusedError
from cnclip.stores.derived.formats.job import ExportJob
from cnclip.stores.raw.cn_clip_splits import IMAGES_SUFFIX, TEXTS_SUFFIX
from cnclip.stores.raw.rows import shown

_WHOLE_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)  # what int() gives back unchanged, in 64 bits


def write_cn_clip_files(job: ExportJob, folder: Path) -> None:
    """Lines of id, TAB and base64 (standard alphabet); lines of JSON. Ids of digits are numbers in JSON.

    Raises:
        RefusedError: an id with a tab or a line end, which the TSV cannot hold.
    """
    reader, split = job.reader, job.options.split
    with open(folder / f"{split}{IMAGES_SUFFIX}", "wb") as file:
        for index in job.pictures():
            stored = reader.image(index)
            if set(stored.image_id) & set("\t\r\n"):
                raise RefusedError(
                    f"the id {shown(stored.image_id)} has a tab or a line end, which a TSV cannot hold",
                    where=f"{reader.path} picture {index}",
                    fix="--to webdataset, parquet or jsonl",
                )
            file.write(stored.image_id.encode() + b"\t" + base64.b64encode(stored.image) + b"\n")
    with open(folder / f"{split}{TEXTS_SUFFIX}", "w", encoding="utf-8", newline="\n") as lines:
        for index in job.captions():
            text = reader.text(index)
            row = {
                "text_id": number_or_text(text.text_id),
                "text": text.caption,
                "image_ids": [number_or_text(image_id) for image_id in text.image_ids],
            }
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")


def number_or_text(identifier: str) -> int | str:
    """An id as cn_clip wants it: a whole number where that loses nothing ("007" stays text)."""
    return int(identifier) if _WHOLE_NUMBER.fullmatch(identifier) else identifier
