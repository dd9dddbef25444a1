"""Captions of a store rewritten: every row accounted for, equal ones once, and twice is once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cnclip.errors import SourceError
from cnclip.stores.derived import CleanedSource, CleanPlan, change_lines, plan_cleaning
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import build_store

Rewrite = Callable[[str], tuple[str, tuple[str, ...]]]


def tidy(caption: str) -> tuple[str, tuple[str, ...]]:
    """Two rules: 犬 is 狗, and x vanishes."""
    dogs = caption.replace("犬", "狗")
    after = dogs.replace("x", "")
    rules = [name for name, changed in (("犬", dogs != caption), ("x", after != dogs)) if changed]
    return after, tuple(rules)


def cleaned(reader: StoreReader, target: Path, rewrite: Rewrite = tidy) -> CleanPlan:
    plan = plan_cleaning(reader, rewrite)
    build_store(CleanedSource(reader, rewrite, plan, {"kind": "clean"}), target)
    return plan


@pytest.fixture
def dogs(make_store: Callable[..., StoreReader], photo: Callable[..., bytes]) -> StoreReader:
    texts = [
        ("甲", "一只犬", ["图0"]),
        ("乙", "一只狗", ["图0"]),  # equal to 甲 after it
        ("丙", "x一只狗x", ["图0", "图1"]),  # 图0 has it already, 图1 has not
        ("丁", "一只狗", ["图1"]),  # equal to 丙 then
        ("戊", "xx", ["图2"]),  # nothing is left, and 图2 has no other
        ("己", "一只猫", ["图1"]),
        ("庚", "一只猫", ["图1"]),  # was equal before
        ("辛", "没有图片的犬", []),
        ("壬", "一只犬", ["图3"]),
    ]
    return make_store("犬", {f"图{number}": photo(number) for number in range(4)}, texts)


def test_what_becomes_equal_goes_and_what_was_equal_stays(
    dogs: StoreReader, tmp_path: Path, rows_of: Callable[..., tuple[dict[str, bytes], dict[str, object]]]
) -> None:
    plan = cleaned(dogs, tmp_path / "净")
    with StoreReader(tmp_path / "净") as made:
        images, texts = rows_of(made)
        assert images == rows_of(dogs)[0] and made.header.unreferenced_images == 1
    assert texts == {
        "甲": ("一只狗", ("图0",)),
        "丙": ("一只狗", ("图1",)),
        "己": ("一只猫", ("图1",)),
        "庚": ("一只猫", ("图1",)),
        "辛": ("没有图片的狗", ()),
        "壬": ("一只狗", ("图3",)),
    }
    assert (plan.rules, int(plan.changed.sum())) == ({"犬": 3, "x": 2}, 5)
    assert (int(plan.empty.sum()), int(plan.equal.sum()), plan.unlinked) == (1, 2, 1)


def test_every_change_is_listed_with_its_rules(dogs: StoreReader) -> None:
    plan = plan_cleaning(dogs, tidy, examples=1)
    lines = {line.pop("text_id"): line for line in change_lines(dogs, tidy, plan)}
    assert lines == {
        "甲": {"before": "一只犬", "after": "一只狗", "rules": ["犬"]},
        "乙": {"before": "一只狗", "after": None, "rules": ["equal"]},
        "丙": {"before": "x一只狗x", "after": "一只狗", "rules": ["x"], "unlinked": ["图0"]},
        "丁": {"before": "一只狗", "after": None, "rules": ["equal"]},
        "戊": {"before": "xx", "after": None, "rules": ["x", "empty"]},
        "辛": {"before": "没有图片的犬", "after": "没有图片的狗", "rules": ["犬"]},
        "壬": {"before": "一只犬", "after": "一只狗", "rules": ["犬"]},
    }
    assert plan.examples == {"犬": [("一只犬", "一只狗")], "x": [("x一只狗x", "一只狗")]}


@pytest.mark.parametrize("seed", range(12))
def test_captions_in_are_captions_written_and_dropped_and_twice_is_once(
    make_store: Callable[..., StoreReader], photo: Callable[..., bytes], tmp_path: Path, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    texts = []
    for number in range(40):
        caption = "".join(rng.choice(list("犬狗x猫"), rng.integers(1, 4)))
        images = rng.choice(5, rng.integers(0, 3), replace=False)
        texts.append((f"文{number}", caption, [f"图{image}" for image in images]))
    reader = make_store("犬", {f"图{number}": photo(number) for number in range(5)}, texts)
    plan = cleaned(reader, tmp_path / "一")
    with StoreReader(tmp_path / "一") as once:
        assert once.text_count + plan.dropped == reader.text_count
        dropped_pairs = int((~plan.choice.links).sum()) if plan.choice.links is not None else 0
        assert once.pair_count + dropped_pairs == reader.pair_count
        assert once.image_count == reader.image_count
        again = cleaned(once, tmp_path / "二")
        assert again.dropped == again.unlinked == again.changed.sum() == 0
        with StoreReader(tmp_path / "二") as twice:
            assert twice.fingerprint == once.fingerprint


def test_a_store_that_needs_no_cleaning_stays_the_same(albums: StoreReader, tmp_path: Path) -> None:
    plan = cleaned(albums, tmp_path / "同")
    assert (plan.rules, plan.dropped, plan.unlinked) == ({}, 0, 0)
    with StoreReader(tmp_path / "同") as made:
        assert made.fingerprint == albums.fingerprint


def test_a_caption_that_no_store_may_hold_is_named(dogs: StoreReader) -> None:
    with pytest.raises(SourceError, match="NUL") as caught:
        plan_cleaning(dogs, lambda caption: (caption.replace("犬", "\0"), ("犬",) if "犬" in caption else ()))
    assert "caption 甲" in str(caught.value)
