"""Counted things in a caption, such as 两只狗: where the number stands, its value, its measure word.

Only a number before a measure word counts. 一起, 一边, 一家四口, 第一个, 一个个, 十几个 are none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Measure words that count single things. Others change the number of things less clearly: 群 对 双 堆 排 片.
COUNTING = "个只条位名头匹辆架艘张把顶件座棵朵本台部块支间扇颗枚根瓶杯碗盘幅栋幢盏株串篮盆"
COLLECTIVE = "群对双堆排组份层套"

_DIGITS = {character: value for value, character in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_FORMAL = {character: value for value, character in enumerate("零壹贰叁肆伍陆柒捌玖")}
_UNITS = {"十": 10, "百": 100, "千": 1000, "拾": 10, "佰": 100, "仟": 1000}
_VALUES = _DIGITS | _FORMAL

_NUMERAL = "".join(dict.fromkeys([*_VALUES, *_UNITS]))
# Before: a longer number, an ordinal, words that make "one" something else. After: a doubled measure word.
_COUNTED = re.compile(
    rf"(?<![{_NUMERAL}0-9A-Za-z.第每同唯统任某万亿逐第年月号])"
    rf"(?P<number>[{_NUMERAL}]+|[0-9]{{1,4}})(?P<measure>[{COUNTING}{COLLECTIVE}])(?!(?P=measure))"
)
# Hair, idioms and parts: nothing is counted there.
_NO_COUNT = re.compile(
    "一头[长短黑白金秀乌卷棕红扎]|一头雾水|一个劲|一把[抓抱拉推]|一块儿|一块[去来玩走吃]|[一两]部分"
    "|一层层|一条龙|一名不文|一张一合|一本正经|一根筋|一部份"
)


@dataclass(frozen=True)
class Counted:
    """A number before a measure word.

    Attributes:
        start, end: of the number in the caption.
        value: 0 to 9999.
        measure: one character, at `end`.
    """

    start: int
    end: int
    value: int
    measure: str


def find_counted(caption: str) -> Iterator[Counted]:
    """Every counted thing of a caption, from left to right."""
    kept = [found.span() for found in _NO_COUNT.finditer(caption)]
    for found in _COUNTED.finditer(caption):
        if any(start <= found.start() < end for start, end in kept):
            continue
        value = read_number(found["number"])
        if value is not None and value > 0:
            yield Counted(found.start("number"), found.end("number"), value, found["measure"])


def read_number(text: str) -> int | None:
    """12, 十二, 拾贰, 两百零三 -> its value up to 9999; None where it is no whole number."""
    if text.isdecimal():
        return int(text)
    total, digit, last = 0, -1, 10_000
    for character in text:
        if character in _UNITS:
            unit = _UNITS[character]
            if unit >= last or (digit < 0 and unit != 10):
                return None
            total += (1 if digit < 0 else digit) * unit
            digit, last = -1, unit
        elif _VALUES[character] == 0:
            if digit >= 0:
                return None
        elif digit >= 0:
            return None  # 三四个 are three or four
        else:
            digit = _VALUES[character]
    return total + max(digit, 0)


def write_number(value: int, *, formal: bool = False) -> str:
    """1 to 9999 in Chinese: 十二, 二十; formal ones as on cheques: 壹拾贰."""
    digits, units = ("零壹贰叁肆伍陆柒捌玖", "仟佰拾") if formal else ("零一二三四五六七八九", "千百十")
    text, gap = "", False
    for unit, name in zip((1000, 100, 10, 1), (*units, ""), strict=True):
        digit = value // unit % 10
        if not digit:
            gap = bool(text)
            continue
        text += ("零" if gap else "") + digits[digit] + name
        gap = False
    return text[1:] if not formal and text.startswith("一十") else text


def count_word(value: int) -> str:
    """A number as it is said before a measure word: 两, not 二."""
    return "两" if value == 2 else write_number(value)
