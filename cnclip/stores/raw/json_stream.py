"""Items of the long lists in a JSON file, one by one, in flat memory."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cnclip.errors import SourceError
from cnclip.stores.raw.places import DAMAGES, Place

MAX_ITEM_CHARACTERS = 4 << 20
_PIECE_BYTES = 1 << 18
_SPACE = " \t\r\n"
_NUMBER_TAIL = frozenset("0123456789+-.eE")


class JsonFile:
    """A JSON file whose value at the top is an object or a list.

    Args:
        path: the file; .gz is decompressed.
        name: for messages.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.place = Place(path)
        self.name = name
        self.share_read = 0.0

    def names(self) -> Iterator[str]:
        """Keys of the object at the top, in order; nothing for a list.

        Raises:
            SourceError: not JSON.
        """
        for key, text in self._members():
            if key is not None:
                yield key
            text.skip_value()

    def items(self, key: str | None) -> Iterator[tuple[int, Any]]:
        """Numbers from 0 and values of the list under `key`, or of the list at the top (None).

        Raises:
            SourceError: not JSON, no such list, a value over 4 M characters, a file that is cut.
        """
        found = False
        for name, text in self._members():
            if name == key and text.peek() == "[":
                found = True
                yield from enumerate(text.items())
                break
            text.skip_value()
        if not found:
            raise SourceError(f"no list {key!r} in the JSON file", where=str(self.place.path), fix="check it")

    def _members(self) -> Iterator[tuple[str | None, _Text]]:
        """(key, text that stands before its value); the caller moves past the value. None for a list."""
        with self.place.open() as opened:

            def pieces() -> Iterator[bytes]:
                while piece := opened.stream.read(_PIECE_BYTES):
                    self.share_read = opened.share()
                    yield piece

            text = _Text(pieces(), self.place.path)
            if text.peek() == "[":
                yield None, text
                return
            text.expect("{")
            if text.peek() == "}":
                return
            while True:
                key = text.value()
                text.expect(":")
                yield key, text
                if text.peek() != ",":
                    break
                text.expect(",")
            text.expect("}")


class _Text:
    """Decoded text that is read once, from the front."""

    def __init__(self, pieces: Iterator[bytes], path: Path) -> None:
        self._pieces = pieces
        self._path = path
        self._utf8 = codecs.getincrementaldecoder("utf-8-sig")()
        self._json = json.JSONDecoder()
        self._buffer, self._place, self._before = "", 0, 0
        self._ended = False

    def peek(self) -> str:
        """The next character that is no space; "" at the end."""
        while True:
            while self._place < len(self._buffer) and self._buffer[self._place] in _SPACE:
                self._place += 1
            if self._place < len(self._buffer):
                return self._buffer[self._place]
            if not self._more():
                return ""

    def expect(self, character: str) -> None:
        found = self.peek()
        if found != character:
            raise self.error(f"found {found or 'the end'!r}, must be {character!r}")
        self._place += 1

    def value(self) -> Any:
        """The next value, whole."""
        self.peek()
        wanted = 1
        while True:
            try:
                value, end = self._json.raw_decode(self._buffer, self._place)
                # a number that touches the end of what was read may go on
                if end < len(self._buffer) or self._ended or self._buffer[end - 1] not in _NUMBER_TAIL:
                    self._place = end
                    return value
            except RecursionError:
                raise self.error("nested too deep") from None
            except ValueError as error:
                if self._ended:
                    raise self.error(str(error).partition(":")[0]) from None
            if len(self._buffer) - self._place > MAX_ITEM_CHARACTERS:
                raise self.error(f"a value over {MAX_ITEM_CHARACTERS} characters, or bad JSON")
            for _ in range(wanted):  # twice as much each time, so that no value is parsed often
                self._more()
            wanted *= 2

    def items(self) -> Iterator[Any]:
        """Values of the list that begins here."""
        self.expect("[")
        if self.peek() == "]":
            self._place += 1
            return
        while True:
            yield self.value()
            if self.peek() != ",":
                break
            self._place += 1
        self.expect("]")

    def skip_value(self) -> None:
        """Move past a value without keeping it."""
        if self.peek() == "[":
            for _ in self.items():
                pass
        else:
            self.value()

    def error(self, what: str) -> SourceError:
        where = f"{self._path} character {self._before + self._place}"
        return SourceError(f"not JSON: {what}", where=where, fix="repair the file, or copy it again")

    def _more(self) -> bool:
        if self._ended:
            return False
        try:
            piece = next(self._pieces, b"")
            text = self._utf8.decode(piece, final=not piece)
        except UnicodeDecodeError as error:
            raise self.error(f"not utf-8: {error.reason}") from None
        except DAMAGES as error:
            raise self.error(f"the file is cut or damaged: {error}") from None
        self._ended = not piece
        self._before += self._place
        self._buffer, self._place = self._buffer[self._place :] + text, 0
        return not self._ended
