"""Left and right exchanged."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnclip.text.sides import has_sides, swap_sides


@pytest.mark.parametrize(
    ("caption", "mirrored"),
    [
        ("左边的男人拿着红色的杯子，右边的女人在笑", "右边的男人拿着红色的杯子，左边的女人在笑"),
        ("从左到右依次是小明、小红", "从右到左依次是小明、小红"),
        ("一个人左手叉腰右手拿伞", "一个人右手叉腰左手拿伞"),
        ("右侧有两棵树，左上角有字", "左侧有两棵树，右上角有字"),
        ("他是左撇子", "他是右撇子"),
        ("站在左邊的貓", "站在右邊的貓"),
        ("球员向左传球", "球员向右传球"),
        ("路左派出所门口", "路右派出所门口"),
        ("长江左岸", "长江右岸"),
        ("男左女右", "男右女左"),
        ("飞机的右翼", "飞机的左翼"),
        ("向右转，然后顺时针转半圈", "向左转，然后逆时针转半圈"),
        ("逆時針的箭頭", "順時針的箭頭"),
        ("在东边左侧", "在东边右侧"),
        ("A cat on the left", "A cat on the right"),
        ("Right shoe, LEFT-hand side, leftmost", "Left shoe, RIGHT-hand side, rightmost"),
        ("靠left站", "靠right站"),
        ("前排左二是左宗棠的后人", "前排右二是左宗棠的后人"),
    ],
)
def test_directions_change_and_change_back(caption: str, mirrored: str) -> None:
    assert swap_sides(caption) == mirrored
    assert swap_sides(mirrored) == caption
    assert has_sides(caption) and has_sides(mirrored)


@pytest.mark.parametrize(
    "caption",
    [
        "身高一米八左右",
        "左右为难",
        "左右手互搏",
        "上下左右都是字",
        "左顾右盼的猫",
        "墙上挂着座右铭",
        "其画技无出其右",
        "极右派的游行",
        "左派报纸",
        "左翼作家联盟旧址",
        "左宗棠鸡",
        "山西左权县的核桃",
        "内蒙古阿拉善左旗",
        "左氧氟沙星滴眼液",
        "左旋肉碱咖啡",
        "东边的太阳和西边的月亮",
        "it's all right, do it right now",
        "upright piano, copyright, lefts, LeFt, left_arm",
        "保佑平安",
        "",
        "杰尼龟",
        "🐢👈",
    ],
)
def test_what_is_no_direction_stays(caption: str) -> None:
    assert swap_sides(caption) == caption
    assert not has_sides(caption)


_PIECES = st.sampled_from(
    [
        *"左右派传权近手边岸铭座翼逆顺时针的在旗江营云玉，。 a1_",
        *("left", "Right", "LEFT", "right ", "all ", "now", "most", "hand"),
        *("左宗棠", "右派", "阿拉善左旗", "顺时针", "逆時針", "座右铭", "出所", "长江", "向左"),
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(_PIECES, max_size=12).map("".join))
def test_twice_is_nothing(caption: str) -> None:
    assert swap_sides(swap_sides(caption)) == caption


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_any_string_is_accepted_and_only_sides_change(caption: str) -> None:
    swapped = swap_sides(caption)
    assert swap_sides(swapped) == caption
    if not has_sides(caption):
        assert swapped == caption


def test_a_very_long_caption_costs_no_square() -> None:
    caption = "一片很长的草地" * 2_000
    assert swap_sides(caption + "的左边") == caption + "的右边"
