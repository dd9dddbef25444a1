"""`cnclip data subset`, `cnclip data merge`: stores out of stores; no picture is encoded anew."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from cnclip.commands.data_bar import StepBar
from cnclip.commands.data_rebuild import rebuild, refuse_existing
from cnclip.config import parse_call
from cnclip.errors import RecipeError
from cnclip.stores.derived import (
    DerivedSource,
    Duplicates,
    IdKind,
    KeptCaptions,
    choose,
    merged,
    origin_of,
    read_ids,
    write_index,
)
from cnclip.stores.reader import StoreReader
from cnclip.text.normalize import normalize_caption

DEFAULT_SHARD_SIZE = "4GB"


def subset(
    store: Path,
    target: Path,
    *,
    ids: Path | None = None,
    kind: IdKind = "auto",
    query: str | None = None,
    captions: KeptCaptions = "matching",
    skip_unknown: bool = False,
    shard_size: str = DEFAULT_SHARD_SIZE,
    overwrite: bool = False,
) -> int:
    """Make a store of some of a store's pictures and captions.

    They are named by a file of ids, or found by a word in the caption, or both. Ids of pictures bring their
    captions, ids of captions bring their pictures. The order is that of the store; picture bytes and ids
    stay as they are. A caption's links to pictures that are left out are left out too.

    Examples:
        cnclip data subset stores/muge-train stores/bags --query 托特包
        cnclip data subset stores/photos stores/mine --ids mine.txt
        cnclip data subset stores/photos stores/dogs --query 狗 --captions all

    Args:
        store: a folder made by `cnclip data build`.
        target: the store to make.
        ids: a UTF-8 file with one id per line, of pictures or of captions.
        kind: of the ids; auto takes the kind that more of them belong to.
        query: a word that the caption holds; width and case of letters do not count.
        captions: matching takes only the captions that were asked for, all takes every caption of a picture
            that has one of them.
        skip_unknown: pass over ids that the store lacks; otherwise they are an error.
        shard_size: of one file of the store, such as 512MB, 4GB or 10000images.
        overwrite: replace a store that is there.
    """
    if ids is None and not query:
        raise RecipeError("nothing says which rows to take", fix="--ids FILE or --query WORD, or both")
    refuse_existing([target], [store], overwrite)
    named = None if ids is None else read_ids(ids)
    word = normalize_caption(query).lower() if query else ""
    if query and not word:
        raise RecipeError(f"--query {query!r} has nothing visible", fix="--query 狗")
    with StoreReader(store) as reader:
        choice = choose(
            reader,
            ids=named,
            kind=kind,
            says=(lambda caption: word in normalize_caption(caption).lower()) if word else None,
            captions=captions,
            skip_unknown=skip_unknown,
        )
        asked = {"query": query, "ids": None if named is None else len(named), "captions": captions}
        facts: dict[str, Any] = {"kind": "subset", **origin_of(reader), **asked}
        source = DerivedSource([reader], choice, {name: value for name, value in facts.items() if value})
        rebuild(source, target, shard_size, overwrite)
    return 0


def merge(
    stores: list[Path],
    target: Path,
    *,
    prefix: bool = False,
    duplicates: Duplicates = "keep",
    index: bool = False,
    shard_size: str = DEFAULT_SHARD_SIZE,
    overwrite: bool = False,
) -> int:
    """Make one store of several: their rows, one store after the other.

    Ids that two stores have are an error that lists them, unless --prefix true puts each store's folder name
    and a slash before its ids. With --duplicates drop, pictures with the same bytes become one, the first,
    which gets the captions of the others; a caption with the same id, text and pictures is taken once.

    With --index true nothing is copied: the target names the stores, by their paths from it, and reads like
    one store. They must stay as they are, and where they are seen from the target. This joins what
    `cnclip data build --shard-of i/n` made on many machines.

    Examples:
        cnclip data merge stores/muge-train stores/flickr-train stores/both
        cnclip data merge stores/a stores/b stores/c stores/all --prefix true
        cnclip data merge stores/old stores/new stores/all --duplicates drop
        cnclip data merge stores/part-0 stores/part-1 stores/whole --index true

    Args:
        stores: two or more folders made by `cnclip data build`.
        target: the store to make, the last word.
        prefix: put the store's folder name before its ids.
        duplicates: keep takes all pictures, drop takes the first of those with the same bytes.
        index: name the stores instead of copying their rows.
        shard_size: of one file of the store, such as 512MB, 4GB or 10000images.
        overwrite: replace a store that is there.
    """
    refuse_existing([target], stores, overwrite)
    if index and (prefix or duplicates != "keep" or shard_size != DEFAULT_SHARD_SIZE):
        raise RecipeError(
            "an index copies no rows: ids, pictures and files stay as they are",
            fix="leave out --prefix, --duplicates and --shard-size, or --index true",
        )
    with ExitStack() as stack:
        readers = [stack.enter_context(StoreReader(store)) for store in stores]
        bar = stack.enter_context(StepBar())
        if index:
            header = write_index(readers, target, overwrite=overwrite, progress=bar.of_total)
            bar.close()
            print(f"{target}: {header.images} pictures, {header.texts} captions, {header.pairs} pairs")
            names = [part.path for part in header.parts]
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            print(f"  names {len(names)} stores and copies no picture: {', '.join(names[:5])}{more}")
            return 0
        source = merged(readers, prefix=prefix, duplicates=duplicates, progress=bar.of_total)
        bar.close()
        report = rebuild(source, target, shard_size, overwrite)
        read = sum(reader.image_count for reader in readers)
        print(f"{read} pictures read = {report.images} written + {read - report.images} dropped as equal")
    return 0


def run_merge(argv: list[str]) -> int:
    """`merge` with its arguments from a command line: stores, then the target, and options anywhere."""
    words: list[str] = []
    options: list[str] = []
    rest = iter(argv)
    for word in rest:
        if not word.startswith("-"):
            words.append(word)
            continue
        options.append(word)
        if "=" not in word and word not in ("-h", "--help"):
            options.extend(value for value in [next(rest, None)] if value is not None)
    if words and len(words) < 3 and not {"-h", "--help"}.intersection(options):
        raise RecipeError(
            f"{len(words)} words: two stores and a target are the least",
            fix="cnclip data merge STORE STORE [STORE …] TARGET",
        )
    placed = [json.dumps(words[:-1], ensure_ascii=False), words[-1]] if words else []
    return merge(**parse_call(merge, [*placed, *options], prog="cnclip data merge"))
