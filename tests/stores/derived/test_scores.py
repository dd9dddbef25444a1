"""Thresholds on the scores of pairs: what stays, checked by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from cnclip.errors import RecipeError, SourceError
from cnclip.stores.derived import (
    DerivedSource,
    keep_good_pairs,
    least_score,
    pairs_around,
    score_lines,
    score_tables,
    worst_pairs,
)
from cnclip.stores.reader import StoreReader

SCORES = np.array([0.5, 0.1, 0.3, 0.4, 0.2], dtype=np.float32)


@pytest.fixture
def five(make_store: Callable[..., StoreReader], photo: Callable[..., bytes]) -> StoreReader:
    """Pairs: 甲-图0, 乙-图0, 乙-图1, 丙-图2, 丁-图1; 图3 has no caption, 戊 no picture."""
    texts = [
        ("甲", "山", ["图0"]),
        ("乙", "水", ["图0", "图1"]),
        ("丙", "树", ["图2"]),
        ("丁", "河", ["图1"]),
        ("戊", "没有图片的查询", []),
    ]
    return make_store("五", {f"图{number}": photo(number) for number in range(4)}, texts)


def rows(
    reader: StoreReader, threshold: float, **options: bool
) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    found = keep_good_pairs(reader, SCORES, threshold, **options)
    source = DerivedSource([reader], found.choice, {})
    images = [image.image_id for image in source.images(lambda row: None)]
    texts = {text.text_id: text.image_ids for text in source.texts(lambda row: None)}
    assert reader.image_count - found.pictures == len(images)
    assert reader.text_count - found.captions == len(texts)
    assert reader.pair_count - found.pairs == sum(map(len, texts.values()))
    return images, texts


def test_pairs_under_the_threshold_lose_their_link(five: StoreReader) -> None:
    images, texts = rows(five, 0.3)
    assert images == ["图0", "图1", "图2"]
    assert texts == {"甲": ("图0",), "乙": ("图1",), "丙": ("图2",), "戊": ()}
    images, texts = rows(five, 0.45)
    assert (images, texts) == (["图0"], {"甲": ("图0",), "戊": ()})
    assert rows(five, 0.45, keep_pictures=True)[0] == ["图0", "图1", "图2", "图3"]
    found = keep_good_pairs(five, SCORES, 0.45)
    assert (found.pairs, found.captions, found.pictures, found.bare) == (4, 3, 3, 1)


def test_a_threshold_over_the_best_is_refused(five: StoreReader) -> None:
    with pytest.raises(SourceError, match=r"the best has 0\.5000"):
        keep_good_pairs(five, SCORES, 0.51)


def test_a_share_becomes_the_score_of_the_last_pair_that_stays() -> None:
    assert least_score(SCORES, 0.4) == pytest.approx(0.4)
    assert least_score(SCORES, 1) == pytest.approx(0.1)
    assert least_score(SCORES, 0.0001) == pytest.approx(0.5)
    ties = np.array([0.5, 0.5, 0.5, 0.1], dtype=np.float32)
    assert (ties >= least_score(ties, 0.25)).sum() == 3
    with pytest.raises(RecipeError):
        least_score(SCORES, 0)
    with pytest.raises(SourceError, match="no pairs"):
        least_score(SCORES[:0], 0.5)


def test_pairs_at_the_ends_and_around_a_threshold() -> None:
    assert worst_pairs(SCORES, 2).tolist() == [1, 4]
    under, over = pairs_around(SCORES, 0.3, 2)
    assert (under.tolist(), over.tolist()) == ([4, 1], [2, 3])


def test_tables_tell_quantiles_shares_and_the_distribution() -> None:
    scores = np.linspace(0, 1, 101, dtype=np.float32)
    quantiles, thresholds, bars = score_tables(scores)
    assert ("25%", "0.2500") in quantiles.rows and ("max", "1.0000") in quantiles.rows
    assert ("--min-score 0.2", "80.2%") in thresholds.rows
    assert ("--keep-share 0.5", "≥ 0.5100") in thresholds.rows
    assert sum(int(row[1]) for row in bars.rows) == 101
    assert len(score_tables(np.full(3, 0.25, dtype=np.float32))) == 3


def test_lines_hold_every_pair_with_its_ids(five: StoreReader) -> None:
    lines = list(score_lines(five, SCORES, ["图\t0", "图1", "图2", "图3"], list("甲乙丙丁戊"), 0.3))
    assert lines[0] == "image_id\ttext_id\tscore\tkept\n"
    assert lines[1] == "图\\t0\t甲\t0.500000\t1\n" and lines[2] == "图\\t0\t乙\t0.100000\t0\n"
    assert len(lines) == 6
    plain = list(score_lines(five, SCORES, ["图0", "图1", "图2", "图3"], list("甲乙丙丁戊"), None))
    assert plain[5] == "图1\t丁\t0.200000\n"
