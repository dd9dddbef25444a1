"""Labelled pictures -> their embeddings, by all processes, kept in a folder for the next classifier."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cnclip.commands.eval_rows import EmbeddingOptions
from cnclip.commands.evaluate_parts import Subject
from cnclip.errors import SourceError
from cnclip.evaluation.cache import EmbeddingFacts, find_embeddings, save_embeddings
from cnclip.evaluation.embed import EmbeddingTable, embed_images
from cnclip.evaluation.labelled import LabelledImages, LabelledRows
from cnclip.evaluation.processes import Processes
from cnclip.evaluation.rows import Rows
from cnclip.evaluation.shared_embed import SomeImages


def embed_pictures(
    subject: Subject,
    pictures: LabelledImages | LabelledRows,
    options: EmbeddingOptions,
    processes: Processes,
    folder: Path | None,
) -> LabelledRows | None:
    """The pictures' embeddings with their labels, on the main process; None on the others.

    Args:
        subject: the model, the same on every process.
        pictures: to embed; ready embeddings stay as they are.
        options: how; `options.cache` goes before `folder`.
        processes: all of them call this; each picture is embedded by one.
        folder: keeps the embeddings of this one model and data.

    Raises:
        SourceError: ready embeddings of another width than the model's.
        ImageError, CheckpointError, ArtifactError, ResourceError, PeerError.
    """
    if isinstance(pictures, LabelledRows):
        width = subject.model.architecture.embed_dim
        if pictures.rows.shape[1] != width:
            raise SourceError(
                f"the embeddings have {pictures.rows.shape[1]} columns, {subject.short_name} makes {width}",
                fix="embed the pictures with this model",
            )
        return pictures if processes.is_main else None
    with subject.timed("images"):
        table = _kept_embeddings(subject, pictures, options, processes, folder)
    if table is None:
        return None
    return LabelledRows(table.ids, table.rows, pictures.labels, pictures.marks, pictures.fingerprint)


def _kept_embeddings(
    subject: Subject,
    pictures: LabelledImages,
    options: EmbeddingOptions,
    processes: Processes,
    folder: Path | None,
) -> EmbeddingTable | None:
    place, facts = None, None
    if processes.is_main and (folder is not None or options.cache is not None):
        facts = EmbeddingFacts(
            kind="image",
            tower=subject.towers["image"],
            preprocessing=subject.transform.fingerprint,
            source=pictures.content,
            precision=subject.precision,
        )
        place = folder if options.cache is None else options.cache / f"images-{facts.short}"
    found = None if facts is None else find_embeddings(place, facts)
    if processes.from_main(found is not None):
        return found
    items = pictures.source.image_count
    own = processes.share(items, options.batch_size)
    rows: Rows = np.empty((0, subject.model.architecture.embed_dim), dtype=np.float32)
    if len(own):
        rows = embed_images(
            subject.model,
            SomeImages(pictures.source, own),
            transform=subject.transform,
            batch_size=options.batch_size,
            workers=options.workers,
            progress="images" if processes.is_main else None,
        ).rows
    whole = processes.collect(rows, items, options.batch_size)
    if whole is None:
        return None
    table = EmbeddingTable(pictures.ids, whole)
    if place is not None and facts is not None:
        save_embeddings(table, place, facts)
    return table
