"""Which encoding a text is in, told from its first bytes, and why."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Literal

# In all but UTF-16 the byte 0x0A is a line end and nothing else; UTF-16 becomes UTF-8 before lines are cut.
Encoding = Literal["auto", "utf-8", "gb18030", "big5", "utf-16"]
SAMPLE_BYTES = 256 * 1024
_BIG5_SHARE = 0.15


@dataclass(frozen=True)
class FoundEncoding:
    """An encoding and what gave it away."""

    encoding: Encoding
    why: str


def detect_encoding(sample: bytes) -> FoundEncoding:
    """UTF-8, UTF-16, GB18030 or Big5.

    A few bad lines do not change the verdict: every line with a letter beyond ASCII has a vote.

    Args:
        sample: the first bytes of a file; a line that is cut off at its end has no vote where others have.
    """
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return FoundEncoding("utf-16", "utf-16, by its byte order mark")
    if sample.startswith(codecs.BOM_UTF8):
        return FoundEncoding("utf-8", "utf-8 with a byte order mark (utf-8-sig)")
    lines = sample.split(b"\n")
    voters = [line for line in (lines[:-1] or lines) if not line.isascii()]
    if not voters:
        return FoundEncoding("utf-8", "utf-8 (plain ASCII so far)")
    foreign = [line for line in voters if not decodes(line, "utf-8")]
    if 2 * len(foreign) <= len(voters):
        return FoundEncoding("utf-8", f"utf-8 ({len(voters) - len(foreign)} of {len(voters)} lines)")
    chinese = [line for line in foreign if decodes(line, "gb18030")]
    if all(decodes(line, "big5") for line in foreign) and _low_trail_share(foreign) > _BIG5_SHARE:
        return FoundEncoding("big5", f"big5 ({len(foreign)} of {len(voters)} lines)")
    if 10 * len(chinese) >= 9 * len(foreign):
        return FoundEncoding("gb18030", f"gb18030 ({len(chinese)} of {len(voters)} lines)")
    return FoundEncoding("utf-8", "utf-8 by default: the bytes fit no known encoding")


def decodes(line: bytes, encoding: str) -> bool:
    """Whether all bytes of a line are text in this encoding."""
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _low_trail_share(lines: list[bytes]) -> float:
    """Share of two-byte characters whose second byte is ASCII: about 0.4 in Big5, near 0 in GB18030."""
    pairs = low = 0
    for line in lines:
        place = 0
        while place < len(line) - 1:
            if line[place] < 0x80:
                place += 1
                continue
            pairs += 1
            low += 0x40 <= line[place + 1] < 0x7F
            place += 2
    return low / max(1, pairs)
