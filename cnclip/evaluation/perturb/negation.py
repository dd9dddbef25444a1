"""A negation put in or taken out: 戴着帽子 -> 没戴帽子, 没有人 -> 有人."""

from __future__ import annotations

import re

import numpy as np

from cnclip.evaluation.perturb.words import replaced

_HELD = "戴穿拿抱牵骑背打系带举提推拉握拎叼扛捧披围拄抓"
_STANDS = (
    "坐|站|躺|趴|蹲|跪|睡|走|跑|跳|游|飘|停|放|挂|骑|飞|漂|玩|窝|靠|卧|待|呆|围|聚|躲|藏|挤|倒|泡|浮"
    "|行走|奔跑|行驶"
)
_ONE = "一[个位名只条辆匹]"
_QUANTITY = f"{_ONE}|一[群些]|很多|许多|好多|几[个只]|不少"

_Rules = tuple[tuple[re.Pattern[str], str], ...]

_REMOVED: _Rules = (
    (re.compile(f"没有?([{_HELD}])着?"), r"\1着"),
    (re.compile("没有?在"), "在"),
    (re.compile("没有"), "有"),
    (re.compile("不是"), "是"),
    (re.compile(f"不([{_HELD}])"), r"\1着"),
    (re.compile("无人"), "有人"),
)
_INSERTED: _Rules = (
    (re.compile(f"^有(?:{_QUANTITY})?"), "没有"),
    (re.compile(f"(?<![在正])([{_HELD}])着(?:{_ONE})?"), r"没\1"),
    (re.compile(f"(?:正在|正)?({_STANDS})在"), r"没有\1在"),
    (re.compile("正在|(?<![现实存好内外能会可])在(?![线于职])"), "没有在"),
    (re.compile("(?<![所只具拥还])有(?=[一两三几很许好])"), "没有"),
    (re.compile("(?<![还可要就也但总于])是(?!否)"), "不是"),
)
_NEGATIVE = re.compile("[没沒无不未非勿别]")


def negated(caption: str, rng: np.random.Generator) -> str | None:
    """The caption with one negation more, or without the one it has.

    Taken out of 没有, 没戴, 不是, 无人. Put before what somebody wears or holds (戴着), before where
    somebody is or what goes on (坐在, 正在, 在), before 有 and 是: at one of the places that there are. None
    where there is none, or where the caption has a 不 or 无 of another kind, even in 不锈钢: better left out
    than wrong.
    """
    rules = _REMOVED if _NEGATIVE.search(caption) else _INSERTED
    found: list[tuple[int, int, str]] = []
    for pattern, new in rules:
        for match in pattern.finditer(caption):
            if not any(start < match.end() and match.start() < end for start, end, _ in found):
                found.append((*match.span(), match.expand(new)))
    return replaced(caption, *found[int(rng.integers(len(found)))]) if found else None
