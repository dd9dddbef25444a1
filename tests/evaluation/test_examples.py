"""The queries a report shows: the user's own, the best, the worst."""

from __future__ import annotations

import numpy as np
import pytest

from cnclip.evaluation.embed import embed_images, embed_texts
from cnclip.evaluation.evaluate import store_positives
from cnclip.evaluation.examples import Gallery, extreme_queries, search_pictures
from cnclip.evaluation.retrieval import RetrievalResult, recall_at_k
from cnclip.evaluation.rows import Rows
from cnclip.images.transform import ImageTransform
from cnclip.model import ChineseClip
from cnclip.stores.reader import StoreReader


@pytest.fixture
def gallery(model: ChineseClip, store: StoreReader, transform: ImageTransform) -> Gallery:
    return Gallery(store, embed_images(model, store, transform=transform, progress=None).rows)


@pytest.fixture
def text_rows(model: ChineseClip, store: StoreReader) -> Rows:
    return embed_texts(model, list(store.captions()), progress=None).rows


@pytest.fixture
def result(gallery: Gallery, text_rows: Rows, store: StoreReader) -> RetrievalResult:
    return recall_at_k(gallery.rows, text_rows, store_positives(store))


def test_a_query_finds_the_nearest_pictures_in_order(
    model: ChineseClip, store: StoreReader, gallery: Gallery
) -> None:
    queries = ["红色的圆", "蓝色"]
    found = search_pictures(model, queries, gallery, top=5)
    assert [answer.query for answer in found] == queries
    rows = embed_texts(model, queries, progress=None).rows
    for row, answer in zip(rows, found, strict=True):
        order = np.argsort(-(gallery.rows @ row), kind="stable")[:5]
        assert [p.image for p in answer.pictures] == [store.image(int(i)).image for i in order]
        assert [p.score for p in answer.pictures] == pytest.approx(
            sorted(gallery.rows @ row)[::-1][:5], abs=1e-5
        )
        assert all(p.correct is None for p in answer.pictures)


def test_a_picture_is_named_by_its_first_caption_or_its_id(store: StoreReader, gallery: Gallery) -> None:
    assert gallery.picture(store.image_index("红圆.png"), 0.5, None).label == "一个红色的圆形"
    assert gallery.picture(store.image_index("没有文字.png"), 0.5, None).label == "没有文字.png"


@pytest.mark.parametrize("which", ["best", "worst"])
def test_extremes_are_ordered_by_rank_and_no_caption_comes_twice(
    which: str, store: StoreReader, gallery: Gallery, text_rows: Rows, result: RetrievalResult
) -> None:
    answers = extreme_queries(result.t2i, gallery, text_rows, which, count=4)  # type: ignore[arg-type]
    queries = [answer.query for answer in answers]
    assert len(set(queries)) == 4
    ranks: dict[str, list[int]] = {}
    for index, rank in enumerate(result.t2i.ranks):
        ranks.setdefault(store.text(index).caption, []).append(int(rank))
    pick, sign = (min, 1) if which == "best" else (max, -1)
    shown = [pick(ranks[query]) for query in queries]
    everything = sorted((pick(values) for values in ranks.values()), key=lambda rank: sign * rank)
    assert shown == everything[:4]


def test_correct_pictures_are_marked_and_a_missed_one_is_added_under_its_rank(
    store: StoreReader, gallery: Gallery, text_rows: Rows, result: RetrievalResult
) -> None:
    missed = 0
    for answer in extreme_queries(result.t2i, gallery, text_rows, "worst", count=3):
        right = [picture for picture in answer.pictures if picture.correct]
        assert right
        if len(answer.pictures) == 4:
            missed += 1
            assert answer.pictures[-1].correct and right == answer.pictures[-1:]
            label = answer.pictures[-1].label
            assert label.startswith("#") and int(label[1:].split()[0]) > 3
    assert missed
