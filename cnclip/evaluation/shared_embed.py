"""Embeddings of a store by one process or by several, each picture and each distinct caption exactly once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from cnclip.evaluation.embed import EmbeddingTable, ImageSource, NamedImage, embed_images, embed_texts
from cnclip.evaluation.processes import Processes, taken
from cnclip.evaluation.rows import Indices, Rows
from cnclip.images.transform import ImageTransform
from cnclip.model import ChineseClip
from cnclip.stores.reader import StoreReader


@dataclass(frozen=True)
class SomeImages:
    """Some pictures of a source, as a source of their own.

    Attributes:
        source: all of them.
        places: int64 [image_count]: which, in the order of embedding.
    """

    source: ImageSource
    places: Indices

    @property
    def image_count(self) -> int:
        """How many."""
        return len(self.places)

    def image(self, index: int, /) -> NamedImage:
        """Picture number `index` of these."""
        return self.source.image(int(self.places[index]))


def embed_store_images(
    model: ChineseClip,
    store: StoreReader,
    processes: Processes,
    *,
    transform: ImageTransform,
    batch_size: int = 64,
    workers: int = 2,
) -> EmbeddingTable | None:
    """Embed every picture of a store; all processes call this, the main one gets the table.

    Args:
        model: the same on every process, each on its own device.
        store: opened by every process.
        processes: who takes part.
        transform: the model's preprocessing.
        batch_size: pictures per forward pass.
        workers: threads per process that decode.

    Raises:
        ImageError, CheckpointError, SourceError: see embed_images.
        PeerError: another process has gone.
    """
    places = processes.share(store.image_count, batch_size)
    rows = _no_rows(model)
    if len(places) or processes.count == 1:
        rows = embed_images(
            model,
            SomeImages(store, places),
            transform=transform,
            batch_size=batch_size,
            workers=workers,
            progress="images" if processes.is_main else None,
        ).rows
    whole = processes.collect(rows, store.image_count, batch_size)
    return None if whole is None else EmbeddingTable(list(store.image_ids()), whole)


def embed_store_texts(
    model: ChineseClip, store: StoreReader, processes: Processes, *, batch_size: int = 256
) -> EmbeddingTable | None:
    """Embed every caption of a store, equal ones once; see embed_store_images."""
    captions = list(store.captions())
    ids = list(store.text_ids())
    distinct, places = _distinct(captions)
    mine = processes.share(len(distinct), batch_size)
    rows = _no_rows(model)
    if len(mine) or processes.count == 1:
        id_of = dict(zip(captions, ids, strict=True))
        chosen = taken(distinct, mine)
        names = [id_of[caption] for caption in chosen]
        progress = "texts" if processes.is_main else None
        rows = embed_texts(model, chosen, ids=names, batch_size=batch_size, progress=progress).rows
    whole = processes.collect(rows, len(distinct), batch_size)
    return None if whole is None else EmbeddingTable(ids, whole[places])


def _distinct(captions: Iterable[str]) -> tuple[list[str], Indices]:
    """Captions once each, in the order that embed_texts batches them by, and the place of each given one."""
    captions = list(captions)
    distinct = sorted(set(captions), key=lambda caption: (len(caption), caption))
    place = {caption: index for index, caption in enumerate(distinct)}
    return distinct, np.array([place[caption] for caption in captions], dtype=np.int64)


def _no_rows(model: ChineseClip) -> Rows:
    return np.empty((0, model.architecture.embed_dim), dtype=np.float32)
