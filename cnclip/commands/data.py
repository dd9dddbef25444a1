"""`cnclip data stats`, `cnclip data show`: look into a store."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cnclip.artifacts import atomic_file
from cnclip.commands.data_build import build
from cnclip.commands.data_summary import contents, found_image, found_text, vocabulary_report
from cnclip.errors import RecipeError, UnknownNameError
from cnclip.stores.reader import StoreReader

__all__ = ["build", "show", "stats"]


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
