"""`cnclip eval reproduce`, `cnclip eval benchmarks`: published numbers, and ours beside them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cnclip.checkpoints import Precision
from cnclip.commands.benchmark_data import SHOWN_STATES, place_of, ready_store
from cnclip.commands.eval_insight_parts import find_insights
from cnclip.commands.eval_retrieval_report import write_report
from cnclip.commands.eval_retrieval_run import InsightOptions, RetrievalOptions, measure_model
from cnclip.commands.eval_rows import EmbeddingOptions, embeddings, open_on_processes
from cnclip.commands.evaluate_parts import command_line
from cnclip.errors import RecipeError
from cnclip.evaluation.benchmarks import Benchmark, find_benchmark, read_benchmarks
from cnclip.evaluation.processes import join_processes
from cnclip.evaluation.published import (
    benchmark_json,
    compare,
    comparison_table,
    find_row,
    own_table,
    published_chapter,
    verdict,
)
from cnclip.evaluation.uncertainty import Draws
from cnclip.tables import Table, text_table

_ACCESS = {
    "bundled": "自带 bundled",
    "direct": "可直接下载 direct",
    "ask": "需申请 must be asked for",
    "by_hand": "手动 by hand",
}


def reproduce(
    name: str,
    *,
    model: str | None = None,
    data: Path | None = None,
    store: Path | None = None,
    row: str | None = None,
    output: Path | None = None,
    benchmarks: Path | None = None,
    precision: Precision = "fp32",
    bootstrap: int = 1000,
    batch_size: int = 64,
    workers: int = 2,
    device: str = "auto",
) -> int:
    """Measure a model on a benchmark and put the published numbers beside it.

    The store is made of the raw data in datasets/NAME where it is not there yet; where the raw data is
    missing, the command says what to put where, and ends with code 3. A store with another number of pictures
    or captions than the benchmark has is refused. With --output it also writes what `cnclip eval retrieval`
    writes; results.json then has the comparison under `benchmark`.

    Examples:
        cnclip eval reproduce flickr30k-cn --model ViT-B-16
        cnclip eval reproduce muge --model ViT-B-16 --data /mnt/MUGE --output reports/muge-vit-b-16
        cnclip eval reproduce muge --model checkpoints/finetune_muge --row "ViT-B-16 finetuned"
        cnclip eval reproduce emoji --model checkpoints/emoji-stage2

    Args:
        name: of a benchmark; `cnclip eval benchmarks` lists them.
        model: a model's name, folder or file.
        data: folder of the raw data; datasets/NAME by default.
        store: the store; stores/NAME-SPLIT by default.
        row: the published row to compare with; by default the zero-shot row of an official model.
        output: folder for the report.
        benchmarks: folder of benchmarks as YAML files; by default eval/benchmarks of the repository.
        precision: of weights and arithmetic.
        bootstrap: samples of the intervals; 0 leaves them out.
        batch_size: pictures per forward pass.
        workers: threads per process that decode pictures.
        device: cpu, cuda, cuda:1 …; auto takes a GPU where there is one, one for each process.
    """
    values = dict(locals())
    if model is None:
        raise RecipeError("no model", fix=f"cnclip eval reproduce {name} --model ViT-B-16")
    benchmark = find_benchmark(name, benchmarks)
    published = find_row(benchmark, model, row)
    options = RetrievalOptions(
        ks=(1, 5, 10),
        protocol="cnclip",
        output=output,
        queries=(),
        draws=Draws(bootstrap),
        embedding=EmbeddingOptions(precision, device, batch_size, workers),
        command=command_line("eval reproduce", reproduce, values),
    )
    processes = join_processes()
    with ready_store(place_of(benchmark, data, store), processes) as reader:
        subject = open_on_processes(model, options.embedding, processes)
        kept = output and output / "embeddings"
        tables = embeddings(subject, reader, options.embedding, processes, folder=kept)
        if tables is None:
            return 0
        measured = measure_model(subject, reader, tables, options, output)
        compared = compare(benchmark, published, measured.results) if published else []
        measured.results["benchmark"] = benchmark_json(benchmark, published, compared)
        if published is None:
            print(text_table(own_table(benchmark, measured.results)))
        else:
            print(text_table(comparison_table(benchmark, published, compared)))
            print(verdict(benchmark, published, compared))
        if output is not None:
            label = Path(model).name
            told = find_insights({label: measured}, InsightOptions(wanted=True))
            if published is not None:
                told = replace(told, opening=[published_chapter(benchmark, published, compared)])
            write_report(output, {label: measured}, [], told, licence=benchmark.fetch.licence)
            print(f"report: {output / 'report.html'}")
    return 0


def benchmarks(*, show: str | None = None, benchmarks: Path | None = None) -> int:
    """List the benchmarks: what they hold, how they are judged, whether their data is here.

    Examples:
        cnclip eval benchmarks
        cnclip eval benchmarks --show coco-cn

    Args:
        show: one benchmark: what to fetch, where to put it, how it becomes a store, what is published.
        benchmarks: folder of benchmarks as YAML files; by default eval/benchmarks of the repository.
    """
    if show is not None:
        return _show(find_benchmark(show, benchmarks))
    known = read_benchmarks(benchmarks)
    rows = []
    for name, benchmark in known.items():
        place = place_of(benchmark)
        counts = [_count(benchmark.counts.pictures), _count(benchmark.counts.captions)]
        protocol = "t2i" if benchmark.protocol == "t2i" else "t2i, i2t"
        here = SHOWN_STATES[place.state]
        rows.append([name, *counts, protocol, _ACCESS[benchmark.fetch.access], here, f"{place.data}/"])
    header = ["名称 name", "图片 pictures", "文本 captions", "方向 directions", "取得 access", "数据 data"]
    note = "? 不确知 not known for sure; 怎样取得 how to get one: cnclip eval benchmarks --show NAME"
    print(text_table(Table("基准 Benchmarks", [*header, "放到 put into"], rows, note)))
    return 0


def _show(benchmark: Benchmark) -> int:
    place = place_of(benchmark)
    print(f"{benchmark.name}: {benchmark.title} ({benchmark.split}), {SHOWN_STATES[place.state]}")
    print(place.instructions())
    for row in benchmark.published:
        sides = {"t2i": row.t2i, "i2t": row.i2t}
        numbers = "; ".join(
            f"{side} " + ", ".join(f"{name} {value:.1f}" for name, value in scores.items())
            for side, scores in sides.items()
            if scores
        )
        print(f"published: {row.label}: {numbers}")
    for source in benchmark.sources.values():
        print(f"source: {source}")
    return 0


def _count(number: int | None) -> str:
    return "?" if number is None else str(number)
