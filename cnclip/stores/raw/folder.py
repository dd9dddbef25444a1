"""A folder of pictures, each with its captions in a text file of the same name, one caption per line."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from cnclip.errors import CnclipError, SourceError
from cnclip.stores.raw.files import PICTURE_SUFFIXES, read_picture
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


class FolderSource:
    """Pictures of a folder and its subfolders in the order of their names.

    `狗/一.jpg` has the id `狗/一.jpg`; its captions are the lines of `狗/一.txt` (or `狗/一.jpg.txt`). A
    picture without captions is kept. Hidden files, and files that are neither, are passed over. Symbolic
    links are followed to files inside the folder only.

    Raises:
        SourceError: not a folder.
    """

    def __init__(self, path: Path, *, encoding: Encoding = "utf-8") -> None:
        if not path.is_dir():
            raise SourceError(f"not a folder: {path}", where=str(path), fix="check the path")
        self.root = path.resolve()
        self.inputs: tuple[Path, ...] = ()
        self.facts = {"kind": "folder", "name": self.root.name}
        self._encoding = encoding

    @property
    def share_read(self) -> float | None:
        return None

    def images(self, report: Report) -> Iterator[RawImage]:
        """Pictures in sorted order."""
        for files in self._folders(self.root, report):
            for file in filter(_is_picture, files):
                where = self._where(file)
                try:
                    yield RawImage(
                        clean_id(where, "file name"), where, partial(read_picture, file), origin=where
                    )
                except RowProblem as problem:
                    report(BadRow(shown(where), "", str(problem)))

    def texts(self, report: Report) -> Iterator[RawText]:
        """Captions in sorted order; the id of the second line of `狗/一.txt` is `狗/一.txt#2`."""
        for files in self._folders(self.root, _told_before):
            pictures: dict[str, list[str]] = {}
            for file in filter(_is_picture, files):
                image_id = unicodedata.normalize("NFC", self._where(file))
                pictures.setdefault(_nfc(file.name), []).append(image_id)
                pictures.setdefault(_nfc(file.stem), []).append(image_id)
            for file in files:
                if file.suffix.lower() == ".txt":
                    yield from self._captions(file, tuple(pictures.get(_nfc(file.stem), ())), report)

    def _captions(self, file: Path, image_ids: tuple[str, ...], report: Report) -> Iterator[RawText]:
        where = self._where(file)
        if not image_ids:
            report(BadRow(shown(where), "", "no picture of this name: a caption file needs one beside it"))
            return
        try:
            lines = LineFile(file, root=self.root, encoding=self._encoding)
        except CnclipError as error:
            report(BadRow(shown(where), "", f"unreadable caption file: {error.what}"))
            return
        for number, line in lines.lines(report):
            text_id = f"{_nfc(where)}#{number}"
            try:
                yield RawText(
                    text_id, clean_caption(line.strip(), "the line"), image_ids, lines.where(number)
                )
            except RowProblem as problem:
                report(BadRow(lines.where(number), text_id, str(problem)))

    def _folders(self, folder: Path, report: Report) -> Iterator[list[Path]]:
        """The files of `folder`, then of each subfolder, sorted by NFC name so that two machines agree."""
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: (_nfc(entry.name), entry.name))
        except OSError as error:
            report(
                BadRow(
                    shown(self._where(folder)), "", f"cannot read the folder: {os.strerror(error.errno or 0)}"
                )
            )
            return
        entries = [entry for entry in entries if not entry.name.startswith(".")]
        yield [
            Path(entry.path)
            for entry in entries
            if (self._links_inside(entry, report) if entry.is_symlink() else entry.is_file())
        ]
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from self._folders(Path(entry.path), report)

    def _links_inside(self, entry: os.DirEntry[str], report: Report) -> bool:
        """Whether a symbolic link leads to a file of this folder; anything else is reported."""
        try:
            target = Path(entry.path).resolve(strict=True)
        except (OSError, RuntimeError):
            detail = "it leads nowhere"
        else:
            if target.is_relative_to(self.root) and target.is_file():
                return True
            inside = target.is_relative_to(self.root)
            detail = "links to folders are not followed" if inside else "it leads out of the folder"
        report(BadRow(shown(self._where(Path(entry.path))), "", f"symbolic link: {detail}"))
        return False

    def _where(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in PICTURE_SUFFIXES


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _told_before(_: BadRow) -> None:
    """What is wrong with a folder has been told when its pictures were read."""
