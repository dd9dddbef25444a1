"""`cnclip data build`, `cnclip data stats`, `cnclip data show`: make a store and look into it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Literal

from cnclip.artifacts import atomic_file
from cnclip.commands.data_bar import StepBar
from cnclip.commands.data_options import conditions, shard_limits
from cnclip.commands.data_summary import (
    built,
    contents,
    found_image,
    found_text,
    next_step,
    vocabulary_report,
)
from cnclip.errors import RecipeError, UnknownNameError
from cnclip.images.decode import decode_image
from cnclip.stores.accounts import OnBad
from cnclip.stores.raw import SourceKind, SourceOptions, detect, read_source
from cnclip.stores.raw.encodings import Encoding
from cnclip.stores.raw.table import Delimiter, TableColumns
from cnclip.stores.reader import StoreReader
from cnclip.stores.text_pass import TextRows
from cnclip.stores.writer import BuildOptions, build_store
from cnclip.training.stop import StopRequest


def build(
    source: Path,
    store: Path,
    *,
    kind: SourceKind = "auto",
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
    on_bad: OnBad = "auto",
    max_bad_share: float = 0.01,
    text_rows: TextRows = "source",
    shard_size: str = "4GB",
    overwrite: bool = False,
    workers: int = 0,
) -> int:
    """Make a store, which training and measuring read, from pictures with captions.

    The source is one of: cn_clip's {split}_imgs.tsv and {split}_texts.jsonl (also .gz, or zipped as MUGE is)
    or its LMDB; a folder of pictures, each with its captions in a .txt or .json file of the same name; class
    folders with a list of Chinese names; a CSV, TSV, JSON or JSONL table of picture paths and captions;
    COCO's caption JSON; caption lines (name.jpg#0 …) as Flickr's; WebDataset tars; Parquet. What a source is
    taken for, `cnclip data peek` shows. Every picture is opened. Bad rows are all listed with file and line:
    in STORE.rejects.jsonl where the build fails, in STORE/rejects.jsonl where it goes on without them. It
    appears when all is done.

    Examples:
        cnclip data build datasets/MUGE stores/muge-train --split train
        cnclip data build photos/ stores/photos
        cnclip data build captions.jsonl stores/train --where split=train
        cnclip data build goods.csv stores/goods --image-column 图片 --caption-column 标题 --encoding gb18030

    Args:
        source: a folder or a file, see above; shards also as "shards/{00000..00012}.tar".
        store: the folder to make.
        kind: of the source; auto looks at it.
        split: which split, where the source holds several.
        where: rows of a table to take, such as split=train; several conditions parted by commas.
        image_column: column or field with the picture's path; default: the first of image, path, filename, ….
        caption_column: column or field with the caption, in JSONL also a list; default: caption, text, ….
        image_id_column: column with the picture's id; without one the path is the id.
        text_id_column: column with the caption's id; without one the line number is the id.
        image_root: folder that paths are relative to and must lie in; by default the table's folder.
        delimiter: of a table; auto is a tab for .tsv and a comma for .csv.
        encoding: of text files; auto tells UTF-8, UTF-16 and GB 18030 apart in tables, and says which it was.
        labels: Chinese names of class folders: lines of folder<TAB>name.
        templates: sentences with {} for class folders, one per line.
        on_bad: fail lists all bad rows and writes nothing, skip leaves them out; auto = fail under 1000 rows,
            skip above.
        max_bad_share: most bad rows that skip allows, as a share of all rows.
        text_rows: source keeps a caption of several pictures as one row, pairs makes a row of each pair.
        shard_size: of one file of the store, such as 512MB, 4GB or 10000images.
        overwrite: replace a store that is there; it stays until the new one is done.
        workers: threads that open pictures; 0 takes as many as there are cores, at most 8.
    """
    columns = TableColumns(
        image=image_column,
        caption=caption_column,
        image_id=image_id_column,
        text_id=text_id_column,
        image_root=image_root,
        where=conditions(where),
    )
    reading = SourceOptions(
        encoding=encoding,
        split=split,
        columns=columns,
        delimiter=delimiter,
        labels=labels,
        templates=templates,
    )
    shard_bytes, shard_images = shard_limits(shard_size)
    options = BuildOptions(
        on_bad=on_bad,
        max_bad_share=max_bad_share,
        text_rows=text_rows,
        shard_bytes=shard_bytes,
        shard_images=shard_images,
        overwrite=overwrite,
        workers=workers if workers else min(8, os.cpu_count() or 1),
    )
    if kind == "auto":
        print(f"{source}: {detect(source).why}", file=sys.stderr)
    opened = read_source(source, kind, options=reading)
    start = time.monotonic()
    with StopRequest() as stop, StepBar() as bar:
        report = build_store(
            opened,
            store,
            check_image=decode_image,
            options=options,
            progress=bar.of_share,
            should_stop=lambda: stop.asked,
        )
    print(built(report, time.monotonic() - start))
    with StoreReader(store) as reader:
        print(vocabulary_report(reader))
        print(next_step(reader))
    return 0


def stats(store: Path, *, verify: bool = False, samples: int = 3) -> int:
    """Show what a store holds: counts, sizes, how it was built, its captions.

    Examples:
        cnclip data stats stores/muge-train
        cnclip data stats stores/muge-train --verify true --samples 10

    Args:
        store: a folder made by `cnclip data build`.
        verify: read all files and compare them with their sha256.
        samples: pairs to print, evenly spaced.
    """
    with StoreReader(store) as reader:
        if verify:
            reader.verify()
            print("all files equal their sha256")
        print(contents(reader, samples))
        print(vocabulary_report(reader))
    return 0


def show(
    store: Path,
    item: str,
    *,
    kind: Literal["auto", "image", "text"] = "auto",
    by: Literal["id", "index"] = "id",
    save: Path | None = None,
) -> int:
    """Show one picture of a store with its captions, or one caption with its pictures.

    Examples:
        cnclip data show stores/photos 狗/一.jpg --save dog.jpg
        cnclip data show stores/muge-train 8428 --kind text
        cnclip data show stores/muge-train 0 --by index

    Args:
        store: a folder made by `cnclip data build`.
        item: an id, or a number counted from 0.
        kind: whether `item` is a picture or a caption; auto tries the picture first.
        by: whether `item` is an id or a number.
        save: write the picture's file here, byte for byte as it came.
    """
    with StoreReader(store) as reader:
        for name, look in (("image", _image_number), ("text", _text_number)):
            if kind not in ("auto", name):
                continue
            index = look(reader, item, by)
            if index is None:
                continue
            print(found_image(reader, index) if name == "image" else found_text(reader, index))
            if save is not None and name == "image":
                if save.exists():
                    raise RecipeError(
                        "the file exists already", where=f"--save {save}", fix="choose another name"
                    )
                with atomic_file(save) as temporary:
                    temporary.write_bytes(reader.image(index).image)
                print(f"saved as {save}")
            return 0
        first = ", ".join(reader.image_id(index) for index in range(min(5, reader.image_count)))
    what = {"auto": "picture or caption", "image": "picture", "text": "caption"}[kind]
    raise UnknownNameError(
        f"no {what} with the {by} {item!r}", where=str(store), fix=f"the first pictures are {first}"
    )


def _image_number(reader: StoreReader, item: str, by: str) -> int | None:
    if by == "index":
        return _number(item, reader.image_count)
    try:
        return reader.image_index(item)
    except KeyError:
        return None


def _text_number(reader: StoreReader, item: str, by: str) -> int | None:
    if by == "index":
        return _number(item, reader.text_count)
    try:
        return reader.text_index(item)
    except KeyError:
        return None


def _number(item: str, count: int) -> int | None:
    return int(item) if item.isdecimal() and int(item) < count else None
