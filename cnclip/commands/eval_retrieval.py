"""`cnclip eval retrieval`: one model or several on one store, by any number of processes."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from cnclip.checkpoints import Precision
from cnclip.commands.benchmark_data import resolve_benchmark
from cnclip.commands.eval_insight_parts import find_insights
from cnclip.commands.eval_report_facts import benchmark_licence
from cnclip.commands.eval_retrieval_report import print_measured, write_report
from cnclip.commands.eval_retrieval_run import (
    MeasuredModel,
    Protocol,
    RetrievalOptions,
    measure_model,
    run_folder,
)
from cnclip.commands.eval_retrieval_words import (
    command_line,
    insight_options,
    model_labels,
    placed_words,
    recall_depths,
)
from cnclip.commands.eval_rows import EmbeddingOptions, embeddings, open_on_processes
from cnclip.commands.evaluate_parts import Subject, read_queries
from cnclip.config import parse_call
from cnclip.errors import CnclipError, RecipeError, SourceError
from cnclip.evaluation.cn_clip_files import forget_outputs, write_failure
from cnclip.evaluation.embed import EmbeddingTable
from cnclip.evaluation.processes import Processes, join_processes
from cnclip.evaluation.retrieval_tables import compare_all
from cnclip.evaluation.submission import Direction, first_items, write_items
from cnclip.evaluation.uncertainty import Draws
from cnclip.stores.reader import StoreReader

Directions = Literal["t2i", "i2t", "both"]


def retrieval(
    models: list[str],
    data: Path,
    *,
    k: str = "1,5,10",
    precision: Precision = "fp32",
    protocol: Protocol = "cnclip",
    output: Path | None = None,
    cache: Path | None = None,
    queries: str | None = None,
    submission: Path | None = None,
    directions: Directions = "t2i",
    insight: bool = True,
    seen: str | None = None,
    corrections: str | None = None,
    bank: Path | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    batch_size: int = 64,
    workers: int = 2,
    device: str = "auto",
) -> int:
    """Measure retrieval, text to image and image to text, on a store; several models are compared.

    Prints recall@K, its mean (MR), median rank, MRR, mAP and nDCG@10, each with its 95 % interval, and says
    in words whether two models differ. With --output it also writes results.json, per_query.npz, report.md,
    report.tex, report.html, suspects.jsonl (what may be labelled wrongly in the test set) and the embeddings,
    which the same command uses again. The page opens offline, in Chinese and English: tables, curves, what
    the model gets wrong and why, with the pictures, model cards. Several processes share the work:
    `accelerate launch -m cnclip eval retrieval …`; the numbers are the same.

    Examples:
        cnclip eval retrieval checkpoints/emoji-stage2 stores/emoji-heldout
        cnclip eval retrieval ViT-B-16 stores/muge-valid --output reports/muge --precision bf16
        cnclip eval retrieval --model ViT-B-16 --model runs/mine --data stores/muge-valid --output reports/two
        cnclip eval retrieval runs/mine stores/muge-valid --output reports/mine --seen stores/muge-train
        cnclip eval retrieval ViT-B-16 stores/muge-valid --protocol cn_clip --output reports/official
        cnclip eval retrieval ViT-B-16 stores/muge-test --submission test_predictions.jsonl

    Args:
        models: names, folders or files of models; or --model, once for each.
        data: a folder made by `cnclip data build`, or a benchmark's name; or --data.
        k: the Ks of recall@K, parted by commas.
        precision: of weights and arithmetic.
        protocol: cn_clip also counts as its scripts do and writes their files; needs --output.
        output: folder for the report.
        cache: folder that keeps embeddings of any models and stores; OUTPUT/embeddings where it is left out.
        queries: your own queries, parted by ";", or a text file with one on each line.
        submission: write the ten best items of each query into this file, and measure nothing.
        directions: of the submission; with both, pictures' captions go beside it as .tr.jsonl.
        insight: with --output, whether the report also says what the model gets wrong and why.
        seen: stores that the models were trained on, parted by commas or --seen for each; the report then
            tells rare and unseen words from common ones.
        corrections: of scores, each measured by itself beside the plain ones, parted by commas or
            --corrections for each: dual_softmax, csls, qb_norm; needs --output.
        bank: store whose captions and pictures corrections may use, such as the training store; never the
            test set.
        bootstrap: samples of the intervals; 0 leaves them out.
        seed: of the samples.
        batch_size: pictures per forward pass.
        workers: threads per process that decode pictures.
        device: cpu, cuda, cuda:1 …; auto takes a GPU where there is one, one for each process.
    """
    values = dict(locals())
    options = RetrievalOptions(
        ks=recall_depths(k, protocol),
        protocol=protocol,
        output=output,
        queries=tuple(read_queries(queries)) if queries is not None else (),
        draws=Draws(bootstrap, seed),
        embedding=EmbeddingOptions(precision, device, batch_size, workers, cache),
        command=command_line(retrieval, values),
        insight=insight_options(values),
        licence=benchmark_licence(data),
    )
    labels = model_labels(models)
    _check(options, labels, submission)
    processes = join_processes()
    options = replace(options, processes=processes.count)
    if protocol == "cn_clip" and output is not None and processes.is_main:
        forget_outputs(output)
    try:
        reader = StoreReader(resolve_benchmark(data, processes))
        if submission is not None:
            return _submit(next(iter(labels.values())), reader, options, processes, submission, directions)
        return _measure(labels, reader, options, processes)
    except CnclipError as error:
        if protocol == "cn_clip" and output is not None and processes.is_main:
            with contextlib.suppress(CnclipError):  # the first error is the one to tell
                write_failure(output, error)
        raise


def run_retrieval(argv: list[str]) -> int:
    """`retrieval` with its arguments from a command line: words, or --model, once for each, and --data."""
    return retrieval(**parse_call(retrieval, placed_words(argv), prog="cnclip eval retrieval"))


def _measure(
    labels: Mapping[str, str], reader: StoreReader, options: RetrievalOptions, processes: Processes
) -> int:
    if not reader.pair_count:
        raise SourceError(
            "no caption of the store has a correct picture, so there is nothing to measure",
            where=str(reader.path),
            fix="--submission FILE writes predictions for a test server",
        )
    bank = _open_bank(options.insight.bank, reader)
    measured: dict[str, MeasuredModel] = {}
    for label, name in labels.items():
        folder = run_folder(options.output, label, several=len(labels) > 1)
        subject = open_on_processes(name, options.embedding, processes)
        kept = folder and folder / "embeddings"
        tables = embeddings(subject, reader, options.embedding, processes, folder=kept)
        others = _bank_rows(subject, bank, options, processes, folder) if bank else None
        if tables is not None:
            found = measure_model(subject, reader, tables, options, folder)
            measured[label] = replace(found, bank=others)
    if processes.is_main:
        queries = {label: model.queries for label, model in measured.items()}
        comparisons = compare_all(queries, options.draws) if options.draws.samples else []
        print_measured(measured, comparisons)
        if options.output is not None:
            insights = find_insights(measured, options.insight)
            write_report(options.output, measured, comparisons, insights, licence=options.licence)
            print(f"report: {options.output / 'report.html'}")
    return 0


def _open_bank(path: Path | None, reader: StoreReader) -> StoreReader | None:
    """The store whose captions and pictures a correction may use.

    Raises:
        RecipeError: it is the test set.
    """
    if path is None:
        return None
    bank = StoreReader(path)
    if bank.fingerprint == reader.fingerprint:
        raise RecipeError(f"--bank {path} is the test set itself", fix="--bank STORE that was trained on")
    return bank


def _bank_rows(
    subject: Subject,
    bank: StoreReader,
    options: RetrievalOptions,
    processes: Processes,
    folder: Path | None,
) -> tuple[EmbeddingTable, EmbeddingTable] | None:
    """Embeddings of the bank on the main process; their seconds stand apart from the test set's."""
    before = dict(subject.seconds)
    tables = embeddings(
        subject, bank, options.embedding, processes, folder=folder and folder / "bank_embeddings"
    )
    spent = subject.seconds["images"] + subject.seconds["texts"]
    subject.seconds.update(before | {"bank": round(spent, 3)})
    return tables


