"""Embeddings of a store for the measuring commands: by all processes, and kept in a folder."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from cnclip.checkpoints import Precision
from cnclip.commands.evaluate_parts import Subject, embedding_facts, open_subject
from cnclip.evaluation.cache import MAPPED_BYTES, Kind, find_embeddings, load_embeddings, save_embeddings
from cnclip.evaluation.embed import EmbeddingTable
from cnclip.evaluation.processes import Processes, device_of
from cnclip.evaluation.shared_embed import embed_store_images, embed_store_texts
from cnclip.stores.reader import StoreReader

FOLDERS: dict[Kind, str] = {"image": "images", "text": "texts"}


@dataclass(frozen=True)
class EmbeddingOptions:
    """How embeddings are made and kept.

    Attributes:
        precision: of the weights and the arithmetic.
        device: cpu, cuda, cuda:1 …; auto gives each process a GPU of its own where there are some.
        batch_size: pictures per forward pass; captions go four times as many.
        workers: threads per process that decode pictures.
        cache: folder that keeps the embeddings of any models and stores, each under its fingerprint.
    """

    precision: Precision = "fp32"
    device: str = "auto"
    batch_size: int = 64
    workers: int = 2
    cache: Path | None = None


def open_on_processes(name: str, options: EmbeddingOptions, processes: Processes) -> Subject:
    """Load a model on every process; what has to be downloaded comes once.

    Raises:
        UnknownNameError, CheckpointError: see open_subject.
    """
    with processes.main_first():
        return open_subject(name, device_of(options.device, processes) or "auto", options.precision)


def embeddings(
    subject: Subject,
    store: StoreReader,
    options: EmbeddingOptions,
    processes: Processes,
    *,
    folder: Path | None = None,
) -> tuple[EmbeddingTable, EmbeddingTable] | None:
    """Embeddings of a store's pictures and captions on the main process; None on the others.

    Args:
        subject: the model, the same on every process.
        store: pictures and captions.
        options: how; `options.cache` goes before `folder`.
        processes: all of them call this.
        folder: keeps the embeddings of this one model and store, in `images/` and `texts/`.

    Raises:
        ImageError, CheckpointError, SourceError, ArtifactError, ResourceError, PeerError.
    """
    with subject.timed("images"):
        images = _kept("image", subject, store, options, processes, folder)
    with subject.timed("texts"):
        texts = _kept("text", subject, store, options, processes, folder)
    return None if images is None or texts is None else (images, texts)


def _kept(
    kind: Kind,
    subject: Subject,
    store: StoreReader,
    options: EmbeddingOptions,
    processes: Processes,
    folder: Path | None,
) -> EmbeddingTable | None:
    facts = embedding_facts(subject, store, kind)
    place = folder and folder / FOLDERS[kind]
    if options.cache is not None:
        place = options.cache / f"{FOLDERS[kind]}-{facts.short}"
    found = find_embeddings(place, facts) if processes.is_main else None
    if processes.from_main(found is not None):
        return found
    partial = place and place.with_name(f"{place.name}.incomplete") / facts.short
    if kind == "image":
        table = embed_store_images(
            subject.model,
            store,
            processes,
            transform=subject.transform,
            batch_size=options.batch_size,
            workers=options.workers,
            partial=partial,
        )
    else:
        size = 4 * options.batch_size
        table = embed_store_texts(subject.model, store, processes, batch_size=size, partial=partial)
    if table is not None and place is not None and partial is not None:
        save_embeddings(table, place, facts)
        shutil.rmtree(partial.parent, ignore_errors=True)  # of older attempts too
        if table.rows.nbytes >= MAPPED_BYTES:
            table = load_embeddings(place, facts)
    return table
