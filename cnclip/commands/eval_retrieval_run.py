"""One model's part of `cnclip eval retrieval`: ranks, intervals, cn_clip's count, the user's own queries."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cnclip.commands.eval_report_facts import model_facts
from cnclip.commands.eval_rows import EmbeddingOptions
from cnclip.commands.evaluate_parts import Subject
from cnclip.evaluation.chapters.cards import ModelFacts
from cnclip.evaluation.cn_clip_files import write_official
from cnclip.evaluation.corrections import Correction
from cnclip.evaluation.embed import EmbeddingTable
from cnclip.evaluation.evaluate import repeated_captions, store_positives
from cnclip.evaluation.examples import Gallery, QueryResult, search_pictures
from cnclip.evaluation.insight.evidence import Evidence
from cnclip.evaluation.per_query import Queries, both_directions
from cnclip.evaluation.report import retrieval_json
from cnclip.evaluation.retrieval import recall_at_k
from cnclip.evaluation.statistics import Interval
from cnclip.evaluation.uncertainty import Draws, query_intervals
from cnclip.stores.reader import StoreReader

Protocol = Literal["cnclip", "cn_clip"]


@dataclass(frozen=True)
class InsightOptions:
    """What is said of a model beyond its numbers.

    Attributes:
        wanted: whether anything is.
        seen: stores that the models were trained on, for words that they have seen.
        corrections: of scores, each measured by itself.
        bank: store whose captions a correction may use.
    """

    wanted: bool = False
    seen: tuple[Path, ...] = ()
    corrections: tuple[Correction, ...] = ()
    bank: Path | None = None


@dataclass(frozen=True)
class RetrievalOptions:
    """What is measured, and what becomes of it.

    Attributes:
        ks: the Ks of recall@K, ascending.
        protocol: cn_clip also counts in its way.
        output: folder of the report; None writes nothing.
        queries: the user's own.
        draws: of the intervals; 0 samples make none.
        embedding: how embeddings are made.
        command: the command line that makes the same report again.
        processes: how many share the embedding.
        insight: what is said beyond the numbers.
        licence: of the data, where a benchmark's file says it.
    """

    ks: tuple[int, ...]
    protocol: Protocol
    output: Path | None
    queries: tuple[str, ...]
    draws: Draws
    embedding: EmbeddingOptions
    command: str
    processes: int = 1
    insight: InsightOptions = field(default_factory=InsightOptions)
    licence: str = ""


@dataclass(frozen=True)
class MeasuredModel:
    """What was found of one model.

    Attributes:
        results: content of results.json.
        queries: "t2i" and "i2t" -> its labelled queries.
        answers: the user's own queries.
        evidence: embeddings and ranks, for all that is drawn from them later.
        facts: for its card.
        temperature: what the model multiplies similarities by in training, exp(logit_scale).
        folder: of its results; None writes nothing.
        bank: embeddings of the pictures and of the captions that a correction may use.
    """

    results: dict[str, Any]
    queries: dict[str, Queries]
    answers: list[QueryResult]
    evidence: Evidence
    facts: ModelFacts
    temperature: float
    folder: Path | None
    bank: tuple[EmbeddingTable, EmbeddingTable] | None = None


def run_folder(output: Path | None, label: str, *, several: bool) -> Path | None:
    """The folder of one model's results: the output folder, or one in it for each of several models."""
    if output is None or not several:
        return output
    return output / "".join("_" if sign in '/\\:*?"<>|' else sign for sign in label)


def measure_model(
    subject: Subject,
    reader: StoreReader,
    tables: tuple[EmbeddingTable, EmbeddingTable],
    options: RetrievalOptions,
    folder: Path | None,
) -> MeasuredModel:
    """All that the report says of one model's numbers, and what the rest of the report is drawn from.

    Args:
        subject: the model.
        reader: the store.
        tables: embeddings of its pictures and of its captions.
        options: what is asked for.
        folder: where cn_clip's files go.

    Raises:
        SourceError: rows that cannot be ranked, or ids that cn_clip does not know.
        ResourceError: disk full or no permission.
    """
    images, texts = tables
    positives = store_positives(reader)
    with subject.timed("ranks"):
        result = recall_at_k(images.rows, texts.rows, positives, options.ks)
    queries = both_directions(result, positives, image_ids=images.ids, text_ids=texts.ids)
    with subject.timed("intervals"):
        spans = _intervals(queries, options)
    official = {}
    if options.protocol == "cn_clip" and folder is not None:
        official = write_official(folder, reader.path.name, reader, images, texts)
    asked = list(options.queries)
    answers = search_pictures(subject.model, asked, Gallery(reader, images.rows)) if asked else []
    run: dict[str, Any] = subject.account({"path": str(reader.path), "fingerprint": reader.fingerprint})
    run |= {"command": options.command, "protocol": options.protocol, "processes": options.processes}
    run["bootstrap"] = {"samples": options.draws.samples, "seed": options.draws.seed}
    results = retrieval_json(result, pairs=reader.pair_count, run=run, intervals=spans)
    results["counts"]["repeated_captions"] = repeated_captions(reader)
    if official:
        results["cn_clip"] = {
            name: {**score.to_json()["scoreJson"], "queries": score.queries, "without_answer": score.empty}
            for name, score in official.items()
        }
    evidence = Evidence(reader, images, texts, positives, result, queries, options.draws)
    temperature = float(subject.model.logit_scale.detach().float().exp())
    return MeasuredModel(results, queries, answers, evidence, model_facts(subject, run), temperature, folder)


def note_seconds(model: MeasuredModel, what: str, start: float) -> None:
    """Note how long it took since `start`, of time.perf_counter, among the run's seconds."""
    model.results["run"]["seconds"][what] = round(time.perf_counter() - start, 3)


def _intervals(queries: dict[str, Queries], options: RetrievalOptions) -> dict[str, dict[str, Interval]]:
    if not options.draws.samples:
        return {}
    return {way: query_intervals(found, options.ks, options.draws) for way, found in queries.items()}
