"""What every insight is drawn from: a store, one model's embeddings of it, and the ranks they gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cnclip.evaluation.embed import EmbeddingTable
from cnclip.evaluation.per_query import Queries
from cnclip.evaluation.retrieval import RetrievalResult
from cnclip.evaluation.rows import Indices
from cnclip.evaluation.uncertainty import Draws
from cnclip.stores.reader import StoreReader


@dataclass(frozen=True)
class Evidence:
    """One model on one store.

    Attributes:
        store: pictures, captions, correct pairs.
        images: float32 rows [store.image_count, D], unit length, in the store's order.
        texts: float32 rows [store.text_count, D], unit length, in the store's order.
        positives: int64 [pairs, 2] of (image index, text index).
        result: ranks and scores of every query, both directions.
        queries: "t2i" and "i2t" -> the labelled queries, with the groups that are drawn together.
        draws: of intervals; 0 samples make none.
    """

    store: StoreReader
    images: EmbeddingTable
    texts: EmbeddingTable
    positives: Indices
    result: RetrievalResult
    queries: Mapping[str, Queries]
    draws: Draws
