"""A model and a store -> recall@K both ways: the one call of a validation during training."""

from __future__ import annotations

import numpy as np

from cnclip.errors import SourceError
from cnclip.evaluation.embed import embed_images, embed_texts
from cnclip.evaluation.retrieval import RetrievalResult, recall_at_k
from cnclip.evaluation.rows import Indices, Rows
from cnclip.images.transform import ImageTransform
from cnclip.model import ChineseClip
from cnclip.stores.reader import StoreReader


def evaluate_store(
    model: ChineseClip,
    store: StoreReader,
    *,
    transform: ImageTransform | None = None,
    image_rows: Rows | None = None,
    batch_size: int = 64,
    workers: int = 2,
    progress: bool = True,
) -> RetrievalResult:
    """Recall@K of a model on a store's pictures and captions.

    Args:
        model: on any device, in any mode; it comes back in the same mode, without gradients.
        store: its pairs say what is correct.
        transform: the model's preprocessing; may be left out with `image_rows`.
        image_rows: float32 [store.image_count, D] unit rows of the store's pictures in its order, used in
            place of the image tower, so that only captions are computed.
        batch_size: pictures per forward pass; captions go four times as many.
        workers: threads that decode pictures.
        progress: whether to show progress bars on stderr.

    Raises:
        SourceError: no pairs, or rows that do not fit the store.
        ImageError: a picture cannot be decoded.
        CheckpointError: the model gives NaN.
    """
    if image_rows is None:
        assert transform is not None, "evaluate_store needs a transform or image_rows"
        image_rows = embed_images(
            model,
            store,
            transform=transform,
            batch_size=batch_size,
            workers=workers,
            progress="images" if progress else None,
        ).rows
    elif len(image_rows) != store.image_count:
        raise SourceError(f"{len(image_rows)} image rows for a store of {store.image_count} images")
    texts = embed_texts(
        model,
        list(store.captions()),
        ids=list(store.text_ids()),
        batch_size=4 * batch_size,
        progress="texts" if progress else None,
    )
    return recall_at_k(image_rows, texts.rows, store_positives(store))


def store_positives(store: StoreReader) -> Indices:
    """A store's correct pairs as int64 [pair_count, 2]: (image index, text index)."""
    return np.stack([store.pair_images, store.pair_texts], axis=1)


def repeated_captions(store: StoreReader) -> int:
    """How many captions stand word for word at another picture too: no model can tell these apart."""
    groups = store.caption_groups(0, store.text_count)[store.pair_texts]  # int64 [pairs]
    pictures = np.unique(np.stack([groups, store.pair_images], axis=1), axis=0)
    numbers, counts = np.unique(pictures[:, 0], return_counts=True)
    several = np.isin(groups, numbers[counts > 1])
    return len(np.unique(store.pair_texts[several]))
