"""Where `cnclip eval probe` gets its pictures: what to learn from and what to test on, embedded once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnclip.commands.evaluate_parts import Subject
from cnclip.errors import SourceError
from cnclip.evaluation.cache import EmbeddingFacts, cached_embeddings
from cnclip.evaluation.classes import ClassNames
from cnclip.evaluation.embed import EmbeddingTable, embed_images
from cnclip.evaluation.labelled import LabelledImages, LabelledRows, from_class_folders, from_labelled_store
from cnclip.evaluation.labelled_arrays import holds_embeddings, images_from_array, rows_from_array
from cnclip.evaluation.probe.shots import same_pictures, split_off_test
from cnclip.evaluation.probe.task import LabelledSet
from cnclip.stores.reader import StoreReader


@dataclass(frozen=True)
class Sources:
    """How pictures are labelled and embedded.

    Attributes:
        names: the classes.
        cache: folder that keeps embeddings; None keeps none.
        batch_size: pictures per forward pass.
        workers: threads that decode.
    """

    names: ClassNames
    cache: Path | None
    batch_size: int
    workers: int


@dataclass(frozen=True)
class Sides:
    """Embedded pictures.

    Attributes:
        pool: to draw shots from.
        tested: to name.
        facts: lines about them for the report.
        fingerprint: of what was learned from; None for ready embeddings and where nothing is kept.
    """

    pool: LabelledSet
    tested: LabelledSet
    facts: list[str]
    fingerprint: str | None


def both_sides(
    subject: Subject,
    sources: Sources,
    learn: tuple[Path, Path | None],
    test: tuple[Path | None, Path | None],
    share: float,
) -> Sides:
    """Embeddings to learn from and to test on.

    Args:
        subject: the model.
        sources: class names, and how pictures are embedded.
        learn: pictures, and the label file of a store.
        test: the same to test on; without it a share of `learn`.
        share: of each class.

    Raises:
        SourceError: data and class names do not belong together, or pictures with several classes.
        RecipeError: a share that leaves nothing on one side.
    """
    pictures = _read(*learn, sources.names)
    taken = [pictures]
    fingerprint = _kept_under(sources, pictures)
    given = _embedded(subject, sources, pictures, fingerprint, "images")
    if test[0] is not None:
        others = _read(test[0], test[1], sources.names)
        taken.append(others)
        pool, tested = given, _embedded(subject, sources, others, _kept_under(sources, others), "test")
        facts = [f"测试 test: {test[0]}"]
    else:
        learned, held = split_off_test(given.labels, share)
        pool, tested = given.take(learned), given.take(held)
        facts = [f"测试 test: 每类的 {share:g} of each class"]
    facts.append(f"{len(pool)} 张可学 pictures to learn from, {len(tested)} 张测试 to test on")
    same = same_pictures(pool.rows, tested.rows) if len(pool) else 0
    if same:
        facts.append(f"注意 note: {same} 张测试图片与可学图片相同 test pictures equal one to learn from")
    facts += [line for one in taken if isinstance(one, LabelledImages) for line in one.remarks]
    return Sides(pool, tested, facts, fingerprint)


def _embedded(
    subject: Subject,
    sources: Sources,
    pictures: LabelledImages | LabelledRows,
    fingerprint: str | None,
    folder: str,
) -> LabelledSet:
    """Embeddings as they are, kept in a folder under the fingerprint, or made anew."""
    if isinstance(pictures, LabelledRows):
        return LabelledSet(pictures.rows, pictures.labels)
    images = pictures

    def embed() -> EmbeddingTable:
        return embed_images(
            subject.model,
            images.source,
            transform=subject.transform,
            batch_size=sources.batch_size,
            workers=sources.workers,
        )

    with subject.timed(folder):
        if sources.cache is None or fingerprint is None:
            return LabelledSet(embed().rows, images.labels)
        facts = EmbeddingFacts(
            kind="image",
            tower=subject.towers["image"],
            preprocessing=subject.transform.fingerprint,
            source=fingerprint,
            precision=subject.precision,
        )
        return LabelledSet(cached_embeddings(sources.cache / folder, facts, embed).rows, images.labels)


def _read(data: Path, labels: Path | None, names: ClassNames) -> LabelledImages | LabelledRows:
    """Labelled pictures of any kind of data.

    Raises:
        SourceError: data and class names do not belong together, or pictures with several classes.
    """
    pictures: LabelledImages | LabelledRows
    if data.is_file() and holds_embeddings(data):
        pictures = rows_from_array(data, names)
    elif data.is_file():
        pictures = images_from_array(data, names)
    elif labels is None:
        pictures = from_class_folders(data, names)
    else:
        pictures = from_labelled_store(StoreReader(data), labels, names)
    if pictures.marks is not None:
        raise SourceError(
            "pictures with several classes cannot be probed", where=str(data), fix="give each one class"
        )
    return pictures


def _kept_under(sources: Sources, pictures: LabelledImages | LabelledRows) -> str | None:
    """What stands for the pictures and their order; for folders it reads them all. None: nothing is kept."""
    if sources.cache is None or isinstance(pictures, LabelledRows):
        return None
    if pictures.fingerprint is not None and not pictures.unlabelled:
        return pictures.fingerprint
    digest = hashlib.sha256()
    if pictures.fingerprint is not None:
        digest.update(pictures.fingerprint.encode() + np.ascontiguousarray(pictures.indices).tobytes())
        return digest.hexdigest()
    for index in range(pictures.source.image_count):
        picture = pictures.source.image(index)
        digest.update(f"{picture.image_id}\0{len(picture.image)}\0".encode("utf-8", "surrogatepass"))
        digest.update(picture.image)
    return digest.hexdigest()
