"""What `cnclip eval retrieval` prints and writes: tables, sentences, one report, files of each run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnclip.artifacts import atomic_file, write_json
from cnclip.commands.eval_insight_parts import Insights
from cnclip.commands.eval_report_facts import data_facts
from cnclip.commands.eval_retrieval_run import MeasuredModel
from cnclip.evaluation.chapters.blocks import Chapter, Pictures, Words
from cnclip.evaluation.chapters.cards import data_chapter, models_chapter
from cnclip.evaluation.chapters.html import write_report_page
from cnclip.evaluation.chapters.making import making_chapter
from cnclip.evaluation.chapters.markdown import report_markdown
from cnclip.evaluation.chapters.recall_curves import curves_chapter
from cnclip.evaluation.chapters.summary import differences_chapter, summary_chapter
from cnclip.evaluation.insight.suspect_findings import FILE_NAME as SUSPECTS_FILE
from cnclip.evaluation.insight.suspect_findings import write_suspects
from cnclip.evaluation.per_query import FILE_NAME, save_queries
from cnclip.evaluation.retrieval_tables import (
    JSON_NAMES,
    comparison_lines,
    latex_rows,
    metrics_table,
)
from cnclip.evaluation.uncertainty import SHOWN, Comparison
from cnclip.tables import Table, text_table

_LINE = 110  # letters


def print_measured(measured: Mapping[str, MeasuredModel], comparisons: Sequence[Comparison]) -> None:
    """Tables, sentences on differences, and the answers to the user's queries, on stdout."""
    print("\n\n".join(map(text_table, _tables(measured))))
    for line in comparison_lines(comparisons):
        print(line)
    for label, model in measured.items():
        for query, pictures in model.answers:
            shown = " | ".join(f"{picture.label} {picture.score:.3f}" for picture in pictures[:5])
            print(f"{query}: {shown}" if len(measured) == 1 else f"{query} ({label}): {shown}")


def write_report(
    output: Path,
    measured: Mapping[str, MeasuredModel],
    comparisons: Sequence[Comparison],
    insights: Insights,
    *,
    licence: str = "",
) -> None:
    """Write each model's results.json, per_query.npz and suspects.jsonl, and one report on all of them.

    Args:
        output: folder of the report.
        measured: label -> what was found.
        comparisons: of every two models.
        insights: of all models.
        licence: of the data, where a benchmark's file says it.

    Raises:
        ResourceError: disk full or no permission.
        ImageError: a picture that is to be shown cannot be decoded.
    """
    for label, model in measured.items():  # the numbers first: a page may fail on a picture
        assert model.folder is not None, "a report is written, but a model has no folder"
        found = insights.found.get(label)
        save_queries(model.folder / FILE_NAME, model.queries)
        results = model.results | ({"insight": found} if found else {})
        _write_text(model.folder / "results.json", readable_json(results) + "\n")
        if label in insights.suspects:
            write_suspects(model.folder / SUSPECTS_FILE, insights.suspects[label])
    if comparisons:
        write_json(output / "comparison.json", [comparison.to_json() for comparison in comparisons])
    _write_text(
        output / "report.tex", latex_rows({label: model.results for label, model in measured.items()})
    )
    names = ", ".join(measured)
    title = Words(f"图文检索报告：{names}", f"Retrieval report: {names}")
    chapters = report_chapters(measured, comparisons, insights, licence)
    _write_text(output / "report.md", report_markdown(title, chapters))
    write_report_page(output / "report.html", title, chapters)


def report_chapters(
    measured: Mapping[str, MeasuredModel],
    comparisons: Sequence[Comparison],
    insights: Insights,
    licence: str,
) -> list[Chapter]:
    """The whole report, in order: numbers first, then what lies behind them, then where all comes from."""
    runs = {label: model.results for label, model in measured.items()}
    evidence = next(iter(measured.values())).evidence
    results = {label: model.evidence.result for label, model in measured.items()}
    return [
        summary_chapter(runs),
        *insights.opening,
        differences_chapter(comparisons),
        curves_chapter(results, evidence.positives),
        _own_queries(measured),
        *insights.chapters,
        models_chapter({label: model.facts for label, model in measured.items()}),
        data_chapter(data_facts(evidence.store, licence)),
        making_chapter({label: run["run"] for label, run in runs.items()}),
    ]


def readable_json(value: Any, indent: str = "") -> str:
    """JSON for people too: what fits on a line stands on one. NaN and infinity are our own mistake."""
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not isinstance(value, dict | list) or not value or len(indent) + len(line) <= _LINE:
        return line
    inner = indent + "  "
    if isinstance(value, list):
        parts = [readable_json(one, inner) for one in value]
        return f"[\n{inner}" + f",\n{inner}".join(parts) + f"\n{indent}]"
    names = (json.dumps(str(name), ensure_ascii=False) for name in value)
    parts = [f"{name}: {readable_json(one, inner)}" for name, one in zip(names, value.values(), strict=True)]
    return f"{{\n{inner}" + f",\n{inner}".join(parts) + f"\n{indent}}}"


def official_table(runs: Mapping[str, Mapping[str, Any]]) -> Table:
    """What cn_clip's scripts count."""
    rows = [
        [
            SHOWN[direction],
            label,
            *(f"{run['cn_clip'][key][name]:.1f}" for name in ("r1", "r5", "r10", "mean_recall")),
            *(str(run["cn_clip"][key][name]) for name in ("queries", "without_answer")),
        ]
        for direction, key in JSON_NAMES.items()
        for label, run in runs.items()
    ]
    header = ["方向 direction", "模型 model", "R@1", "R@5", "R@10", "MR", "查询 queries"]
    note = "没有答案的查询按未命中计 queries without an answer count as misses"
    return Table("按 cn_clip 的算法 As cn_clip counts (%)", [*header, "无答案 without answer"], rows, note)


def _tables(measured: Mapping[str, MeasuredModel]) -> list[Table]:
    runs = {label: model.results for label, model in measured.items()}
    official = {label: run for label, run in runs.items() if "cn_clip" in run}
    return [*([official_table(official)] if official else []), metrics_table(runs)]


def _own_queries(measured: Mapping[str, MeasuredModel]) -> Chapter:
    """The user's queries with what each model found; empty where there are none."""
    several = len(measured) > 1
    answers = {label if several else "": model.answers for label, model in measured.items() if model.answers}
    title = Words("你的查询", "Your queries")
    if not answers:
        return Chapter("queries", title, [])
    note = Words("图下是余弦相似度，从高到低。", "Below each picture: its cosine similarity, best first.")
    return Chapter("queries", title, [Pictures(Words("找到的图片", "Pictures found"), answers, note)])


def _write_text(path: Path, text: str) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")
