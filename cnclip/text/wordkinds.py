"""Which words of a caption may be lost without making it false."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

WordKind = Literal["free", "fixed", "negation", "qualifier", "suffix", "role"]

_COLOURS = "红黄蓝绿青紫黑白灰橙橘粉棕褐金银赤朱绯彩紅黃藍綠銀"
_NUMBERS = "〇零一二三四五六七八九十百千万萬亿億两兩双雙半单單几幾数數俩仨每各全整多少第"
_PLACES = "左右上下前后後里裡裏内內外中间間旁边邊侧側底顶頂东東西南北面"
_SUFFIXES = _PLACES + "们們着著了过過儿"
_NEGATIVE = "不没沒无無未非勿莫别別免禁假仿伪偽"
_ROLES = "被把将將给給让讓向从從到往比像似如使由"  # who does it to whom, from where, what only looks like it
_FIXED = re.compile(f"[A-Za-z0-9{_COLOURS}{_NUMBERS}{_PLACES}{_NEGATIVE}{_ROLES}色]")
_WORD = re.compile(r"\w")
_NEGATION = re.compile("[不没沒无無未非勿莫别別除免仿假伪偽]|仿真|人造")
_NEGATING = re.compile(  # anywhere in a word: jieba leaves 車沒有 in one piece
    "不[是含带帶要会會能用戴穿]|[没沒][有在穿戴帶]|并非|並非|毫[无無]|尚未|除了|禁止|严禁|拒绝|避免|缺[少乏]"
)
_COLOUR = re.compile(f"\\w{{0,2}}[{_COLOURS}]{{1,3}}色?|\\w{{1,3}}色")
_NUMBER = re.compile(f"[{_NUMBERS}0-9][{_NUMBERS}0-9.]*\\w?")
_SIDE = re.compile(f"[最靠正]?[{_PLACES}]{{2}}|[左右][手脚腿臂眼耳半]")


@lru_cache(maxsize=1 << 15)
def word_kind(word: str) -> WordKind:
    """What a word is to the words beside it, by its characters alone; in doubt it is one that stays.

    free: may be lost. All others stay, and with them: negation, what follows in its clause; qualifier (a
    colour, number or side), the thing that it belongs to; suffix (上 in 桌子上, 们, 着), the word before it;
    role (被, 把, 像), that and what follows in its clause; fixed (Latin letters, 三轮车), nothing more.
    """
    if _NEGATION.fullmatch(word) or _NEGATING.search(word):
        return "negation"
    if _COLOUR.fullmatch(word) or _NUMBER.fullmatch(word) or _SIDE.fullmatch(word):
        return "qualifier"
    if len(word) == 1 and word in _SUFFIXES:
        return "suffix"
    if len(word) == 1 and word in _ROLES:
        return "role"
    return "fixed" if _FIXED.search(word) or not is_word(word) else "free"


def is_word(word: str) -> bool:
    """False for punctuation and emoji."""
    return _WORD.search(word) is not None


def only_qualifies(words: Sequence[str]) -> bool:
    """True for a keyword or clause that says nothing without its neighbour: 红色, 两件, 不含."""
    return all(word_kind(word) in ("qualifier", "negation", "suffix") for word in words)


def droppable(words: Sequence[str]) -> list[bool]:
    """For each word of one clause: whether it may be lost."""
    free = []
    qualified = False
    for place, word in enumerate(words):
        kind = word_kind(word)
        free.append(kind == "free" and not qualified)
        if kind in ("suffix", "role") and place:
            free[place - 1] = False
        if kind in ("negation", "role"):
            return free + [False] * (len(words) - len(free))
        if kind == "qualifier":
            qualified = True
        elif kind in ("free", "fixed") and len(word) > 1:
            qualified = False
    return free
