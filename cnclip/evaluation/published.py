"""Our numbers on a benchmark beside the published ones, and whether the store is the benchmark's at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cnclip.errors import StoreError, UnknownNameError
from cnclip.evaluation.benchmarks import METRICS, Benchmark, PublishedRow
from cnclip.evaluation.chapters.blocks import Cell, Chapter, Grid, Paragraph, Words
from cnclip.evaluation.report import DIRECTIONS
from cnclip.evaluation.retrieval_tables import JSON_NAMES
from cnclip.stores.reader import StoreReader
from cnclip.tables import Table
from cnclip.zoo import MODELS

_SHOWN = {"r1": "R@1", "r5": "R@5", "r10": "R@10", "mean_recall": "MR"}


@dataclass(frozen=True)
class Compared:
    """One number of ours and the published one.

    Attributes:
        direction: "t2i" or "i2t".
        metric: r1, r5, r10 or mean_recall.
        ours, published: percent.
        interval: of ours, 95 %, where it was drawn.
        difference: ours minus published, percentage points.
        within_tolerance: whether they may be called equal.
    """

    direction: str
    metric: str
    ours: float
    published: float
    difference: float
    within_tolerance: bool
    interval: tuple[float, float] | None = None


def check_counts(benchmark: Benchmark, reader: StoreReader, fix: str = "is this the right store?") -> None:
    """Refuse a store that is not the benchmark's: its numbers could not be compared with anybody's.

    Args:
        benchmark: with the counts that are known.
        reader: the store.
        fix: what its owner can do.

    Raises:
        StoreError: says what is there and what must be.
    """
    found = {"pictures": reader.image_count, "captions": reader.text_count, "pairs": reader.pair_count}
    expected = {name: getattr(benchmark.counts, name) for name in found}
    wrong = [
        f"{found[name]} {name} instead of {wanted}"
        for name, wanted in expected.items()
        if wanted is not None and wanted != found[name]
    ]
    if wrong:
        raise StoreError(
            f"the store is not {benchmark.name} ({benchmark.split}): it holds {', '.join(wrong)}",
            where=str(reader.path),
            fix=fix,
        )


def find_row(benchmark: Benchmark, model: str, wanted: str | None = None) -> PublishedRow | None:
    """The published row to compare a model with.

    Args:
        benchmark: with its rows.
        model: as the user names it: an official name, file or repository has a zero-shot row.
        wanted: a row's label, such as "ViT-B-16 finetuned"; None = the model's own.

    Returns:
        None where nothing is published of this model.

    Raises:
        UnknownNameError: no row has the wanted label.
    """
    rows = {row.label.lower(): row for row in benchmark.published}
    if wanted is not None:
        if wanted.lower() not in rows:
            labels = ", ".join(row.label for row in benchmark.published) or "none is published"
            raise UnknownNameError(f"{benchmark.name} has no row {wanted!r}", fix=f"--row, one of: {labels}")
        return rows[wanted.lower()]
    last = model.rstrip("/").rpartition("/")[2]
    for name, entry in MODELS.items():
        if model == name or last in (entry.file, entry.repository):
            return rows.get(f"{name} zero-shot".lower())
    return None


def directions(benchmark: Benchmark) -> list[str]:
    """The directions in which a benchmark is judged."""
    return ["t2i"] if benchmark.protocol == "t2i" else list(DIRECTIONS)


def compare(benchmark: Benchmark, row: PublishedRow, results: Mapping[str, Any]) -> list[Compared]:
    """Each published number beside ours.

    Args:
        benchmark: its protocol and tolerance.
        row: one of its rows.
        results: content of results.json.
    """
    compared = []
    for direction in directions(benchmark):
        published: Mapping[str, float] = getattr(row, direction)
        for metric in (metric for metric in METRICS if metric in published):
            found = results[JSON_NAMES[direction]]
            ours = float(found[metric])
            span = found.get("intervals", {}).get(metric)
            gap = round(ours - published[metric], 4)
            within = abs(gap) <= benchmark.tolerance_points
            compared.append(
                Compared(direction, metric, ours, published[metric], gap, within, span and tuple(span))
            )
    return compared


def comparison_table(benchmark: Benchmark, row: PublishedRow, compared: Sequence[Compared]) -> Table:
    """Ours, published, difference, verdict; one line for each number."""
    rows = [
        [
            DIRECTIONS[one.direction],
            _SHOWN[one.metric],
            f"{one.ours:.2f}",
            _span(one.interval),
            f"{one.published:.1f}",
            f"{one.difference:+.2f}",
            "是 yes" if one.within_tolerance else "否 NO",
        ]
        for one in compared
    ]
    header = ["方向 direction", "", "我们 ours", "95 %", "公布 published", "差 difference"]
    verdict = f"在 ±{benchmark.tolerance_points:g} 以内 within"
    title = f"{benchmark.title} ({benchmark.split}): {row.label} (%)"
    return Table(title, [*header, verdict], rows, f"公布于 published in {benchmark.sources[row.source]}")


def published_chapter(benchmark: Benchmark, row: PublishedRow, compared: Sequence[Compared]) -> Chapter:
    """The comparison as a chapter of the report."""
    ways = {"t2i": Words("文搜图", "Text → image"), "i2t": Words("图搜文", "Image → text")}
    rows: list[list[Cell]] = [
        [
            ways[one.direction],
            _SHOWN[one.metric],
            f"{one.ours:.2f}",
            _span(one.interval),
            f"{one.published:.1f}",
            f"{one.difference:+.2f}",
            Words("是", "yes") if one.within_tolerance else Words("否", "no"),
        ]
        for one in compared
    ]
    columns = [
        ("方向", "Direction"),
        ("指标", "Metric"),
        ("我们", "Ours"),
        ("95 %", "95 %"),
        ("公布", "Published"),
    ]
    points = f"{benchmark.tolerance_points:g}"
    columns += [("差", "Difference"), (f"在 ±{points} 以内", f"Within ±{points}")]
    outside = sum(not one.within_tolerance for one in compared)
    said = (
        Words(
            f"复现了：{len(compared)} 个数都在容差以内。",
            f"Reproduced: all {len(compared)} numbers are within it.",
        )
        if not outside
        else Words(
            f"没有复现：{len(compared)} 个数里有 {outside} 个超出容差。",
            f"Not reproduced: {outside} of {len(compared)} numbers are outside it.",
        )
    )
    source = benchmark.sources[row.source]
    grid = Grid(
        Words(
            f"{benchmark.title}（{benchmark.split}）：{row.label}",
            f"{benchmark.title} ({benchmark.split}): {row.label}",
        ),
        [Words(*names) for names in columns],
        rows,
        Words(f"公布于 {source}", f"Published in {source}"),
    )
    title = Words("与公布的数字比", "Beside the published numbers")
    intro = Words(
        f"百分数；差在 {points} 个百分点以内算一样。",
        f"Percent; a difference within {points} points counts as none.",
    )
    return Chapter("published", title, [Paragraph(said), grid], intro)


def own_table(benchmark: Benchmark, results: Mapping[str, Any]) -> Table:
    """Our numbers alone, where nothing is published of the model."""
    rows = []
    for direction in directions(benchmark):
        found = results[JSON_NAMES[direction]]
        spans = found.get("intervals", {})
        rows += [
            [DIRECTIONS[direction], _SHOWN[metric], f"{found[metric]:.2f}", _span(spans.get(metric))]
            for metric in METRICS
        ]
    labels = ", ".join(row.label for row in benchmark.published)
    note = "没有这个模型的公布结果 nothing is published of this model"
    title = f"{benchmark.title} ({benchmark.split}) (%)"
    header = ["方向 direction", "", "我们 ours", "95 %"]
    return Table(title, header, rows, f"{note}; --row: {labels}" if labels else note)


def benchmark_json(
    benchmark: Benchmark, row: PublishedRow | None, compared: Sequence[Compared]
) -> dict[str, Any]:
    """The `benchmark` part of results.json; within_tolerance is null where nothing is compared."""
    return {
        "name": benchmark.name,
        "split": benchmark.split,
        "protocol": benchmark.protocol,
        "tolerance_points": benchmark.tolerance_points,
        "row": row.label if row else None,
        "source": benchmark.sources[row.source] if row else None,
        "comparison": [asdict(one) for one in compared],
        "within_tolerance": all(one.within_tolerance for one in compared) if compared else None,
    }


def verdict(benchmark: Benchmark, row: PublishedRow, compared: Sequence[Compared]) -> str:
    """One sentence on the whole comparison."""
    outside = [one for one in compared if not one.within_tolerance]
    if not outside:
        return (
            f"复现 reproduced: {len(compared)} of {len(compared)} numbers of {row.label} within the tolerance"
        )
    worst = max(outside, key=lambda one: abs(one.difference))
    return (
        f"未复现 not reproduced: {len(outside)} of {len(compared)} numbers of {row.label} differ by more than"
        f" {benchmark.tolerance_points:g} points, {_SHOWN[worst.metric]} ({worst.direction}) by"
        f" {worst.difference:+.2f}"
    )


def _span(interval: Sequence[float] | None) -> str:
    return f"{interval[0]:.1f}–{interval[1]:.1f}" if interval else "-"
