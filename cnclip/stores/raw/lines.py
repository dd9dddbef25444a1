"""Lines of text files with their numbers; what cannot be read is named by file:line with the way out."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from cnclip.errors import SourceError
from cnclip.stores.raw.encodings import SAMPLE_BYTES, Encoding, detect_encoding
from cnclip.stores.raw.places import DAMAGES, Place, Utf8FromUtf16
from cnclip.stores.raw.rows import BadRow, Report, RowProblem

__all__ = ["MAX_LINE_BYTES", "Encoding", "LineFile", "parse_object"]

MAX_LINE_BYTES = 64 * 1024 * 1024 * 4 // 3 + 4096  # a picture of 64 MiB in base64, and its id
_BOM = b"\xef\xbb\xbf"
_FOREIGN_STARTS = (
    (b"\xff\xfe", "UTF-16", "iconv -f UTF-16 -t UTF-8 {name} > utf8_{name}"),
    (b"\xfe\xff", "UTF-16", "iconv -f UTF-16 -t UTF-8 {name} > utf8_{name}"),
    (b"\x1f\x8b", "compressed (gzip)", "gunzip {name}"),
    (b"PK\x03\x04", "a zip archive or a spreadsheet", "unzip it, or save the sheet as CSV UTF-8"),
)


class LineFile:
    """A text file read line by line, once or several times; .gz and members of a zip are decompressed.

    Args:
        place: the file.
        root: messages name the file relative to this folder.
        encoding: of the text; auto looks at its first bytes.

    Attributes:
        encoding: of the text, never auto.
        encoding_why: what gave it away; "" where it was given.

    Raises:
        SourceError: no such file, or one that is UTF-16 without being told, or compressed.
        ResourceError: no permission.
    """

    def __init__(self, place: Path | Place, *, root: Path, encoding: Encoding = "utf-8") -> None:
        self.place = Place(place) if isinstance(place, Path) else place
        self.path = self.place.path
        self.encoding = encoding
        self.encoding_why = ""
        self.name = self.place.shown(root)
        self.share_read = 0.0
        start = self._start()
        if encoding == "auto":
            found = detect_encoding(start)
            self.encoding, self.encoding_why = found.encoding, found.why
        self._bytes_encoding = "utf-8" if self.encoding == "utf-16" else self.encoding
        for magic, what, fix in _FOREIGN_STARTS:
            if start.startswith(magic) and not (what == "UTF-16" and self.encoding == "utf-16"):
                fix = fix.format(name=self.place.name)
                raise SourceError(f"{self.place.name} is {what}", where=str(self.path), fix=fix)

    def where(self, number: int) -> str:
        """`file:line`, lines counted from 1."""
        return f"{self.name}:{number}"

    def byte_lines(self, report: Report) -> Iterator[tuple[int, bytes]]:
        """Numbers and lines without their ends, BOM and CR; blank lines are passed over.

        UTF-16 comes as UTF-8. A line over 86 MiB is reported, and skipped without being held in memory.

        Raises:
            SourceError: a compressed file that is cut or damaged: nobody knows how many rows are lost.
        """
        with self.place.open() as opened:
            stream = opened.stream
            if self.encoding == "utf-16":
                stream = cast(BinaryIO, io.BufferedReader(Utf8FromUtf16(stream)))
            number = 0
            while line := self._read(stream, number):
                number += 1
                self.share_read = opened.share()
                if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
                    self._skip_line(stream, number)
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
            return line.decode(self._bytes_encoding)
        except UnicodeDecodeError as error:
            reason = f"not {self.encoding}: byte {error.start + 1} of the line is 0x{line[error.start]:02x}"
            raise RowProblem(reason + _better_encoding(line, self.encoding)) from None

    def _start(self) -> bytes:
        with self.place.open() as opened:
            try:
                return opened.stream.read(SAMPLE_BYTES)
            except DAMAGES as error:
                raise self._damaged(0, error) from None

    def _read(self, stream: BinaryIO, number: int, limit: int | None = None) -> bytes:
        try:
            return stream.readline(MAX_LINE_BYTES if limit is None else limit)
        except (*DAMAGES, UnicodeDecodeError) as error:
            raise self._damaged(number, error) from None

    def _skip_line(self, stream: BinaryIO, number: int) -> None:
        while (rest := self._read(stream, number, 1 << 20)) and not rest.endswith(b"\n"):
            pass

    def _damaged(self, number: int, error: Exception) -> SourceError:
        what = f"{self.place.name} is cut or damaged after line {number}: {error or type(error).__name__}"
        return SourceError(what, where=f"{self.path}:{number}", fix="copy or download the file again")


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
