"""The opposite of what a caption says of a thing or a person: 小狗 -> 大狗, 男孩 -> 女孩."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from cnclip.evaluation.perturb.words import Word, located_words, replaced

_OPPOSITES = """
年轻 年老|高大 矮小|巨大 微小|崭新 破旧|干净 肮脏|明亮 昏暗|宽阔 狭窄|宽敞 狭窄|晴朗 阴沉|黑白 彩色
长发 短发|长裤 短裤|长袖 短袖|长裙 短裙|长毛 短毛|卷发 直发|卷毛 直毛|圆形 方形|圆桌 方桌
大狗 小狗|大猫 小猫|大树 小树|大船 小船|大球 小球|大鸟 小鸟|大鱼 小鱼|大桥 小桥|大车 小车|大马 小马
大包 小包|大石头 小石头|大型 小型|大雪 小雪|大雨 小雨|大浪 小浪|大大的 小小的|厚厚的 薄薄的
高高的 矮矮的|胖胖的 瘦瘦的|长长的 短短的|白天 夜晚|冬天 夏天|冬季 夏季|早晨 傍晚|清晨 黄昏
拥挤 空旷|热闹 冷清|繁忙 冷清|繁华 荒凉|平静 汹涌|陡峭 平缓|茂密 稀疏|茂盛 枯萎|清澈 浑浊
古老 现代|豪华 简陋|华丽 朴素|飞快 缓慢
"""
_ONE_WAY = {
    "晚上": "白天",
    "夜里": "白天",
    "夜间": "白天",
    "光头": "长发",
    "老旧": "崭新",
    "全新": "破旧",
}
# One character counts only before 的 or one of the things: 小孩, 大家, 新娘, 高尔夫 are not small, big, new.
_SINGLE = ("大小", "小大", "新旧", "旧新", "长短", "短长", "高矮", "胖瘦", "瘦胖")
_THINGS = frozenset(
    "狗猫马牛羊鸟鱼熊猪鸡鸭象球船车树桥屋房石包袋箱盒桌椅伞帽鞋瓶杯碗盘刀门窗灯旗山河湖路岛花叶裤裙"
)

_SEXES = """
男人 女人|男孩 女孩|男子 女子|男士 女士|男生 女生|小男孩 小女孩|男孩子 女孩子|男性 女性|男童 女童
爸爸 妈妈|父亲 母亲|爷爷 奶奶|老爷爷 老奶奶|哥哥 姐姐|弟弟 妹妹|儿子 女儿|新郎 新娘|丈夫 妻子
老头 老太太|先生 小姐|男 女
"""
_AGES = {
    "老人": "小孩",
    "小孩": "老人",
    "孩子": "老人",
    "小孩子": "老人",
    "儿童": "老人",
    "小朋友": "老人",
}
_BOTH_SEXES = ("男女", "女男", "一男一女", "一女一男")


def opposite_attribute(caption: str, rng: np.random.Generator) -> str | None:
    """One attribute turned into its opposite: size, shape, age of a thing, time of day.

    Raises:
        ResourceError: jieba is not installed.
    """
    words = located_words(caption)
    singles = {
        word.text: _SINGLES[word.text]
        for word, following in pairwise(words)
        if word.text in _SINGLES and (following.text[0] in _THINGS or following.text == "的")
    }
    return _turned(caption, words, _ATTRIBUTES | singles, rng)


def other_person(caption: str, rng: np.random.Generator) -> str | None:
    """A man for a woman, a child for an old one, and the reverse; one word of the caption.

    Raises:
        ResourceError: jieba is not installed.
    """
    if any(both in caption for both in _BOTH_SEXES):
        return None
    return _turned(caption, located_words(caption), _PEOPLE, rng)


def _turned(
    caption: str, words: list[Word], table: Mapping[str, str], rng: np.random.Generator
) -> str | None:
    known = [word for word in words if word.text in table]
    if not known:
        return None
    word = known[int(rng.integers(len(known)))]
    return replaced(caption, word.start, word.end, table[word.text])


def _both_ways(lines: str) -> dict[str, str]:
    """Each word of a pair -> the other; of a word in two pairs the first."""
    table: dict[str, str] = {}
    for pair in lines.replace("\n", "|").split("|"):
        if pair:
            first, second = pair.split()
            table.setdefault(first, second)
            table.setdefault(second, first)
    return table


_SINGLES = {pair[0]: pair[1] for pair in _SINGLE}
_ATTRIBUTES = _both_ways(_OPPOSITES) | _ONE_WAY
_PEOPLE = _both_ways(_SEXES) | _AGES
