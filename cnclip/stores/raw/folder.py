"""A folder of pictures, each with its captions in a .txt or .json file of the same name."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from cnclip.errors import CnclipError, SourceError
from cnclip.stores.raw.captions import captions_of
from cnclip.stores.raw.files import read_picture
from cnclip.stores.raw.lines import Encoding, LineFile, parse_object
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

MAX_SIDECAR_BYTES = 1 << 20


class FolderSource:
    """Pictures of a folder and its subfolders in the order of their names.

    `狗/一.jpg` has the id `狗/一.jpg`; its captions are the lines of `狗/一.txt` (or `狗/一.jpg.txt`), or,
    where there is no such file, those under `caption`, `captions` or `text` in `狗/一.json` (img2dataset
    writes both, with the same caption). A picture without captions is kept; a caption file without text is a
    bad row. Hidden files, and files that are neither, are passed over. Symbolic links are followed to files
    inside the folder only.

    Args:
        path: the folder.
        encoding: of the caption files.

    Attributes:
        wants_captions: a store without a single caption would be a mistake; set where the kind was guessed.

    Raises:
        SourceError: not a folder.
    """

    def __init__(self, path: Path, *, encoding: Encoding = "utf-8") -> None:
        if not path.is_dir():
            raise SourceError(f"not a folder: {path}", where=str(path), fix="check the path")
        self.root = path.resolve()
        self.inputs: tuple[Path, ...] = ()
        self.facts = {"kind": "folder", "name": self.root.name}
        self.wants_captions = False
        self._encoding: Encoding = "utf-8" if encoding == "auto" else encoding

    @property
    def share_read(self) -> float | None:
        return None

    def images(self, report: Report) -> Iterator[RawImage]:
        """Pictures in sorted order."""
        for files in walk(self.root, report):
            for file in filter(is_picture, files):
                where = self._where(file)
                try:
                    yield RawImage(
                        clean_id(where, "file name"), where, partial(read_picture, file), origin=where
                    )
                except RowProblem as problem:
                    report(BadRow(shown(where), "", str(problem)))

    def texts(self, report: Report) -> Iterator[RawText]:
        """Captions in sorted order; the id of the second line of `狗/一.txt` is `狗/一.txt#2`."""
        for files in walk(self.root, told_before):
            pictures: dict[str, list[str]] = {}
            for file in filter(_is_named_picture, files):
                image_id = nfc(self._where(file))
                pictures.setdefault(nfc(file.name), []).append(image_id)
                pictures.setdefault(nfc(file.stem), []).append(image_id)
            with_lines = {nfc(file.stem) for file in files if file.suffix.lower() == ".txt"}
            for file in files:
                stem, suffix = nfc(file.stem), file.suffix.lower()
                image_ids = tuple(pictures.get(stem, ()))
                if suffix == ".txt":
                    yield from self._lines(file, image_ids, report)
                elif suffix == ".json" and image_ids and stem not in with_lines:
                    yield from self._object(file, image_ids, report)

    def _lines(self, file: Path, image_ids: tuple[str, ...], report: Report) -> Iterator[RawText]:
        where = self._where(file)
        if not image_ids:
            report(BadRow(shown(where), "", "no picture of this name: a caption file needs one beside it"))
            return
        try:
            lines = LineFile(file, root=self.root, encoding=self._encoding)
        except CnclipError as error:
            report(BadRow(shown(where), "", f"unreadable caption file: {error.what}"))
            return
        is_blank = True

        def tell(bad: BadRow) -> None:
            nonlocal is_blank
            is_blank = False
            report(bad)

        for number, line in lines.lines(tell):
            is_blank = False
            text_id = f"{nfc(where)}#{number}"
            try:
                yield RawText(
                    text_id, clean_caption(line.strip(), "the line"), image_ids, lines.where(number)
                )
            except RowProblem as problem:
                report(BadRow(lines.where(number), text_id, str(problem)))
        if is_blank:
            reason = "empty caption: the file has no text; delete it to keep its picture without a caption"
            report(BadRow(shown(where), "", reason))

    def _object(self, file: Path, image_ids: tuple[str, ...], report: Report) -> Iterator[RawText]:
        where = shown(self._where(file))
        try:
            fields = read_object(file, self._encoding)
        except RowProblem as problem:
            report(BadRow(where, "", str(problem)))
            return
        row_id = nfc(self._where(file))
        yield from captions_of(fields, row_id=row_id, image_ids=image_ids, where=where, report=report)

    def _where(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def _is_named_picture(file: Path) -> bool:
    """A picture whose name is text; others were refused when the pictures were read."""
    return is_picture(file) and not any("\ud800" <= character <= "\udfff" for character in str(file))


def read_object(file: Path, encoding: Encoding = "utf-8") -> dict[str, Any]:
    """The JSON object that a sidecar file is.

    Raises:
        RowProblem: unreadable, over 1 MiB, another encoding, not one JSON object.
    """
    try:
        with open(file, "rb") as stream:
            data = stream.read(MAX_SIDECAR_BYTES + 1)
    except OSError as error:
        raise RowProblem(f"unreadable caption file: {error.strerror}") from None
    return object_of(data, encoding)


def object_of(data: bytes, encoding: Encoding = "utf-8") -> dict[str, Any]:
    """The JSON object in some bytes.

    Raises:
        RowProblem: over 1 MiB, another encoding, not one JSON object.
    """
    if len(data) > MAX_SIDECAR_BYTES:
        raise RowProblem(f"caption file too large: over {MAX_SIDECAR_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        raise RowProblem(f"not {encoding}: byte {error.start + 1} is 0x{data[error.start]:02x}") from None
    return parse_object(text)
