"""A model's view of a store: the scores of its pairs with their report, and which pictures are alike."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from cnclip.artifacts import atomic_file
from cnclip.commands.evaluate_parts import (
    Subject,
    embedding_facts,
    image_embeddings,
    open_subject,
    text_embeddings,
)
from cnclip.errors import SourceError
from cnclip.evaluation.cache import Kind
from cnclip.evaluation.embed import EmbeddingTable
from cnclip.evaluation.examples import Picture, QueryResult
from cnclip.evaluation.page import Section, write_page
from cnclip.evaluation.similarity import SimilarRows, pair_scores
from cnclip.stores.derived.rows import Places
from cnclip.stores.derived.scores import Scores, pairs_around, score_lines, score_tables, worst_pairs
from cnclip.stores.raw.rows import shown
from cnclip.stores.reader import StoreReader
from cnclip.tables import text_table

_WORST = 10  # pairs that are printed
_ON_PAGE = 12  # pairs of each kind


@dataclass(frozen=True)
class Scored:
    """The pairs of a store and how well a model finds them matched.

    Attributes:
        reader: of the store.
        subject: the model.
        scores: float32 [pairs], cosine similarities in the order of the store.
        image_ids, text_ids: of the store's rows.
        seconds: that it took.
    """

    reader: StoreReader
    subject: Subject
    scores: Scores
    image_ids: list[str]
    text_ids: list[str]
    seconds: float


def score_store(
    checkpoint: str, reader: StoreReader, *, batch_size: int, workers: int, device: str
) -> Scored:
    """Score all pairs; embeddings that are there already are used again.

    Args:
        checkpoint: a model's name, folder or file.
        reader: of the store.
        batch_size: pictures per forward pass; captions go four times as many.
        workers: threads that decode pictures.
        device: see open_subject.

    Raises:
        SourceError: the store has no pairs.
    """
    if not reader.pair_count:
        raise SourceError("the store has no pairs to score", where=str(reader.path))
    start = time.monotonic()
    subject = open_subject(checkpoint, device)
    images = _kept_images(subject, reader, batch_size=batch_size, workers=workers)
    folder = _kept_in(subject, reader, "text")
    texts = text_embeddings(subject, reader, folder, batch_size=4 * batch_size)
    scores = pair_scores(images.rows, texts.rows, reader.pair_images, reader.pair_texts)
    return Scored(reader, subject, scores, images.ids, texts.ids, time.monotonic() - start)


def print_scores(scored: Scored) -> None:
    """Quantiles, thresholds, the distribution, the worst pairs."""
    reader, scores = scored.reader, scored.scores
    print("\n\n".join(map(text_table, score_tables(scores))))
    print("\n最差的对 Worst pairs: score, picture, caption")
    for pair in worst_pairs(scores, _WORST).tolist():
        text = reader.text(int(reader.pair_texts[pair]))
        image_id = scored.image_ids[reader.pair_images[pair]]
        print(f"  {scores[pair]:.4f}  [{shown(image_id)}]  [{shown(text.text_id)}] {shown(text.caption)}")
    print(f"\n{len(scores)} pairs scored by {scored.subject.short_name} in {scored.seconds:.1f} s")


def write_scores(scored: Scored, target: Path, threshold: float | None) -> None:
    """TARGET.scores.tsv with all pairs, and TARGET.scores.html with some and their pictures."""
    reader, scores = scored.reader, scored.scores
    table, page = (target.parent / f"{target.name}.scores.{ending}" for ending in ("tsv", "html"))
    with (
        atomic_file(table) as temporary,
        open(temporary, "w", encoding="utf-8", newline="\n") as file,
    ):
        file.writelines(score_lines(reader, scores, scored.image_ids, scored.text_ids, threshold))
    lines = [f"模型 model: {scored.subject.name}", f"数据 data: {reader.path} ({reader.fingerprint})"]
    lines += [] if threshold is None else [f"阈值 threshold: {threshold:.6g}"]
    title = f"图文匹配分数 Pair scores: {scored.subject.short_name}"
    write_page(page, title, lines=lines, tables=score_tables(scores), sections=[_examples(scored, threshold)])
    print(f"scores of all pairs: {table}; page: {page}")


def similar_pictures(
    checkpoint: str, reader: StoreReader, min_similarity: float, *, batch_size: int, device: str
) -> SimilarRows:
    """Which pictures of a store are alike to a model: their embeddings have at least this cosine similarity.

    Args:
        checkpoint, reader, batch_size, device: see score_store.
        min_similarity: least cosine similarity.
    """
    subject = open_subject(checkpoint, device)
    rows = _kept_images(subject, reader, batch_size=batch_size, workers=2).rows
    return SimilarRows(rows, min_similarity, device=next(subject.model.parameters()).device)


def _kept_images(subject: Subject, reader: StoreReader, *, batch_size: int, workers: int) -> EmbeddingTable:
    folder = _kept_in(subject, reader, "image")
    return image_embeddings(subject, reader, folder, batch_size=batch_size, workers=workers)


def _kept_in(subject: Subject, reader: StoreReader, kind: Kind) -> Path:
    """Where training keeps and looks for embeddings of a store, too."""
    return Path(f"{reader.path}.embeddings") / embedding_facts(subject, reader, kind).short


def _examples(scored: Scored, threshold: float | None) -> Section:
    scores = scored.scores
    kinds: list[tuple[str, Places]] = [("分数最低 Lowest scores", worst_pairs(scores, _ON_PAGE))]
    if threshold is not None:
        under, over = pairs_around(scores, threshold, _ON_PAGE)
        kinds += [("刚好被删除 Just under the threshold", under), ("刚好保留 Just over the threshold", over)]
    kinds.append(("分数最高 Highest scores", worst_pairs(-scores, _ON_PAGE)))
    results = [
        QueryResult(name, [_picture(scored, pair) for pair in pairs.tolist()]) for name, pairs in kinds
    ]
    return Section("看一看 Pairs to look at", {"": [result for result in results if result.pictures]})


def _picture(scored: Scored, pair: int) -> Picture:
    found = scored.reader.pair(pair)
    return Picture(found.image, found.caption, float(scored.scores[pair]), None)
