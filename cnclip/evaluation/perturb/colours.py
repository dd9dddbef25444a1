"""Another colour than the true one: put in its place, or exchanged with a second colour of the caption."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from cnclip.evaluation.perturb.words import Word, located_words, one_of, replaced

_BASES = "红黄蓝绿紫黑白灰橙粉棕褐金银青"
_SHADES = (
    "粉红|金黄|橘黄|橙黄|米黄|天蓝|湖蓝|蔚蓝|米白|雪白|乌黑|漆黑|橙红|火红|翠绿|嫩绿|墨绿|碧绿|橘红"
    "|银白|银灰|灰白"
)
_COLOUR_WORD = re.compile(rf"[深浅淡暗亮鲜]?(?P<colour>{_SHADES}|[{_BASES}])色|(?P<shade>{_SHADES})")
# Long things have the colour that stands before them. 黄狗 is a yellow dog, but 黄瓜, 白人, 黑板 are names:
# short things count only where jieba has them and the colour in one word, or as two.
_LONG_THINGS = (
    "衣服|上衣|毛衣|衬衫|衬衣|外套|大衣|裤子|裙子|帽子|鞋子|球衣|背心|短裤|短袖|头发|胡子|小狗|小猫|狗狗|围巾"
    "|T恤|头盔|袜子|夹克|西装|西服|袍子|连衣裙|泳衣|泳裤|队服|球服|运动服|制服|汽车|轿车|跑车|卡车|自行车"
    "|摩托车|气球|沙发|椅子|桌子|房子|书包|背包|雨衣|雨伞|旗子|领带|手套|队|球员"
)
_SHORT_THINGS = "裤|衣|裙|帽|鞋|狗|猫|马|牛|鸟|毛|球|旗|布|车|伞|花|墙|门|船|包|发"
_LONG_THING = re.compile(rf"(?P<colour>[{_BASES}])(?={_LONG_THINGS})")
_SHORT_THING = re.compile(rf"[大小]?(?P<colour>[{_BASES}])(?:{_SHORT_THINGS})")
_SHORT = frozenset(_SHORT_THINGS.split("|"))
_NAMES = "黑车 黑马 黄牛 黄花 红牛 金牛 银牛 红包 黄毛 金毛 金鸟"
_ONLY_NAMES = frozenset(_NAMES.split())
_NEAR = {
    "红": "粉橙紫棕",
    "黄": "金橙棕",
    "蓝": "青紫",
    "绿": "青",
    "紫": "粉蓝红",
    "黑": "灰",
    "白": "银灰",
    "灰": "黑白银",
    "橙": "红黄",
    "粉": "红紫",
    "棕": "褐黄红黑",
    "褐": "棕黄红黑",
    "金": "黄",
    "银": "白灰",
    "青": "绿蓝黑",
}
_ORDINARY = "红黄蓝绿紫黑白"
_NATURAL = "黑白黄棕"
_LIVING = re.compile("(?:色)?的?[大小]?[狗猫马牛鸟熊毛发羊兔头]")
_PARTED = re.compile("[和与跟、，,。；;]")
_CHANGING = tuple("脸眼变花")  # after these it is what becomes red or dim
_BESIDE = re.compile(f"[{_BASES}]")  # 黑白, 红绿灯
_BROCCOLI = re.compile("西[蓝兰]花")
_SKIN = re.compile("色?的?(?:皮肤|肤色|人)")


class Colour(NamedTuple):
    """A colour of a caption: where its own characters stand, and the basic colour."""

    start: int
    end: int
    base: str


def find_colours(caption: str) -> list[Colour]:
    """The colours of a caption's things, in order; 黑人, 黄瓜, 脸红, 红白相间 have none.

    Raises:
        ResourceError: jieba is not installed.
    """
    if not any(base in caption for base in _BASES):
        return []
    caption = _BROCCOLI.sub("西西西", caption)
    spans = {match.span("colour") for match in _LONG_THING.finditer(caption)}
    words = located_words(caption)
    for word, following in zip(words, [*words[1:], Word("", len(caption))], strict=True):
        match = _COLOUR_WORD.fullmatch(word.text)
        if match is not None and (match["colour"] or following.text == "的"):
            spans.add(_moved(match.span("colour" if match["colour"] else "shade"), word.start))
        elif word.text in _BASES:
            before = caption[max(0, word.start - 1) : word.start]
            if before not in _CHANGING and (following.text in _SHORT or following.text == "的"):
                spans.add((word.start, word.end))
        elif word.text not in _ONLY_NAMES and (match := _SHORT_THING.fullmatch(word.text)) is not None:
            spans.add(_moved(match.span("colour"), word.start))
    return [
        Colour(start, end, caption[end - 1])
        for start, end in sorted(spans)
        if not _BESIDE.search(caption[max(0, start - 1) : start] + caption[end : end + 1])
        and not _SKIN.match(caption, end)
    ]


def other_colour(caption: str, rng: np.random.Generator) -> str | None:
    """One colour replaced by one that the caption does not name and that nobody takes for it."""
    colours = find_colours(caption)
    if not colours:
        return None
    chosen = colours[int(rng.integers(len(colours)))]
    choices = _NATURAL if _LIVING.match(caption, chosen.end) else _ORDINARY
    avoided = chosen.base + _NEAR[chosen.base] + "".join(colour.base for colour in colours)
    left = [choice for choice in choices if choice not in avoided]
    if not left:
        return None
    new = one_of(left, rng)
    if chosen.end - chosen.start > 1 and caption[chosen.end : chosen.end + 1] != "色":
        new += "色"  # 翠绿的 -> 紫色的
    return replaced(caption, chosen.start, chosen.end, new)


def exchanged_colours(caption: str, rng: np.random.Generator) -> str | None:
    """Two colours of different things exchanged: 红上衣黑裤子 -> 黑上衣红裤子.

    None where the things are the same (黑狗和白狗): the exchange would be true, too.
    """
    colours = find_colours(caption)
    pairs = [
        (first, second)
        for place, first in enumerate(colours)
        for second in colours[place + 1 :]
        if first.base != second.base and not _same_thing(_thing(caption, first), _thing(caption, second))
    ]
    if not pairs:
        return None
    first, second = pairs[int(rng.integers(len(pairs)))]
    return (
        caption[: first.start]
        + caption[second.start : second.end]
        + caption[first.end : second.start]
        + caption[first.start : first.end]
        + caption[second.end :]
    )


def _moved(span: tuple[int, int], start: int) -> tuple[int, int]:
    return span[0] + start, span[1] + start


def _thing(caption: str, colour: Colour) -> str:
    """What follows a colour, to the next comma or 和."""
    rest = _PARTED.split(caption[colour.end :], maxsplit=1)[0]
    return rest.removeprefix("色").removeprefix("的")


def _same_thing(first: str, second: str) -> bool:
    return first.startswith(second) or second.startswith(first)
