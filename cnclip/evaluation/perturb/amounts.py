"""Another number than the true one, and a measure word that does not go with its noun."""

from __future__ import annotations

import re

import numpy as np

from cnclip.evaluation.perturb.measures import COUNTING, Counted, count_word, find_counted
from cnclip.evaluation.perturb.words import one_of, replaced

_MOST = 10  # more than that nobody counts in a picture
_NONE = "没不无非"
_TIMES = re.compile("个(?:半|小?时|月|星期|礼拜|钟|世纪|季)")  # nobody sees them
# Measure word -> what it does go with; any of it after the number keeps the measure word out.
_GOES_WITH = {
    "辆": "车",
    "艘": "船舰艇舟帆",
    "棵": "树草菜苗松竹",
    "朵": "花云玫莲",
    "本": "书册簿志",
    "顶": "帽轿帐伞盔",
    "扇": "门窗屏",
    "匹": "马布驴骡狼驹",
    "封": "信邮",
}


def other_number(caption: str, rng: np.random.Generator) -> str | None:
    """One number of things changed by one, or one thing made two or three."""
    counted = [found for found in _counted(caption) if found.value <= _MOST]
    if not counted:
        return None
    chosen = counted[int(rng.integers(len(counted)))]
    values = (2, 3) if chosen.value == 1 else (chosen.value - 1, chosen.value + 1)
    value = values[int(rng.integers(2))]
    new = str(value) if caption[chosen.start].isdecimal() else count_word(value)
    return replaced(caption, chosen.start, chosen.end, new)


def wrong_measure(caption: str, rng: np.random.Generator) -> str | None:
    """One measure word replaced by one that its noun cannot have: 一辆狗. A test of Chinese."""
    counted = _counted(caption)
    if not counted:
        return None
    chosen = counted[int(rng.integers(len(counted)))]
    rest = caption[chosen.end + 1 :]
    if not rest:
        return None
    choices = [
        measure
        for measure, things in _GOES_WITH.items()
        if measure != chosen.measure and not any(thing in rest for thing in things)
    ]
    return replaced(caption, chosen.end, chosen.end + 1, one_of(choices, rng)) if choices else None


def _counted(caption: str) -> list[Counted]:
    """Numbers of single things, but not 没一个 and 两个小时."""
    return [
        found
        for found in find_counted(caption)
        if found.measure in COUNTING
        and not any(sign in caption[: found.start] for sign in _NONE)
        and not _TIMES.match(caption, found.end)
    ]