def _submit(
    name: str,
    reader: StoreReader,
    options: RetrievalOptions,
    processes: Processes,
    path: Path,
    directions: Directions,
) -> int:
    subject = open_on_processes(name, options.embedding, processes)
    kept = options.output and options.output / "embeddings"
    tables = embeddings(subject, reader, options.embedding, processes, folder=kept)
    if tables is None:
        return 0
    images, texts = tables
    sides: dict[Direction, tuple[EmbeddingTable, EmbeddingTable]] = {
        "t2i": (texts, images),
        "i2t": (images, texts),
    }
    for direction, (asked, gallery) in sides.items():
        if directions in (direction, "both"):
            second = directions == "both" and direction == "i2t"
            target = path.with_name(f"{path.stem}.tr{path.suffix}") if second else path
            write_items(target, direction, asked.ids, gallery.ids, first_items(asked.rows, gallery.rows))
            print(f"submission: {target} ({len(asked.ids)} queries)")
    return 0


def _check(options: RetrievalOptions, labels: Mapping[str, str], submission: Path | None) -> None:
    if options.protocol == "cn_clip" and options.output is None:
        raise RecipeError("--protocol cn_clip writes files", fix="--output FOLDER")
    if submission is not None and len(labels) > 1:
        raise RecipeError(f"--submission with {len(labels)} models", fix="one command for each model")
    folders = {run_folder(options.output, label, several=True) for label in labels}
    if options.output is not None and len(folders) < len(labels):
        raise RecipeError(
            "two models would write into the same folder of the report", fix="call one by another path"
        )
    if options.draws.samples < 0 or options.draws.seed < 0:
        raise RecipeError("--bootstrap and --seed are 0 or more", fix="--bootstrap 1000 --seed 0")
    bank = options.insight.bank
    for path in (*options.insight.seen, *([bank] if bank else [])):
        StoreReader(path).close()  # what is no store is told before anything is embedded
