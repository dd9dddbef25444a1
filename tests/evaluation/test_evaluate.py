"""The one call of a validation: a model and a store -> recall."""

from __future__ import annotations

import numpy as np
import pytest

from cnclip.errors import SourceError
from cnclip.evaluation.embed import embed_images, embed_texts
from cnclip.evaluation.evaluate import evaluate_store, repeated_captions, store_positives
from cnclip.images.transform import ImageTransform
from cnclip.model import ChineseClip
from cnclip.stores.reader import StoreReader


def test_counts_are_those_of_the_store(
    model: ChineseClip, store: StoreReader, transform: ImageTransform
) -> None:
    result = evaluate_store(model, store, transform=transform, progress=False)
    assert result.t2i.queries == 36 and result.t2i.gallery == store.image_count == 13
    assert (result.i2t.queries, result.i2t.unlabelled, result.i2t.gallery) == (12, 1, 36)
    assert set(result.metrics()) == {
        *(f"{way}_{name}" for way in ("t2i", "i2t") for name in ("r1", "r5", "r10", "mean_recall")),
        "mean_recall",
    }


def test_cached_image_rows_give_the_same_result_without_the_image_tower(
    model: ChineseClip, store: StoreReader, transform: ImageTransform
) -> None:
    rows = embed_images(model, store, transform=transform, progress=None).rows
    whole = evaluate_store(model, store, transform=transform, progress=False)
    cached = evaluate_store(model, store, image_rows=rows, progress=False)
    assert cached.metrics() == whole.metrics()
    with pytest.raises(SourceError, match="12 image rows"):
        evaluate_store(model, store, image_rows=rows[:12], progress=False)


def test_positives_are_the_stores_pairs(store: StoreReader) -> None:
    positives = store_positives(store)
    assert positives.shape == (store.pair_count, 2)
    for image, text in positives:
        assert store.image_id(int(image)) in store.text(int(text)).image_ids


def test_a_model_that_knows_the_answers_has_full_recall(store: StoreReader, model: ChineseClip) -> None:
    """Image rows made of the captions' own embeddings: captions of one picture find it."""
    texts = [store.text(index) for index in range(store.text_count)]
    rows = embed_texts(model, [text.caption for text in texts], progress=None).rows
    image_rows = np.zeros((store.image_count, rows.shape[1]), dtype=np.float32)
    image_rows[:, 0] = 1
    for image in range(store.image_count):
        own = [index for index, text in enumerate(texts) if store.image_id(image) in text.image_ids]
        if own:
            image_rows[image] = rows[own[0]]
    result = evaluate_store(model, store, image_rows=image_rows, progress=False)
    assert result.i2t.recall[1] == 100
    assert result.t2i.recall[1] >= 100 / 3


def test_captions_that_another_picture_has_word_for_word_are_counted(store: StoreReader) -> None:
    assert repeated_captions(store) == 12  # "一个图形" of each picture that has captions
