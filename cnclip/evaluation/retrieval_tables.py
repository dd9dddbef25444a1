"""Retrieval runs side by side: one table with intervals, sentences on their differences, rows for a paper.

Everything is made from the content of `results.json` (see `report`), so that a run just measured and a run
read from its folder look the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, Protocol

from cnclip.evaluation.per_query import Queries
from cnclip.evaluation.uncertainty import METRICS, SHOWN, Comparison, Draws, compare_queries, metric_name
from cnclip.tables import Table

JSON_NAMES = {"t2i": "text_to_image", "i2t": "image_to_text"}
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}
Run = Mapping[str, Any]


def metrics_table(runs: Mapping[str, Run], title: str = "图文检索 Retrieval (%)") -> Table:
    """Chance and each run's numbers, both directions; below a run's numbers their 95 % intervals.

    Args:
        runs: name -> content of results.json, all measured on the same data.
        title: one line above the table.
    """
    names = shared_metrics(runs.values())
    rows: list[list[str]] = []
    for direction, key in JSON_NAMES.items():
        chance = next(iter(runs.values()))[key]["chance"]
        rows.append([SHOWN[direction], "随机 chance", *(_number(chance.get(name)) for name in names)])
        for label, run in runs.items():
            found = run[key]
            rows.append([SHOWN[direction], label, *(_number(found.get(name)) for name in names)])
            spans = found.get("intervals")
            if spans:
                rows.append(["", "  95 %", *(_span(spans.get(name)) for name in names)])
    header = ["方向 direction", "模型 model", *(metric_name(name) for name in names)]
    return Table(title, header, rows, counts_note(runs.values()))


def counts_note(runs: Iterable[Run]) -> str:
    """How many queries, and how many were left out because nothing says what is correct."""
    first = next(iter(runs))
    texts, images = first["text_to_image"], first["image_to_text"]
    note = f"{texts['queries']} 条文本 texts, {images['queries']} 张图片 images"
    if texts["unlabelled"] or images["unlabelled"]:
        left_out = f"{texts['unlabelled']} texts, {images['unlabelled']} images"
        note += f"; 未标注、不计入 unlabelled, left out: {left_out}"
    repeated = first.get("counts", {}).get("repeated_captions", 0)
    if repeated:
        note += (
            f"; {repeated} 条文本与别的图片的文本一字不差，必然同分、算错"
            " captions are word for word another picture's: they tie, and ties count against the model"
        )
    return note


def shared_metrics(runs: Iterable[Run]) -> list[str]:
    """Numbers that every run has: the recalls by K, then the others."""
    directions = [run[key] for run in runs for key in JSON_NAMES.values()]
    ks = sorted(
        {int(name[1:]) for found in directions for name in found if name[0] == "r" and name[1:].isdigit()}
    )
    names = [*(f"r{k}" for k in ks), *METRICS]
    return [name for name in names if all(name in found for found in directions)]


def compare_all(queries: Mapping[str, Mapping[str, Queries]], draws: Draws) -> list[Comparison]:
    """Every two models on the same queries.

    Args:
        queries: model -> direction -> its labelled queries.
        draws: how many bootstrap samples, and their seed.

    Raises:
        SourceError: the models have not the same labelled queries.
    """
    return [
        comparison
        for pair in combinations(queries, 2)
        for comparison in compare_queries(pair, (queries[pair[0]], queries[pair[1]]), draws)
    ]


class Said(Protocol):
    """A comparison of two runs that can be said in a sentence."""

    @property
    def first(self) -> str: ...
    @property
    def second(self) -> str: ...
    @property
    def words(self) -> str: ...


def comparison_lines(comparisons: Sequence[Said]) -> list[str]:
    """One sentence each, and how many comparisons were made where several were."""
    lines = [comparison.words for comparison in comparisons]
    pairs = {(one.first, one.second) for one in comparisons}
    if len(pairs) > 1:
        lines.append(
            f"共 {len(lines)} 次比较，p 值未作多重比较校正"
            f" {len(lines)} comparisons, p values not corrected for their number"
        )
    return lines


def latex_rows(runs: Mapping[str, Run]) -> str:
    """A row of a table for each run: text to image, then image to text; a comment names the columns."""
    names = [name for name in shared_metrics(runs.values()) if name == "mean_recall" or name[1:].isdigit()]
    columns = [f"{metric_name(name)} ({way})" for way in JSON_NAMES for name in names]
    lines = ["% " + " & ".join(["model", *columns])]
    for label, run in runs.items():
        cells = [_number(run[key][name]) for key in JSON_NAMES.values() for name in names]
        lines.append(" & ".join([latex_text(label), *cells]) + r" \\")
    return "\n".join(lines) + "\n"


def latex_text(text: str) -> str:
    """Text with LaTeX's special signs escaped."""
    escaped = "".join(_LATEX.get(sign, sign) for sign in " ".join(text.split()))
    if escaped.startswith("["):
        return "{[}" + escaped[1:]  # at the head of a row it would be an option of the line break before
    return escaped


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _span(span: Sequence[float] | None) -> str:
    return "" if span is None else f"{span[0]:.1f}–{span[1]:.1f}"
