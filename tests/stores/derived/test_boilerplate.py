"""Phrases that machines put before and after captions are found; what is only language is not."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from cnclip.errors import SourceError
from cnclip.stores.derived import Phrases, find_boilerplate, read_phrases

SCENES = [
    "".join(words)
    for words in product(
        ("一个男人", "一个女人", "两个孩子", "一只小狗", "三只黄猫"),
        ("在海边", "在山上", "在街道旁", "正沿着河岸"),
        ("奔跑。", "静静睡觉。", "看书！", "吃早饭", "晒太阳"),
    )
]


def phrases_of(captions: list[str]) -> tuple[list[str], list[str]]:
    """Starts and ends that are found; cut as a command cuts them."""

    def without(phrases: Phrases) -> Callable[[int], str]:
        def caption_at(index: int) -> str:
            caption = captions[index]
            while True:
                before = caption
                for phrase in phrases.starts:
                    caption = caption.removeprefix(phrase.text)
                for phrase in phrases.ends:
                    caption = caption.removesuffix(phrase.text)
                if caption == before:
                    return caption

        return caption_at

    found = find_boilerplate(without, len(captions))
    return [phrase.text for phrase in found.starts], [phrase.text for phrase in found.ends]


def test_language_is_no_boilerplate() -> None:
    assert phrases_of(SCENES) == ([], [])
    assert phrases_of([]) == ([], [])


def test_a_phrase_before_or_after_is_found_whole() -> None:
    before = [f"图片来源：网络｜{scene}" if place % 3 else scene for place, scene in enumerate(SCENES)]
    assert phrases_of(before) == (["图片来源：网络｜"], [])
    after = [f"{scene}【全国包邮】" if place % 2 else scene for place, scene in enumerate(SCENES)]
    assert phrases_of(after) == ([], ["【全国包邮】"])


def test_a_phrase_under_a_phrase_comes_to_light() -> None:
    sources = ["新华社记者：", "图片来自：甲乙"]
    captions = [f"高清壁纸下载 {sources[place % 2]}{scene}" for place, scene in enumerate(SCENES)]
    starts, ends = phrases_of(captions)
    assert (starts[0], ends) == ("高清壁纸下载 ", []) and set(starts[1:]) == set(sources)


def test_a_caption_that_is_nothing_but_the_phrase_does_not_shorten_it() -> None:
    captions = ["图片来源：网络", *(f"图片来源：网络{scene}" for scene in SCENES)]
    assert phrases_of(captions)[0] == ["图片来源：网络"]


def test_repeated_captions_and_rare_phrases_are_left_alone() -> None:
    assert phrases_of([*SCENES, *["一张白色的猫的照片"] * 500]) == ([], [])
    few = [f"图片来源：网络{scene}" if place < 3 else scene for place, scene in enumerate(SCENES)]
    assert phrases_of(few) == ([], [])


def test_phrases_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "套话.txt"
    file.write_text("\ufeff图片来源：网络\n\n  全国包邮 \n图片来源：网络\n", encoding="utf-8")
    assert read_phrases(file) == ["图片来源：网络", "全国包邮"]
    file.write_text(" \n", encoding="utf-8")
    with pytest.raises(SourceError, match="no phrases"):
        read_phrases(file)
    file.write_bytes("网络".encode("gb18030"))
    with pytest.raises(SourceError, match=r"套话\.txt"):
        read_phrases(file)
