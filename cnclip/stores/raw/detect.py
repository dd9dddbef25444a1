"""Which of the known forms a path has, and by what that is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import cast

from cnclip.errors import SourceError
from cnclip.stores.raw.arrow_files import ARROW_SUFFIXES
from cnclip.stores.raw.classes import find_labels
from cnclip.stores.raw.cn_clip_splits import is_split_file, is_zip, splits_of
from cnclip.stores.raw.coco import coco_files, is_coco
from cnclip.stores.raw.encodings import detect_encoding
from cnclip.stores.raw.file_splits import split_of
from cnclip.stores.raw.flickr import flickr_files, is_flickr
from cnclip.stores.raw.lmdb_splits import is_lmdb_split, lmdb_splits
from cnclip.stores.raw.options import SOURCE_KINDS, SourceKind
from cnclip.stores.raw.places import open_file
from cnclip.stores.raw.remote import is_url, local_path
from cnclip.stores.raw.remote_names import remote_kinds
from cnclip.stores.raw.rows import shown
from cnclip.stores.raw.shards import is_pattern
from cnclip.stores.raw.table_rows import TABLE_SUFFIXES, is_table, table_in
from cnclip.stores.raw.tar_shard import TAR_SUFFIXES
from cnclip.stores.raw.walk import is_picture, told_before, walk
from cnclip.stores.raw.webdataset import is_tar

_MOST_ENTRIES = 2000  # names of a folder that are looked at
_PARQUET_MAGIC = b"PAR1"


@dataclass(frozen=True)
class Detected:
    """A kind of source and what gave it away."""

    kind: SourceKind
    why: str


def detect(place: Path | str) -> Detected:
    """The kind of a file, a folder, a name with braces or stars, or a URL.

    Raises:
        SourceError: unknown, or several kinds at once; says what was seen.
        ResourceError: a URL whose package is not installed.
    """
    if is_url(place):
        kinds = remote_kinds(str(place), {"webdataset": TAR_SUFFIXES, "parquet": ARROW_SUFFIXES})
        return _the_one([Detected(cast(SourceKind, kind), why) for kind, why in kinds.items()], str(place))
    path = local_path(place)
    if path.is_dir():
        return _detect_folder(path)
    if not path.exists():
        name = path.name.lower()
        if is_pattern(path) and is_tar(path):
            return Detected("webdataset", "a name with braces or stars that ends in .tar")
        if is_pattern(path) and name.endswith(ARROW_SUFFIXES):
            return Detected("parquet", "a name with braces or stars that ends in .parquet")
        raise SourceError(f"no such file or folder: {path}", where=str(path), fix="check the path")
    found = _detect_file(path)
    if found is None:
        raise SourceError(
            f"not a known source: {path.name} {_start_of(path)}",
            where=str(path),
            fix=f"give a folder, a table ({', '.join(TABLE_SUFFIXES[:3])}), COCO's JSON, caption lines"
            " (name.jpg#0 …), *.tar, *.parquet or cn_clip's files; unpack other archives, save Excel's"
            " .xlsx as CSV UTF-8",
        )
    return found


def _detect_file(path: Path) -> Detected | None:
    name = path.name.lower()
    if is_split_file(path.name):
        return Detected("cn_clip", "its name is that of a cn_clip split")
    if is_zip(path):
        splits = splits_of(path)
        return Detected("cn_clip", f"a zip of cn_clip's files: {', '.join(splits)}") if splits else None
    if is_tar(path):
        return Detected("webdataset", "a tar archive")
    if name.endswith(ARROW_SUFFIXES):
        whole = not name.endswith(".parquet") or _is_parquet(path)
        return Detected("parquet", f"a {path.suffix} file") if whole else None
    if name.endswith((".json", ".json.gz")) and is_coco(path):
        return Detected("coco", "JSON with lists of images and of annotations with captions")
    if path.suffix.lower() in (".txt", ".token", ".csv") and is_flickr(path):
        return Detected("flickr", "lines of name.jpg#0 and a caption")
    if is_table(path):
        return Detected("table", f"a table by its name: {path.suffix}")
    if path.suffix.lower() == ".txt" and _is_utf16(path):
        return Detected("table", "UTF-16 text as Excel saves it")
    return None


def _detect_folder(path: Path) -> Detected:
    """Caption files at the top decide; only then is it a folder of pictures."""
    if is_lmdb_split(path):
        return Detected("lmdb", "imgs/data.mdb and pairs/data.mdb")
    found = [*_text_kinds(path), *_shard_kinds(path)]
    kinds = {detected.kind for detected in found}
    if kinds >= {"cn_clip", "lmdb"}:  # cn_clip makes its LMDB beside the files it is made of
        found = [detected for detected in found if detected.kind != "lmdb"]
        kinds.discard("lmdb")
    return _the_one(found, str(path)) if found else _picture_folder(path)


def _the_one(found: list[Detected], where: str) -> Detected:
    kinds = {detected.kind for detected in found}
    if len(kinds) == 1:
        return found[0]
    seen = "; ".join(f"{detected.kind}: {detected.why}" for detected in found)
    raise SourceError(
        f"several kinds of source in one folder: {seen}",
        where=where,
        fix=" or ".join(f"--kind {kind}" for kind in SOURCE_KINDS if kind in kinds),
    )


def _text_kinds(path: Path) -> Iterator[Detected]:
    splits = splits_of(path)
    if splits:
        yield Detected("cn_clip", f"files of the splits {', '.join(splits)}")
    stores = lmdb_splits(path)
    if stores:
        yield Detected("lmdb", f"imgs/data.mdb and pairs/data.mdb of {', '.join(stores)}")
    coco = coco_files(path)
    if coco:
        yield Detected("coco", f"COCO captions in {', '.join(file.name for file in coco)}")
    flickr = flickr_files(path)
    if flickr:
        yield Detected("flickr", f"lines of name.jpg#0 in {', '.join(file.name for file in flickr)}")


def _shard_kinds(path: Path) -> Iterator[Detected]:
    names = sorted(entry.name for entry in islice(path.iterdir(), _MOST_ENTRIES))
    tars = [name for name in names if is_tar(Path(name)) and not name.startswith(".")]
    if tars:
        yield Detected("webdataset", f"{len(tars)} tar archives, such as {shown(tars[0])}")
    stems = {Path(name).stem for name in tars} | {name for name in names if (path / name).is_dir()}
    # img2dataset keeps a table of facts, 00000.parquet, beside 00000.tar or 00000/
    arrows = [name for name in _arrow_names(path, names) if Path(name).stem not in stems]
    if arrows:
        splits = sorted({name for file in arrows if (name := split_of(Path(path / file)))})
        said = f" of {', '.join(splits)}" if splits else ""
        yield Detected("parquet", f"Parquet or Arrow files{said}, such as {shown(arrows[0])}")


def _arrow_names(path: Path, names: list[str]) -> list[str]:
    """Parquet and Arrow files of a folder and of its subfolders (Hugging Face has data/ or train/)."""
    found = [name for name in names if name.endswith(ARROW_SUFFIXES)]
    for name in names:
        folder = path / name
        if not found and not name.startswith(".") and folder.is_dir():
            inside = islice(folder.iterdir(), _MOST_ENTRIES)
            found = sorted(f"{name}/{file.name}" for file in inside if file.name.endswith(ARROW_SUFFIXES))
    return found


def _picture_folder(path: Path) -> Detected:
    names = [entry.name for entry in islice(path.iterdir(), _MOST_ENTRIES)]
    labels = find_labels(path)
    if labels is not None and not any(is_picture(Path(name)) for name in names):
        return Detected("classes", f"folders of pictures and their names in {labels.name}")
    table = table_in(path)
    if table is not None and (
        table.name.startswith("metadata.") or not any(name.endswith(".txt") for name in names)
    ):
        return Detected("table", f"pictures and the table {table.name}")
    _expect_pictures(path)
    return Detected("folder", "a folder of pictures with captions of the same name")


def _expect_pictures(path: Path) -> None:
    """Refuse a folder that has been looked through and holds no picture.

    Raises:
        SourceError: says which files there are.
    """
    endings: Counter[str] = Counter()
    looked = 0
    for files in walk(path.resolve(), told_before):
        endings.update(file.suffix.lower() or "(no ending)" for file in files)
        looked += max(1, len(files))
        if any(is_picture(file) for file in files) or looked > _MOST_ENTRIES:
            return
    seen = ", ".join(f"{count} {ending}" for ending, count in endings.most_common(8)) or "nothing"
    raise SourceError(
        f"not a known source: the folder holds {seen}",
        where=str(path),
        fix="give a folder with pictures, or --kind " + ", ".join(SOURCE_KINDS),
    )


def _is_parquet(path: Path) -> bool:
    with open_file(path) as file:
        if file.seek(0, 2) < 12:
            return False
        file.seek(0)
        begins = file.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC
        file.seek(-len(_PARQUET_MAGIC), 2)
        ends = file.read() == _PARQUET_MAGIC
    if begins and not ends:
        raise SourceError("the Parquet file is cut", where=str(path), fix="copy or download it again")
    return ends


def _is_utf16(path: Path) -> bool:
    with open_file(path) as file:
        return detect_encoding(file.read(4)).encoding == "utf-16"


def _start_of(path: Path) -> str:
    with open_file(path) as file:
        start = file.read(16)
    return f"begins with {start!r}" if start else "is empty"
