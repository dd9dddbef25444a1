"""The rows that every source yields, and the rules that an id and a caption must keep."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

MAX_CAPTION_BYTES = 64 * 1024
MAX_IMAGE_BYTES = 64 * 1024 * 1024
_INVISIBLE = {"Cc", "Cf", "Zs", "Zl", "Zp"}  # control, format (zero-width, bidi), and the separators


@dataclass(frozen=True)
class RawImage:
    """One picture of a source.

    Attributes:
        image_id: NFC, any length.
        where: `file:line` or file, relative to the source's root.
        load: gives the bytes of the picture file as they came; raises RowProblem.
        origin: the same non-empty origin under the same id means the same bytes, which need no second look.
    """

    image_id: str
    where: str
    load: Callable[[], bytes] = field(repr=False)
    origin: str = ""

    @property
    def image(self) -> bytes:
        """The encoded picture (JPEG, PNG, WebP, …)."""
        return self.load()


@dataclass(frozen=True)
class RawText:
    """One caption of a source and the pictures it belongs to; no pictures = an unlabelled query."""

    text_id: str
    caption: str
    image_ids: tuple[str, ...]
    where: str


@dataclass(frozen=True)
class RawPair:
    """A picture (encoded bytes) with one of its captions."""

    image_id: str
    image: bytes
    text_id: str
    caption: str


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used.

    Attributes:
        where: `file:line` or file, relative to the source's root.
        id: the row's picture or caption id, "" where it has none.
        reason: `what: detail`; rows are counted by what stands before the colon.
    """

    where: str
    id: str
    reason: str


Report = Callable[[BadRow], None]


class Source(Protocol):
    """Two streams over the same data; each bad row goes to `report` and is not yielded.

    Attributes:
        root: the folder that `where` is relative to; a string where it is a URL.
        inputs: the local files that must not change while they are read; see `stamps_of` for remote ones.
        facts: what the store's header keeps: the kind, the files' names, filters. No machine's paths.
        share_read: how far the current stream is, 0 to 1; None where nobody knows.
    """

    @property
    def root(self) -> Path | str: ...

    @property
    def inputs(self) -> tuple[Path, ...]: ...

    @property
    def facts(self) -> Mapping[str, Any]: ...

    @property
    def share_read(self) -> float | None: ...

    def images(self, report: Report) -> Iterator[RawImage]: ...

    def texts(self, report: Report) -> Iterator[RawText]: ...


class RowProblem(Exception):
    """Why a row is bad, in the form `what: detail`; sources turn it into a BadRow."""


def clean_id(value: object, field_name: str) -> str:
    """An id as NFC text.

    Raises:
        RowProblem: not a string or whole number, empty, NUL, or half of a surrogate pair.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise RowProblem(
            f"wrong type: {field_name} is {_type_name(value)}, must be a string or a whole number"
        )
    text = unicodedata.normalize("NFC", value) if isinstance(value, str) else str(value)
    if not text.strip():
        raise RowProblem(f"empty id: {field_name} is empty")
    _check_characters(text, field_name)
    return text


def clean_ids(value: object, field_name: str) -> tuple[str, ...]:
    """A list of ids, each once, in the order given.

    Raises:
        RowProblem: not a list (a string would fall apart into characters), or an id that `clean_id` refuses.
    """
    if not isinstance(value, list):
        raise RowProblem(f"wrong type: {field_name} is {_type_name(value)}, must be a list of ids")
    return tuple(dict.fromkeys(clean_id(item, f"{field_name}[{place}]") for place, item in enumerate(value)))


def clean_caption(value: object, field_name: str) -> str:
    """A caption as it came; only what can never be one is refused.

    Raises:
        RowProblem: not a string, nothing visible, NUL, half of a surrogate pair, over 64 KiB.
    """
    if not isinstance(value, str):
        raise RowProblem(f"wrong type: {field_name} is {_type_name(value)}, must be a string")
    if all(unicodedata.category(character) in _INVISIBLE for character in value):
        raise RowProblem(f"empty caption: {field_name} has nothing visible")
    _check_characters(value, field_name)
    size = len(value.encode())
    if size > MAX_CAPTION_BYTES:
        raise RowProblem(f"caption too long: {size} bytes, at most {MAX_CAPTION_BYTES}")
    return value


def shown(text: str, limit: int = 80) -> str:
    """A value for a message: one line, control and bidi characters escaped, shortened."""
    escaped = "".join(
        character
        if unicodedata.category(character)[0] not in "CZ" or character == " "
        else ascii(character)[1:-1]
        for character in text[: limit + 1]
    )
    return escaped if len(text) <= limit else escaped[:limit] + "…"


def _check_characters(text: str, field_name: str) -> None:
    if "\x00" in text:
        raise RowProblem(f"bad character: {field_name} holds NUL")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        code = f"U+{ord(text[error.start]):04X}"
        raise RowProblem(f"bad character: {field_name} holds half of a surrogate pair ({code})") from None


def _type_name(value: object) -> str:
    names = {type(None): "null", bool: "true/false", float: "a fraction", str: "a string", list: "a list"}
    return names.get(type(value), "an object" if isinstance(value, dict) else type(value).__name__)
