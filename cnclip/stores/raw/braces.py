"""Names with braces, as the shell and WebDataset write many names in one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cnclip.errors import SourceError

_BRACE = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


def expand_braces(text: str) -> Iterator[str]:
    """`{00..02}.tar` or `{train,valid}.tar` as its names, in order.

    Raises:
        SourceError: a range that goes down.
    """
    match = _BRACE.search(text)
    if match is None:
        yield text
        return
    span = _RANGE.fullmatch(match[1])
    if span is None:
        parts: Iterator[str] = iter(match[1].split(","))
    else:
        first, last, width = int(span[1]), int(span[2]), len(span[1])
        if last < first:
            raise SourceError(
                f"the range {{{match[1]}}} goes down", where=text, fix="write the smaller number first"
            )
        parts = (f"{number:0{width}d}" for number in range(first, last + 1))
    for part in parts:
        yield from expand_braces(text[: match.start()] + part + text[match.end() :])
