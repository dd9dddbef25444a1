"""No caption, however odd, breaks a kind; and equal captions always give equal results."""

from __future__ import annotations

import random

import pytest

from cnclip.evaluation.perturb.kinds import KINDS, change_caption
from cnclip.evaluation.perturb.negatives import NEGATIVES, make_negative

PIECES = [
    *"一二两三十百零〇壹贰23０９只个条位在有没不是着了的得地左右上下前后里外红黄蓝黑白色小大",
    *"，。！ 　\n\t%.,-狗猫人男女孩龘繁體裡隻Ａ％坐站戴穿追正",
    *(
        "草地",
        "桌子",
        "没有",
        "正在",
        "红色的",
        "衣服",
        "iPhone",
        "Pro",
        "一只",
        "两个",
        "西蓝花",
        "左右",
        "床上",
    ),
    *("👩‍👩‍👧", "😊", "\u200d", "\ud800", "\u202e", "\ufe0f", "\x00"),
]


def odd_captions(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return ["".join(draw.choices(PIECES, k=draw.randrange(25))) for _ in range(count)]


def check(captions: list[str]) -> None:
    for caption in captions:
        for name, kind in KINDS.items():
            changed = change_caption(kind, name, caption, 1)
            assert changed is None or (changed and changed != caption), (name, caption)
            assert changed == change_caption(kind, name, caption, 1), (name, caption)
        for name in NEGATIVES:
            false, doubtful = make_negative(name, caption, [caption], 1)
            assert false is None or (false != caption and not doubtful), (name, caption)


def test_odd_captions_are_changed_or_left_alone() -> None:
    check(["", " ", "\ud800", "。", *odd_captions(120, seed=0)])


@pytest.mark.nightly
def test_thousands_of_odd_captions_are_changed_or_left_alone() -> None:
    check(odd_captions(10_000, seed=1))
