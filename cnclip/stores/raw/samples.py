"""One sample of a WebDataset shard: the members that share a key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cnclip.stores.raw.encodings import Encoding
from cnclip.stores.raw.folder import object_of
from cnclip.stores.raw.rows import RowProblem


@dataclass
class Sample:
    """Members of a shard that follow each other with one key.

    Attributes:
        key: the name up to its first dot, folders included.
        where: `shard@offset` of its first member.
        picture: gives the picture's bytes; None where there is none, or only the captions are read.
        has_picture: whether there is one.
        parts: ending -> bytes of the small members.
    """

    key: str
    where: str
    picture: Callable[[], bytes] | None = None
    has_picture: bool = False
    parts: dict[str, bytes] = field(default_factory=dict)


def json_of(sample: Sample, encoding: Encoding) -> dict[str, Any]:
    """The object in the sample's .json member; empty where it has none.

    Raises:
        RowProblem: the member is no JSON object.
    """
    return object_of(sample.parts["json"], encoding) if "json" in sample.parts else {}


def text_of(data: bytes, encoding: Encoding) -> str:
    """The text of a member.

    Raises:
        RowProblem: another encoding.
    """
    try:
        return data.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        raise RowProblem(f"not {encoding}: byte {error.start + 1} is 0x{data[error.start]:02x}") from None
