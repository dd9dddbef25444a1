"""`cnclip data build`: a store from whatever the user has."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cnclip.commands.data_building import BuildJob, build_one, build_parts, picture_settings
from cnclip.commands.data_options import conditions, shard_limits
from cnclip.commands.data_summary import next_step, vocabulary_report
from cnclip.errors import RecipeError
from cnclip.stores.accounts import OnBad
from cnclip.stores.raw import SourceKind, SourceOptions, detect, read_source
from cnclip.stores.raw.encodings import Encoding
from cnclip.stores.raw.parts import Part
from cnclip.stores.raw.table import Delimiter, TableColumns
from cnclip.stores.reader import StoreReader
from cnclip.stores.staging import Resume
from cnclip.stores.text_pass import TextRows
from cnclip.stores.writer import BuildOptions

_QUALITY = 90


def build(
    source: str | Path,
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
    max_side: int | None = None,
    quality: int | None = None,
    shares: str | None = None,
    shard_of: str | None = None,
    resume: Resume = "auto",
    overwrite: bool = False,
    workers: int = 0,
) -> int:
    """Make a store, which training and measuring read, from pictures with captions.

    The source is one of: cn_clip's {split}_imgs.tsv and {split}_texts.jsonl (also .gz, or zipped as MUGE is)
    or its LMDB; a folder of pictures, each with its captions in a .txt or .json file of the same name; class
    folders with a list of Chinese names; a CSV, TSV, JSON or JSONL table of picture paths and captions;
    COCO's caption JSON; caption lines (name.jpg#0 …) as Flickr's; WebDataset tars; Parquet. What a source is
    taken for, `cnclip data peek` shows. Every picture is opened. Bad rows are all listed with file and line:
    in STORE.rejects.jsonl where the build fails, in STORE/rejects.jsonl where it goes on without them. The
    store appears when all is done. Until then it is STORE.incomplete: a build that was stopped or killed goes
    on there when the same command is given again, and the store becomes the same to the byte.

    Examples:
        cnclip data build datasets/MUGE stores/muge-train --split train
        cnclip data build photos/ stores/photos
        cnclip data build captions.jsonl stores/train --where split=train
        cnclip data build photos/ stores/photos --max-side 512 --quality 90 --shares 0.9,0.05,0.05
        cnclip data build goods.csv stores/goods --image-column 图片 --caption-column 标题 --encoding gb18030

    Args:
        source: a folder or a file, see above; shards also as "shards/{00000..00012}.tar" or as a URL.
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
        max_side: pixels; pictures with a longer side are made smaller, once and for all; others keep their
            bytes.
        quality: of the JPEGs that --max-side makes, 1 to 100; 90 by default.
        shares: of the pictures, such as 0.9,0.05,0.05: makes STORE-train, STORE-valid and STORE-test, as
            `cnclip data split` does; near pictures stay together.
        shard_of: i/n builds part i of n, counted from 0, for n machines; `cnclip data merge` joins them.
        resume: auto goes on with an unfinished build, must wants one, fresh drops it and begins anew.
        overwrite: replace a store that is there; it stays until the new one is done.
        workers: processes that open pictures; 0 takes as many as there are cores, at most 8.
    """
    columns = TableColumns(
        image=image_column,
        caption=caption_column,
        image_id=image_id_column,
        text_id=text_id_column,
        image_root=image_root,
        where=conditions(where),
    )
    if quality is not None and max_side is None:
        raise RecipeError("--quality means nothing without --max-side", fix="--max-side 512")
    if shares is not None and shard_of is not None:
        raise RecipeError(
            "one part of a source is not parted by itself: near pictures of two parts would come apart",
            fix="join the parts with `cnclip data merge`, then `cnclip data split`",
        )
    reading = SourceOptions(
        encoding=encoding,
        split=split,
        columns=columns,
        delimiter=delimiter,
        labels=labels,
        templates=templates,
        part=Part.parse(shard_of) if shard_of is not None else None,
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
        resume=resume,
        pictures=picture_settings(max_side, _QUALITY if quality is None else quality),
    )
    if kind == "auto":
        print(f"{source}: {detect(source).why}", file=sys.stderr)
    opened = read_source(source, kind, options=reading)
    if why := getattr(opened, "encoding_why", ""):
        print(f"encoding: {why}", file=sys.stderr)
    job = BuildJob(opened, store, options, shard_size)
    if shares is not None:
        stores = build_parts(job, shares)
    else:
        build_one(job)
        stores = [store]
    with StoreReader(stores[0]) as reader:
        print(vocabulary_report(reader))
        print(next_step(reader))
    return 0
