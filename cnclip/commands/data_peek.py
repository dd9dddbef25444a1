"""`cnclip data peek`: what a source is taken for, and its first pairs, before anything is built."""

from __future__ import annotations

import io
import shlex
from collections.abc import Generator, Iterator
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from PIL import Image

from cnclip.commands.data_options import conditions
from cnclip.errors import ImageError, RecipeError
from cnclip.images.decode import IMAGE_FORMATS, decode_image
from cnclip.stores.layout import HEADER_NAME
from cnclip.stores.raw import (
    BadRow,
    Detected,
    RawImage,
    RawText,
    Source,
    SourceKind,
    SourceOptions,
    detect,
    read_source,
)
from cnclip.stores.raw.encodings import Encoding
from cnclip.stores.raw.remote import is_url
from cnclip.stores.raw.rows import RowProblem, shown
from cnclip.stores.raw.table import Delimiter, TableColumns
from cnclip.stores.reader import StoreReader

_Row = TypeVar("_Row")
_UTF8_KINDS = ("cn_clip", "folder", "coco", "webdataset")
_MOST_TEXTS = 200_000  # caption rows that are read to find those of the first pictures
_MORE_TEXTS = 50  # rows behind the one that gave the last picture its first caption
_SHOWN_PROBLEMS = 10


def peek(
    source: str | Path,
    *,
    kind: SourceKind = "auto",
    count: int = 5,
    split: str | None = None,
    where: str | None = None,
    image_column: str | None = None,
    caption_column: str | None = None,
    image_id_column: str | None = None,
    text_id_column: str | None = None,
    image_root: Path | None = None,
    delimiter: Delimiter = "auto",
    encoding: Encoding = "auto",
    labels: Path | None = None,
    templates: Path | None = None,
) -> int:
    """Show what a source is taken for, and its first pictures with their captions; nothing is written.

    Examples:
        cnclip data peek photos/
        cnclip data peek "shards/{00000..00012}.tar" --count 10
        cnclip data peek datasets/MUGE/lmdb --split train
        cnclip data peek stores/muge-train

    Args:
        source: what `cnclip data build` would be given, or a store.
        kind: of the source; auto looks at it, and says by what it was known.
        count: pictures to show.
        split: which split, where the source holds several.
        where: rows of a table to take, such as split=train; several conditions parted by commas.
        image_column: column or field with the picture.
        caption_column: column or field with the caption or captions.
        image_id_column: column with the picture's id.
        text_id_column: column with the caption's id.
        image_root: folder that the pictures lie in.
        delimiter: of a table.
        encoding: of text files.
        labels: Chinese names of class folders: lines of folder<TAB>name.
        templates: sentences with {} for class folders, one per line.
    """
    if count < 1:
        raise RecipeError(f"--count {count} shows nothing", fix="--count 5")
    if not is_url(source) and (Path(source) / HEADER_NAME).is_file():
        _show_store(Path(source), count)
        return 0
    columns = TableColumns(
        image=image_column,
        caption=caption_column,
        image_id=image_id_column,
        text_id=text_id_column,
        image_root=image_root,
        where=conditions(where),
    )
    options = SourceOptions(
        encoding=encoding,
        split=split,
        columns=columns,
        delimiter=delimiter,
        labels=labels,
        templates=templates,
    )
    found = detect(source) if kind == "auto" else Detected(kind, "as told by --kind")
    opened = read_source(source, found.kind, options=options)
    print(f"{source}: {found.kind} ({found.why})")
    _show_facts(opened)
    if found.kind in _UTF8_KINDS:
        print(f"  text: {options.text_encoding}{' by the format' if encoding == 'auto' else ''}")
    problems: list[BadRow] = []
    _show_pairs(opened, count, problems)
    _show_problems(problems)
    told = {
        "--kind": "" if kind == "auto" else kind,
        "--split": split,
        "--where": where,
        "--image-column": image_column,
        "--caption-column": caption_column,
        "--image-id-column": image_id_column,
        "--text-id-column": text_id_column,
        "--image-root": image_root,
        "--delimiter": "" if delimiter == "auto" else delimiter,
        "--encoding": "" if encoding == "auto" else encoding,
        "--labels": labels,
        "--templates": templates,
    }
    words = "".join(f" {name} {shlex.quote(str(value))}" for name, value in told.items() if value)
    print(f"next: cnclip data build {shlex.quote(str(source))} STORE{words}")
    return 0


