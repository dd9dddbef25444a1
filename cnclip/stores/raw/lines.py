"""Lines of text files with their numbers; what cannot be read is named by file:line with the way out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

from cnclip.errors import ResourceError, SourceError
from cnclip.stores.raw.rows import BadRow, Report, RowProblem

Encoding = Literal["utf-8", "gb18030", "big5"]  # in all of them the byte 0x0A is a line end and nothing else
MAX_LINE_BYTES = 64 * 1024 * 1024 * 4 // 3 + 4096  # a picture of 64 MiB in base64, and its id
_BOM = b"\xef\xbb\xbf"
_FOREIGN_STARTS = (
    (b"\xff\xfe", "UTF-16", "iconv -f UTF-16 -t UTF-8 {name} > utf8_{name}"),
    (b"\xfe\xff", "UTF-16", "iconv -f UTF-16 -t UTF-8 {name} > utf8_{name}"),
    (b"\x1f\x8b", "compressed (gzip)", "gunzip {name}"),
    (b"PK\x03\x04", "a zip archive or a spreadsheet", "unzip it, or save the sheet as CSV UTF-8"),
)


class LineFile:
    """A text file read line by line, once or several times.

    Args:
        path: the file.
        root: messages name the file relative to this folder.
        encoding: of the text.

    Raises:
        SourceError: no such file, or one that is UTF-16 or compressed.
        ResourceError: no permission.
    """

    def __init__(self, path: Path, *, root: Path, encoding: Encoding = "utf-8") -> None:
        self.path = path
        self.encoding = encoding
        self.name = path.relative_to(root).as_posix()
        self.share_read = 0.0
        with _opened(path) as file:
            start = file.read(4)
        for magic, what, fix in _FOREIGN_STARTS:
            if start.startswith(magic):
                raise SourceError(f"{path.name} is {what}", where=str(path), fix=fix.format(name=path.name))

    def where(self, number: int) -> str:
        """`file:line`, lines counted from 1."""
        return f"{self.name}:{number}"

    def byte_lines(self, report: Report) -> Iterator[tuple[int, bytes]]:
        """Numbers and lines without their ends, BOM and CR; blank lines are passed over.

        A line over 86 MiB is reported, and skipped without being held in memory.
        """
        size = max(1, self.path.stat().st_size)
        with _opened(self.path) as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES):
                number += 1
                self.share_read = file.tell() / size
                if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
                    _skip_line(file)
                    report(BadRow(self.where(number), "", f"line too long: over {MAX_LINE_BYTES} bytes"))
                    continue
                if number == 1:
                    line = line.removeprefix(_BOM)
                line = line.rstrip(b"\r\n")
                if line.strip():
                    yield number, line

    def lines(self, report: Report) -> Iterator[tuple[int, str]]:
        """Numbers and decoded lines; a line in another encoding is reported."""
        for number, line in self.byte_lines(report):
            try:
                yield number, self.decode(line)
            except RowProblem as problem:
                report(BadRow(self.where(number), "", str(problem)))

    def objects(self, report: Report) -> Iterator[tuple[int, dict[str, Any]]]:
        """Numbers and JSON objects, one per line; what is none is reported."""
        for number, line in self.lines(report):
            try:
                yield number, parse_object(line)
            except RowProblem as problem:
                report(BadRow(self.where(number), "", str(problem)))

    def decode(self, line: bytes) -> str:
        """The text of a line.

        Raises:
            RowProblem: not in the file's encoding; names the byte and, where likely, the right encoding.
        """
        try:
            return line.decode(self.encoding)
        except UnicodeDecodeError as error:
            reason = f"not {self.encoding}: byte {error.start + 1} of the line is 0x{line[error.start]:02x}"
            raise RowProblem(reason + _better_encoding(line, self.encoding)) from None


def parse_object(line: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        RowProblem: not JSON, or JSON of another kind.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        detail = str(error).split(":")[0] or type(error).__name__
        raise RowProblem(f"not JSON: {detail}") from None
    if not isinstance(value, dict):
        raise RowProblem("not a JSON object: the line must look like {…}")
    return value


def _better_encoding(line: bytes, tried: str) -> str:
    for encoding in ("utf-8", "gb18030"):
        if encoding == tried:
            continue
        try:
            text = line.decode(encoding)
        except UnicodeDecodeError:
            continue
        if any("一" <= character <= "鿿" for character in text):
            return f"; looks like {encoding.upper()}, use --encoding {encoding}"
    return ""


def _skip_line(file: BinaryIO) -> None:
    while (rest := file.readline(1 << 20)) and not rest.endswith(b"\n"):
        pass


def _opened(path: Path) -> BinaryIO:
    try:
        return open(path, "rb")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise SourceError(f"no such file: {path}", where=str(path), fix="check the path") from None
    except PermissionError:
        raise ResourceError(f"no permission to read {path}", where=str(path), fix="chmod +r") from None
