"""Captions written differently: hand-worked cases, where a kind applies, and what it promises."""

from __future__ import annotations

import numpy as np
import pytest

from cnclip.errors import UnknownNameError
from cnclip.evaluation.perturb import numerals, script, typos, wording
from cnclip.evaluation.perturb.equivalents import EQUIVALENTS
from cnclip.evaluation.perturb.homophones import CONFUSIONS, HOMOPHONES
from cnclip.evaluation.perturb.kinds import KINDS, Change, change_caption, choose_names, why_skipped
from cnclip.evaluation.perturb.lookalikes import LOOKALIKES
from cnclip.evaluation.perturb.measures import find_counted, read_number, write_number
from cnclip.text.rewrite import simplifier
from cnclip.text.wordpiece import encode_ids

CAPTIONS = [
    "一只黑色的狗在草地上奔跑。",
    "两个穿红色衣服的女孩，一个男人站在她们左边。",
    "3个苹果和12本书，放在桌子上",
    "雨衣 男童 防水 iPhone 15 手机壳",
    "夏天裡兩隻貓趴在窗台上曬太陽",
    "３８度的高温天气！小朋友在喝水……",
    "龘",
    "",
    "😊",
    "半个字\ud800",
]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        (script.traditional, "一只猫在晒太阳", "一隻貓在曬太陽"),
        (script.simplified, "夏天裡兩隻貓", "夏天里两只猫"),
        (script.full_width, "iPhone 15壳", "ｉＰｈｏｎｅ　１５壳"),
        (script.half_width_marks, "狗，猫、鸟。“好”！", '狗,猫,鸟."好"!'),
        (numerals.digits, "两只狗和十二个人", "2只狗和12个人"),
        (numerals.characters, "2只狗和12个人", "两只狗和十二个人"),
        (numerals.two, "两只狗", "二只狗"),
        (numerals.two, "二位老人", "两位老人"),
        (numerals.formal, "两只狗和12个人", "贰只狗和壹拾贰个人"),
        (wording.without_punctuation, "狗，猫。价格3.5元！", "狗 猫 价格3.5元"),
        (wording.spaced, "红色的iPhone手机", "红色 的 iPhone 手机"),
        (wording.truncated, "一只狗在草地上奔跑。", "一只狗在"),
        (wording.clause_order, "红色连衣裙，夏季新款", "夏季新款，红色连衣裙"),
        (wording.word_order, "男人女人", "女人男人"),
    ],
)
def test_kind_gives_the_expected_caption(change: Change, before: str, after: str) -> None:
    assert change(before, rng()) == after


@pytest.mark.parametrize(
    ("name", "caption"),
    [
        ("traditional", "一人"),
        ("simplified", "一只猫"),
        ("full-width", "红色的裙子"),
        ("half-width", "红色的裙子"),
        ("digits", "大家在一起，第一个人，一家四口，一个个苹果，三四个人"),
        ("digits", "一头长发的女人统一着装"),
        ("characters", "两只狗，3D打印，2022年，v2个"),
        ("two", "三只狗"),
        ("no-punctuation", "3.5"),
        ("spaces", "狗"),
        ("clause-order", "一只狗在草地上奔跑。"),
        ("synonym", "龘在这里"),
        ("particle", "草地，目的"),
        ("homophone", "龘"),
        ("look-alike", "龘"),
        ("word-order", "狗"),
        ("truncation", "狗。"),
    ],
)
def test_kind_leaves_captions_alone_that_it_does_not_apply_to(name: str, caption: str) -> None:
    assert change_caption(KINDS[name], name, caption, 0) is None


@pytest.mark.parametrize("name", KINDS)
def test_changes_are_the_same_every_time_and_never_the_caption_itself(name: str) -> None:
    for caption in CAPTIONS:
        once = change_caption(KINDS[name], name, caption, 3)
        assert once == change_caption(KINDS[name], name, caption, 3)
        assert once != caption
        assert once is None or once


def test_another_seed_draws_other_typos() -> None:
    drawn = {change_caption(KINDS["homophone"], "homophone", CAPTIONS[1], seed) for seed in range(8)}
    assert len(drawn) > 3


def test_traditional_captions_simplify_to_the_caption() -> None:
    simplify = simplifier()
    for caption in CAPTIONS:
        changed = script.traditional(caption, rng())
        assert changed is None or simplify(changed) == simplify(caption)


