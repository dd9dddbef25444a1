"""Pictures sorted into class folders, and a file with the classes' Chinese names: captions by templates."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from cnclip.errors import SourceError
from cnclip.stores.raw.files import read_picture
from cnclip.stores.raw.lines import Encoding, LineFile
from cnclip.stores.raw.rows import (
    BadRow,
    RawImage,
    RawText,
    Report,
    RowProblem,
    clean_caption,
    clean_id,
    shown,
)
from cnclip.stores.raw.walk import is_picture, nfc, told_before, walk

LABEL_FILES = ("labels.txt", "classes.txt", "label_cn.txt", "labels_zh.txt", "类别.txt", "标签.txt")
DEFAULT_TEMPLATES = ("{}", "一张{}的照片", "一张{}的图片", "图中是{}", "这是{}")


class ClassFolderSource:
    """`狗/一.jpg`, `猫/二.jpg` and a label file; every picture gets one caption per template.

    The label file has a line `folder<TAB>中文名` for each class. One with names only must name the folders
    themselves, or have as many lines as there are folders: line i then belongs to the i-th in sorted order.

    Args:
        path: the folder that holds the classes' folders.
        labels: the label file; None = the first of LABEL_FILES in `path`.
        templates: a file with a sentence per line, `{}` where the name goes; None = DEFAULT_TEMPLATES.
        encoding: of both files; auto looks at them.

    Raises:
        SourceError: no label file, a folder without a name, a name without a folder, a bad template.
    """

    def __init__(
        self,
        path: Path,
        *,
        labels: Path | None = None,
        templates: Path | None = None,
        encoding: Encoding = "auto",
    ) -> None:
        self.root = path.resolve()
        found = labels or find_labels(path)
        if found is None:
            raise SourceError(
                "no label file for the class folders",
                where=str(path),
                fix=f"write {path / LABEL_FILES[0]} with lines of folder<TAB>中文名, or give --labels",
            )
        self._names = _class_names(found, class_folders(self.root), encoding)
        self._templates = DEFAULT_TEMPLATES if templates is None else _templates(templates, encoding)
        self.inputs: tuple[Path, ...] = (found,) if templates is None else (found, templates)
        self.facts = {"kind": "classes", "classes": len(self._names), "templates": len(self._templates)}
        self.share_read: float | None = 0.0

    def images(self, report: Report) -> Iterator[RawImage]:
        """Pictures class by class, in sorted order; their ids are their paths."""
        for _, file in self._pictures(report):
            where = file.relative_to(self.root).as_posix()
            try:
                yield RawImage(clean_id(where, "file name"), where, partial(read_picture, file), origin=where)
            except RowProblem as problem:
                report(BadRow(shown(where), "", str(problem)))

    def texts(self, report: Report) -> Iterator[RawText]:
        """For each picture its class in every template; the ids are `狗/一.jpg#1`, `狗/一.jpg#2`, …."""
        for name, file in self._pictures(told_before):
            try:
                image_id = clean_id(file.relative_to(self.root).as_posix(), "file name")
            except RowProblem:
                continue  # told when the pictures were read
            for number, template in enumerate(self._templates, 1):
                text_id = f"{image_id}#{number}"
                try:
                    caption = clean_caption(template.replace("{}", name), "the caption")
                    yield RawText(text_id, caption, (image_id,), shown(image_id))
                except RowProblem as problem:
                    report(BadRow(shown(image_id), text_id, str(problem)))

    def _pictures(self, report: Report) -> Iterator[tuple[str, Path]]:
        """(Chinese name, picture file)."""
        for number, (folder, name) in enumerate(self._names.items()):
            self.share_read = number / len(self._names)
            for files in walk(self.root, report, self.root / folder):
                yield from ((name, file) for file in files if is_picture(file))


def find_labels(folder: Path) -> Path | None:
    """The label file in a folder of class folders."""
    return next((folder / name for name in LABEL_FILES if (folder / name).is_file()), None)


def class_folders(root: Path) -> list[str]:
    """Names of the subfolders, sorted; hidden ones and links are no classes."""
    names = [entry.name for entry in root.iterdir() if entry.is_dir() and not entry.is_symlink()]
    return sorted((name for name in names if not name.startswith(".")), key=lambda name: (nfc(name), name))


def _class_names(file: Path, folders: list[str], encoding: Encoding) -> dict[str, str]:
    """Folder -> Chinese name, in the order of the folders."""
    rows = [line.split("\t") for line in _lines(file, encoding)]
    if any(len(row) != len(rows[0]) or len(row) > 2 for row in rows):
        raise SourceError(
            "the label file has ids on some lines only",
            where=str(file),
            fix="write folder<TAB>中文名 on each line",
        )
    by_folder = {nfc(folder): folder for folder in folders}
    names = {nfc(row[0].strip()): row[-1].strip() for row in rows}
    if len(names) != len(rows):
        raise SourceError("the label file names a class twice", where=str(file), fix="keep one line for each")
    if len(rows[0]) == 1 and not set(names) & set(by_folder):
        if len(rows) != len(folders):
            what = f"{len(rows)} names for {len(folders)} class folders"
            raise SourceError(what, where=str(file), fix="write folder<TAB>中文名 on each line")
        return dict(zip(folders, names.values(), strict=True))
    unnamed = [folder for key, folder in by_folder.items() if key not in names]
    missing = [key for key in names if key not in by_folder]
    if unnamed or missing:
        what, whose = ("no name for the folder", unnamed) if unnamed else ("no folder for the class", missing)
        shown_names = "、".join(shown(name) for name in whose[:10])
        fix = "write a line folder<TAB>中文名 for each folder"
        raise SourceError(f"{what} {shown_names} ({len(whose)} in all)", where=str(file), fix=fix)
    return {folder: names[key] for key, folder in by_folder.items()}


def _templates(file: Path, encoding: Encoding) -> tuple[str, ...]:
    lines = _lines(file, encoding)
    for line in lines:
        if "{}" not in line:
            raise SourceError(
                f"a template without {{}}: {shown(line)}", where=str(file), fix="write {} for the name"
            )
    return tuple(lines)


def _lines(file: Path, encoding: Encoding) -> list[str]:
    """All lines of a short file; one that cannot be read is an error."""
    problems: list[BadRow] = []
    source = LineFile(file, root=file.parent, encoding=encoding)
    lines = [line.strip() for _, line in source.lines(problems.append)]
    if problems:
        raise SourceError(
            problems[0].reason, where=f"{file.parent}/{problems[0].where}", fix="save it as UTF-8"
        )
    if not lines:
        raise SourceError("the file is empty", where=str(file), fix="write a line for each class or template")
    return lines