def _show_facts(opened: Source) -> None:
    """What the source says of itself without being read."""
    counts = getattr(opened, "counts", {})
    if counts:
        print("  " + ", ".join(f"{number} {name}" for name, number in counts.items()))
    facts = {name: value for name, value in opened.facts.items() if value and name not in ("kind", *counts)}
    for name, value in facts.items():
        print(f"  {name}: {', '.join(map(str, value)) if isinstance(value, list) else value}")
    if why := getattr(opened, "encoding_why", ""):
        print(f"  text: {why}")


def _show_pairs(opened: Source, count: int, problems: list[BadRow]) -> None:
    """The first pictures and those of their captions that stand among the first rows."""
    images = list(_first_images(opened, count, problems))
    captions: dict[str, list[RawText]] = {image.image_id: [] for image in images}
    with closing(_closable(opened.texts(problems.append))) as texts:
        more = _MORE_TEXTS
        for text in islice(texts, _MOST_TEXTS):
            for image_id in text.image_ids:
                if image_id in captions:
                    captions[image_id].append(text)
            more -= bool(captions) and all(captions.values())
            if more < 0:
                break
    for number, image in enumerate(images, 1):
        print(
            f"  picture {number}: [{shown(image.image_id)}] {_picture(image, problems)}, {shown(image.where)}"
        )
        for text in captions[image.image_id]:
            print(f"    caption [{shown(text.text_id)}] {shown(text.caption, 200)}")
        if not captions[image.image_id]:
            print(f"    no caption among the first {_MOST_TEXTS} rows")
    if not images:
        print("  no pictures")


def _first_images(opened: Source, count: int, problems: list[BadRow]) -> Iterator[RawImage]:
    """Pictures with different ids."""
    seen: set[str] = set()
    with closing(_closable(opened.images(problems.append))) as images:
        for image in islice(images, 100 * count):
            if image.image_id not in seen and len(seen) < count:
                seen.add(image.image_id)
                yield image
            if len(seen) == count:
                return


def _closable(rows: Iterator[_Row]) -> Generator[_Row]:
    """A stream that gives its files back when it is left half-way."""
    yield from rows


def _picture(image: RawImage, problems: list[BadRow]) -> str:
    try:
        data = image.image
        width, height = decode_image(data, name=image.image_id).size
    except RowProblem as problem:
        problems.append(BadRow(image.where, image.image_id, str(problem)))
        return "no picture"
    except ImageError as error:
        problems.append(BadRow(image.where, image.image_id, f"bad picture: {error.what}"))
        return "no picture"
    return f"{_format(data)} {width} x {height}, {len(data)} bytes"


def _format(data: bytes) -> str:
    with Image.open(io.BytesIO(data), formats=IMAGE_FORMATS) as image:
        return image.format or "?"


def _show_problems(problems: list[BadRow]) -> None:
    if not problems:
        print("  no problem in the rows read")
        return
    print(f"  problems in the rows read: {len(problems)}")
    for bad in problems[:_SHOWN_PROBLEMS]:
        name = f" [{shown(bad.id)}]" if bad.id else ""
        print(f"    {shown(bad.where, 200)}{name} {bad.reason}")
    if len(problems) > _SHOWN_PROBLEMS:
        print(f"    … and {len(problems) - _SHOWN_PROBLEMS} more")


def _show_store(path: Path, count: int) -> None:
    with StoreReader(path) as reader:
        print(f"{path}: a store of {reader.image_count} pictures, {reader.text_count} captions")
        print(f"  {reader.pair_count} pairs; fingerprint {reader.fingerprint[:16]}")
        problems: list[BadRow] = []
        for index in range(min(count, reader.pair_count)):
            pair = reader.pair(index)
            image = RawImage(pair.image_id, f"pair {index}", partial(bytes, pair.image))
            print(f"  pair {index}: [{shown(pair.image_id)}] {_picture(image, problems)}")
            print(f"    caption [{shown(pair.text_id)}] {shown(pair.caption, 200)}")
        _show_problems(problems)
