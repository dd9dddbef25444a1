"""False captions by one detail: hand-worked cases, and captions for which there is none."""

from __future__ import annotations

import numpy as np
import pytest

from cnclip.evaluation.perturb import amounts, attributes, colours, exchange, negation, places
from cnclip.evaluation.perturb.kinds import Change
from cnclip.evaluation.perturb.negatives import NEGATIVES, make_negative


def outcomes(change: Change, caption: str) -> set[str | None]:
    """All that a change makes of a caption with thirty seeds."""
    return {change(caption, np.random.default_rng(seed)) for seed in range(30)}


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        (colours.other_colour, "一只黑狗", {"一只白狗", "一只黄狗", "一只棕狗"}),
        (colours.other_colour, "穿粉红色裙子", {f"穿{one}色裙子" for one in "黄蓝绿黑白"}),
        (colours.other_colour, "翠绿的叶子", {f"{one}色的叶子" for one in "红黄蓝紫黑白"}),
        (colours.exchanged_colours, "红色上衣黑色裤子", {"黑色上衣红色裤子"}),
        (colours.exchanged_colours, "穿红衣服的男孩和穿蓝衣服的女孩", {"穿蓝衣服的男孩和穿红衣服的女孩"}),
        (amounts.other_number, "一只狗", {"两只狗", "三只狗"}),
        (amounts.other_number, "3个苹果", {"2个苹果", "4个苹果"}),
        (amounts.other_number, "两位老人", {"一位老人", "三位老人"}),
        (attributes.opposite_attribute, "一只小狗", {"一只大狗"}),
        (attributes.opposite_attribute, "很旧的桥", {"很新的桥"}),
        (attributes.opposite_attribute, "穿长裙的女人", {"穿短裙的女人"}),
        (attributes.other_person, "戴帽子的男人", {"戴帽子的女人"}),
        (places.other_side, "狗在猫的左边", {"狗在猫的右边"}),
        (places.other_height, "猫在桌子上", {"猫在桌子下"}),
        (places.other_height, "人站在桥下面", {"人站在桥上面"}),
        (places.other_front, "站在门前的人", {"站在门后的人"}),
        (places.other_inside, "坐在车里的男子", {"坐在车外的男子"}),
        (places.other_inside, "屋外有一只狗", {"屋里有一只狗"}),
        (exchange.exchanged_places, "一只猫在箱子上。", {"箱子在一只猫上。"}),
        (exchange.exchanged_places, "男人站在一只狗后面", {"一只狗站在男人后面"}),
        (exchange.exchanged_actors, "一只狗追着一只猫。", {"一只猫追着一只狗。"}),
        (negation.negated, "戴着帽子", {"没戴帽子"}),
        (negation.negated, "一个没戴帽子的男人", {"一个戴着帽子的男人"}),
        (negation.negated, "有一只狗", {"没有狗"}),
        (negation.negated, "没有人的街道", {"有人的街道"}),
        (negation.negated, "一只狗坐在地上", {"一只狗没有坐在地上"}),
        (negation.negated, "两个人正在跳舞", {"两个人没有在跳舞"}),
    ],
)
def test_one_detail_is_made_false(change: Change, before: str, after: set[str | None]) -> None:
    assert outcomes(change, before) == after


@pytest.mark.parametrize(
    ("change", "caption"),
    [
        (colours.other_colour, "一个黑人在切黄瓜，黑板旁边有红绿灯"),
        (colours.other_colour, "西蓝花炒到金黄酥脆"),
        (colours.other_colour, "黑色皮肤的男子脸红了"),
        (colours.exchanged_colours, "黑狗和白狗"),
        (colours.exchanged_colours, "红色上衣红色裤子"),
        (amounts.other_number, "大家在一起，一群人，第二个人"),
        (amounts.other_number, "没有一个人"),
        (amounts.other_number, "大约需要一个半小时，三个月"),
        (attributes.opposite_attribute, "小孩和大家学习高尔夫"),
        (attributes.other_person, "一男一女在跳舞"),
        (places.other_side, "左右摇摆"),
        (places.other_height, "开车上山，跳上车去，今天上班，床上四件套"),
        (places.other_front, "三天之前，前后排队"),
        (places.other_inside, "公里外国人"),
        (exchange.exchanged_places, "一只狗在草地上奔跑"),
        (exchange.exchanged_places, "一只狗躺在沙发上"),
        (exchange.exchanged_places, "一只狗站在两只狗后面"),
        (exchange.exchanged_actors, "一个人推着自行车"),
        (negation.negated, "不锈钢锅"),
        (negation.negated, "红色的裙子"),
    ],
)
def test_captions_without_the_detail_are_left_alone(change: Change, caption: str) -> None:
    assert outcomes(change, caption) == {None}


def test_wrong_measure_word_never_fits_the_noun() -> None:
    found = outcomes(amounts.wrong_measure, "一条狗旁边有一棵树")
    assert found and not any(one and ("辆" in one and "车" in one) for one in found)
    assert all(one is not None and one != "一条狗旁边有一棵树" for one in found)
    cars = outcomes(amounts.wrong_measure, "一条船和车")
    assert not any(one and one.startswith(("一辆", "一艘")) for one in cars)


def test_negatives_are_the_same_every_time_and_differ_from_the_caption() -> None:
    caption = "两个穿红色衣服的男孩站在一只小狗左边，桌子上有一个球"
    for name in NEGATIVES:
        made = make_negative(name, caption, [caption], 5)
        assert made == make_negative(name, caption, [caption], 5)
        assert made[0] != caption


def test_what_another_caption_of_the_picture_says_is_not_taken_for_false() -> None:
    caption, sibling = "戴帽子的男人", "戴帽子的女人在笑"
    assert make_negative("person", caption, [caption], 0) == ("戴帽子的女人", False)
    assert make_negative("person", caption, [caption, sibling], 0) == (None, True)


def test_a_second_choice_is_taken_where_the_first_may_be_true() -> None:
    caption = "一只狗"
    made = {make_negative("number", caption, [caption, "两只狗"], seed) for seed in range(12)}
    assert made <= {("三只狗", False), (None, True)}
    assert ("三只狗", False) in made
