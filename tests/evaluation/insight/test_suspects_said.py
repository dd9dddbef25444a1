"""When captions say the same: cleaned, by telling words, and as part of what a picture's captions say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnclip.evaluation.insight.labels import Labels, best_items
from cnclip.evaluation.insight.said import Said, covers, said
from cnclip.evaluation.insight.suspect_pairs import from_captions
from cnclip.evaluation.insight.twins import MOST_ALIKE


def one(caption: str) -> Said:
    return said([caption])[0]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("一只狗，在草地上奔跑。", "一只狗在草地上奔跑"),
        ("ＩＰＨＯＮＥ１５ 手机", "iphone15手机"),
        ("“红色”的包", "红色的包"),
        ("红色❤的包", "红色的包"),
    ],
)
def test_captions_are_equal_but_for_marks_spaces_width_and_case(first: str, second: str) -> None:
    assert one(first).key == one(second).key


@pytest.mark.parametrize(
    ("first", "second"),
    [("5.5寸手机", "55寸手机"), ("👍", "👎"), ("一只黑狗", "一只白狗"), ("C++入门", "C入门"), ("😀", "")],
)
def test_captions_that_differ_in_what_they_say_are_not_equal(first: str, second: str) -> None:
    assert one(first).key != one(second).key


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("一只狗在草地上奔跑。", "狗在草坪上飞奔"),
        ("有两个男人站着", "两名男子站着"),
        ("2只猫", "两只猫"),
        ("一个女孩的照片", "女孩子"),
    ],
)
def test_the_same_words_are_told_from_particles_measure_words_and_synonyms(first: str, second: str) -> None:
    assert one(first).words == one(second).words


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("两只狗", "三只狗"),
        ("一群人", "一个人"),
        ("戴帽子的人", "没有戴帽子的人"),
        ("左边的人", "右边的人"),
        ("人咬狗", "狗咬人"),
    ],
)
def test_numbers_groups_negation_sides_and_order_are_told(first: str, second: str) -> None:
    assert one(first).words != one(second).words


def test_a_picture_covers_a_caption_when_its_captions_together_say_every_word() -> None:
    own = said(["草地上有两只小狗", "狗在追一个红色的球"])
    assert all(covers(own, caption) for caption in said(["两条狗追红色的球", "草坪上的狗", "球在草地上"]))
    left = ["三只狗在草地上", "两只猫在草地上", "蓝色的球和狗", "两只狗在追皮球"]
    assert not any(covers(own, caption) for caption in said(left))


def test_one_word_is_not_enough_to_be_covered_and_no_captions_cover_nothing() -> None:
    assert not covers(said(["一只狗在跑"]), one("一只狗"))
    assert not covers([], one("一只狗在跑"))
    assert not covers(said(["一只狗"]), one(""))


@settings(max_examples=8, deadline=None)  # jieba's dictionary is read each time
@given(
    st.lists(st.text("一二两三只个条的在有狗猫跑红色草地 。，👍a5", max_size=12), min_size=20, max_size=40)
)
def test_captions_cover_themselves_and_equal_ones_say_the_same(captions: list[str]) -> None:
    found = said(captions)
    assert [(each.key, each.words) for each in said([each.text for each in found])] == [
        (each.key, each.words) for each in found
    ]
    for each in found:
        assert covers([each], each) == (len(set(each.words)) >= 2)
        assert each.numbers <= set(each.words)


def test_a_caption_that_too_many_pictures_share_is_left_out_and_counted() -> None:
    for pictures, pairs, general in ((MOST_ALIKE, MOST_ALIKE * (MOST_ALIKE - 1), 0), (MOST_ALIKE + 1, 0, 51)):
        positives = np.stack([np.arange(pictures)] * 2, axis=1)
        labels = Labels(positives, pictures, pictures)
        found, left_out = from_captions(dict(enumerate(said(["一张图片"] * pictures))), labels)
        assert (len(found), left_out) == (pairs, general)


@given(st.data())
def test_labels_and_best_items_are_those_of_a_plain_look_up(data: st.DataObject) -> None:
    images, texts = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    every = [(image, text) for image in range(images) for text in range(texts)]
    pairs = data.draw(st.lists(st.sampled_from(every), min_size=1, max_size=9))
    positives = np.array(pairs, dtype=np.int64)
    labels = Labels(positives, images, texts)
    rows = np.random.default_rng(data.draw(st.integers(0, 99))).standard_normal((images + texts, 3))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    best = best_items(rows[images:], rows[:images], positives[:, ::-1])
    for image, text in every:
        assert labels.correct(image, text) == ((image, text) in pairs)
        assert labels.texts_of(image) == sorted({t for i, t in pairs if i == image})
        own = sorted({i for i, t in pairs if t == text})
        assert labels.images_of(text) == own
        scores = [float(rows[i].astype(np.float64) @ rows[images + text].astype(np.float64)) for i in own]
        assert best[text] == (own[int(np.argmax(scores))] if own else -1)
