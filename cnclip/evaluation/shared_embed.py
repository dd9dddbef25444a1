"""Embeddings of a store by one process or by several, each picture and each distinct caption exactly once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnclip.errors import SourceError
from cnclip.evaluation.embed import EmbeddingTable, ImageSource, NamedImage, image_batches, text_batches
from cnclip.evaluation.partial import PartialRows
from cnclip.evaluation.processes import Processes, taken
from cnclip.evaluation.progress import progress_bar
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
    partial: Path | None = None,
) -> EmbeddingTable | None:
    """Embed every picture of a store; all processes call this, the main one gets the table.

    Args:
        model: the same on every process, each on its own device.
        store: opened by every process.
        processes: who takes part.
        transform: the model's preprocessing.
        batch_size: pictures per forward pass.
        workers: threads per process that decode.
        partial: folder that keeps rows on the way, so that an interrupted run goes on; its name must stand
            for the model, the preprocessing and the store. Whoever keeps the table removes it.

    Raises:
        ImageError, CheckpointError, SourceError: see embed_images.
        PeerError: another process has gone.
    """
    if not store.image_count:
        raise SourceError("no image to embed", where=str(store.path))
    places = processes.share(store.image_count, batch_size)
    kept = _partial(partial, processes, model, batch_size, len(places))
    rest = SomeImages(store, places[kept.done :])
    batches = image_batches(model, rest, transform=transform, batch_size=batch_size, workers=workers)
    rows = _embed_rest(kept, (part for _, part in batches), len(places), ("images", "img"), processes)
    whole = processes.collect(rows, store.image_count, batch_size)
    return None if whole is None else EmbeddingTable(list(store.image_ids()), whole)


def embed_store_texts(
    model: ChineseClip,
    store: StoreReader,
    processes: Processes,
    *,
    batch_size: int = 256,
    partial: Path | None = None,
) -> EmbeddingTable | None:
    """Embed every caption of a store, equal ones once; see embed_store_images."""
    captions = list(store.captions())
    ids = list(store.text_ids())
    if not captions:
        raise SourceError("no text to embed", where=str(store.path))
    distinct, places = _distinct(captions)
    id_of = dict(zip(captions, ids, strict=True))
    mine = taken(distinct, processes.share(len(distinct), batch_size))
    kept = _partial(partial, processes, model, batch_size, len(mine))
    rest = mine[kept.done :]
    batches = text_batches(model, rest, [id_of[caption] for caption in rest], batch_size)
    rows = _embed_rest(kept, batches, len(mine), ("texts", "txt"), processes)
    whole = processes.collect(rows, len(distinct), batch_size)
    return None if whole is None else EmbeddingTable(ids, whole[places])


def _partial(
    folder: Path | None, processes: Processes, model: ChineseClip, batch_size: int, total: int
) -> PartialRows:
    """What this process's share has from an earlier run with as many processes and the same batches."""
    if folder is not None:
        folder = folder / f"batch-{batch_size}-process-{processes.rank}-of-{processes.count}"
    return PartialRows(folder, model.architecture.embed_dim, batch_size=batch_size, total=total)


def _embed_rest(
    kept: PartialRows, batches: Iterator[Rows], total: int, shown: tuple[str, str], processes: Processes
) -> Rows:
    """All rows of this process's share: those that are kept, then those of the batches."""
    label, unit = shown
    with progress_bar(total, label if processes.is_main else None, unit, done=kept.done) as bar:
        try:
            for rows in batches:
                kept.add(rows)
                bar.update(len(rows))
        except BaseException:  # Ctrl-C and SIGTERM too: what has been computed is kept
            kept.keep()
            raise
    return kept.whole()


def _distinct(captions: Iterable[str]) -> tuple[list[str], Indices]:
    """Captions once each, in the order that embed_texts batches them by, and the place of each given one."""
    captions = list(captions)
    distinct = sorted(set(captions), key=lambda caption: (len(caption), caption))
    place = {caption: index for index, caption in enumerate(distinct)}
    return distinct, np.array([place[caption] for caption in captions], dtype=np.int64)
