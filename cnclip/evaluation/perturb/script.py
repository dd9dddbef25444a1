"""The same characters in another form: traditional or simplified, full or half width."""

from __future__ import annotations

import importlib
import importlib.util
import re
from functools import cache
from typing import Any

import numpy as np

from cnclip.text.rewrite import Rule, half_width, simplifier

_FULL_WIDTH = {codepoint: codepoint + 0xFEE0 for codepoint in range(0x21, 0x7F)} | {0x20: 0x3000}
_BROKEN = re.compile("[\ud800-\udfff]")  # half a character, which OpenCC cannot take
_PUNCTUATION = str.maketrans({"。": ".", "、": ",", "“": '"', "”": '"', "‘": "'", "’": "'", "　": " "})


def has_opencc() -> bool:
    """Whether OpenCC, of the extra `clean`, is installed."""
    return importlib.util.find_spec("opencc") is not None


def traditional(caption: str, rng: np.random.Generator) -> str | None:
    """The caption in traditional characters (OpenCC s2t).

    None where nothing changes, or where simplifying the result would not lead back to the caption.

    Raises:
        ResourceError: OpenCC is not installed.
    """
    del rng
    if _BROKEN.search(caption):
        return None
    simplify = _simplifier()
    changed = _converter("s2t")(caption)
    return changed if changed != caption and simplify(changed) == simplify(caption) else None


def simplified(caption: str, rng: np.random.Generator) -> str | None:
    """The caption in simplified characters (OpenCC t2s); None where it is in them already.

    Raises:
        ResourceError: OpenCC is not installed.
    """
    del rng
    changed = caption if _BROKEN.search(caption) else _simplifier()(caption)
    return changed if changed != caption else None


def full_width(caption: str, rng: np.random.Generator) -> str | None:
    """ASCII as full-width forms, space as U+3000: `iPhone 15` -> `ｉＰｈｏｎｅ　１５`."""
    del rng
    changed = caption.translate(_FULL_WIDTH)
    return changed if changed != caption else None


def half_width_marks(caption: str, rng: np.random.Generator) -> str | None:
    """Full-width forms and Chinese punctuation as ASCII: `狗，猫。` -> `狗,猫.`."""
    del rng
    changed = half_width(caption, punctuation=True).translate(_PUNCTUATION)
    return changed if changed != caption else None


@cache
def _simplifier() -> Rule:
    return simplifier()


@cache
def _converter(direction: str) -> Rule:
    _simplifier()  # says what to install where OpenCC is missing
    opencc: Any = importlib.import_module("opencc")
    convert: Rule = opencc.OpenCC(direction).convert
    return convert
