"""A store as pictures in a folder: with a `.txt` beside each, or with one table of captions."""

from __future__ import annotations

import json
from pathlib import Path

from cnclip.stores.derived.formats.job import CaptionsOfPictures, ExportJob, pair_row
from cnclip.stores.derived.formats.picture_names import PictureNames

TABLE_NAME, PICTURES_FOLDER = "metadata.jsonl", "images"  # the names that Hugging Face looks for


def write_folder(job: ExportJob, folder: Path) -> None:
    """`狗/一.jpg` and `狗/一.txt`, a line for each caption."""
    names, captions = PictureNames(), CaptionsOfPictures(job.reader)
    for index in job.pictures():
        path = _write_picture(job, names, index, folder)
        lines = [one_line(text.caption) for _, text in captions.of(index)]
        if lines:
            data = "".join(f"{line}\n" for line in lines)
            path.with_suffix(".txt").write_text(data, encoding="utf-8", newline="\n")


def write_jsonl(job: ExportJob, folder: Path) -> None:
    """`images/…` and `metadata.jsonl`: file_name, image_id, text_id and caption of each pair."""
    reader, names = job.reader, PictureNames()
    pictures = folder / PICTURES_FOLDER
    pictures.mkdir()
    paths = []
    for index in job.pictures():
        paths.append(_write_picture(job, names, index, pictures).relative_to(folder).as_posix())
    with open(folder / TABLE_NAME, "w", encoding="utf-8", newline="\n") as file:
        for pair in job.pairs():
            image = int(reader.pair_images[pair])
            text_id, text = pair_row(reader, pair)
            row = {
                "file_name": paths[image],
                "image_id": reader.image_id(image),
                "text_id": text_id,
                "caption": text.caption,
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def one_line(caption: str) -> str:
    """A caption that fits into one line of a text file."""
    return " ".join(caption.split()) if len(caption.splitlines()) > 1 else caption


def _write_picture(job: ExportJob, names: PictureNames, index: int, folder: Path) -> Path:
    stored = job.reader.image(index)
    path = folder / names.name(index, stored.image_id, stored.image)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(stored.image)
    return path