def test_numbers_keep_their_value_in_every_form() -> None:
    for caption in ("两只狗和十二个人", "2只狗和12个人", "一百零三棵树"):
        values = [found.value for found in find_counted(caption)]
        for change in (numerals.digits, numerals.characters, numerals.two, numerals.formal):
            changed = change(caption, rng())
            assert changed is None or [found.value for found in find_counted(changed)] == values


@pytest.mark.parametrize("value", [1, 2, 10, 11, 20, 101, 110, 1001, 1010, 2345, 9999])
def test_numbers_are_read_as_they_are_written(value: int) -> None:
    assert read_number(write_number(value)) == value
    assert read_number(write_number(value, formal=True)) == value
    assert read_number(str(value)) == value


def test_numbers_that_are_none_are_not_read() -> None:
    assert [read_number(text) for text in ("三四", "百", "二百百", "一千二千")] == [None] * 4


def test_full_width_and_spaces_change_no_token() -> None:
    for name in ("full-width", "spaces"):
        for caption in CAPTIONS:
            changed = change_caption(KINDS[name], name, caption, 0)
            assert changed is None or encode_ids([changed]) == encode_ids([caption])


def test_rearranged_captions_keep_every_character() -> None:
    for name in ("clause-order", "word-order"):
        for caption in CAPTIONS:
            changed = change_caption(KINDS[name], name, caption, 0)
            assert changed is None or sorted(changed.replace(" ", "")) == sorted(caption.replace(" ", ""))


def test_a_typo_changes_one_character_to_one_of_its_group() -> None:
    tables = {
        typos.homophone: [*HOMOPHONES.values()],
        typos.look_alike: [*LOOKALIKES],
        typos.confused_particle: [*CONFUSIONS.values()],
    }
    for change, groups in tables.items():
        for seed in range(20):
            changed = change(CAPTIONS[0], rng(seed))
            assert changed is not None
            assert len(changed) == len(CAPTIONS[0])
            places = [place for place, old in enumerate(CAPTIONS[0]) if changed[place] != old]
            assert len(places) == 1
            assert any({CAPTIONS[0][places[0]], changed[places[0]]} <= set(group) for group in groups)


def test_tables_are_large_and_no_character_stands_twice() -> None:
    for groups, fewest in ((HOMOPHONES.values(), 60), (LOOKALIKES, 60), (CONFUSIONS.values(), 10)):
        together = "".join(groups)
        assert len(groups) >= fewest
        assert len(set(together)) == len(together)
        assert all(len(group) > 1 for group in groups)
        assert not any(100 in ids for ids in encode_ids(list(together)))  # 100 is [UNK]


def test_typos_never_touch_what_would_say_something_else() -> None:
    for groups in (HOMOPHONES.values(), CONFUSIONS.values()):
        assert not set("".join(groups)) & set("一二三四五六七八九十百两左右上下不没无有他她它买卖")
    assert not set("".join(LOOKALIKES)) & set("一二三四五六七八九十两左右上下不没无他她它")


def test_synonyms_stay_in_their_group_and_name_no_colour_or_number() -> None:
    changed = wording.with_synonym("骑自行车的人", rng())
    assert changed in ("骑脚踏车的人", "骑单车的人")
    words = {"红薯", "西红柿"} ^ {word for pair in EQUIVALENTS.others.items() for word in (pair[0], *pair[1])}
    assert not any(sign in word for word in words for sign in "红黄蓝绿黑白一二三两")


def test_another_mark_or_emoji_leaves_the_rest_as_it_was() -> None:
    changed = wording.more_punctuation("一只狗。", rng())
    assert changed is not None and changed.startswith("一只狗") and changed != "一只狗。"
    with_emoji = wording.with_emoji("一只狗。", rng())
    assert with_emoji is not None and with_emoji.startswith("一只狗。")


def test_names_are_checked_and_put_in_order() -> None:
    assert choose_names("all", ["a", "b"], what="kind") == ["a", "b"]
    assert choose_names("b，a,b", ["a", "b"], what="kind") == ["a", "b"]
    for wrong in ("a,c", " , "):
        with pytest.raises(UnknownNameError, match="kind"):
            choose_names(wrong, ["a", "b"], what="kind")
    with pytest.raises(UnknownNameError) as caught:
        choose_names("tradtional", list(KINDS), what="kind")
    assert str(caught.value.fix).startswith("did you mean traditional? all, or some of: ")


def test_kinds_that_need_opencc_say_so_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert why_skipped(KINDS["traditional"]) is None
    monkeypatch.setattr(script, "has_opencc", lambda: False)
    assert "cnclip[clean]" in (why_skipped(KINDS["traditional"]) or "")
    assert why_skipped(KINDS["digits"]) is None
