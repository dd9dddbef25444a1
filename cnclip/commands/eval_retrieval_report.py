"""What `cnclip eval retrieval` prints and writes: tables, sentences, pictures, files of each run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnclip.artifacts import atomic_file, write_json
from cnclip.commands.eval_retrieval_run import MeasuredModel
from cnclip.evaluation.examples import Extreme
from cnclip.evaluation.page import Section, write_page
from cnclip.evaluation.per_query import FILE_NAME, save_queries
from cnclip.evaluation.retrieval_tables import (
    JSON_NAMES,
    comparison_lines,
    latex_rows,
    metrics_table,
)
from cnclip.evaluation.uncertainty import SHOWN, Comparison
from cnclip.stores.reader import StoreReader
from cnclip.tables import Table, markdown_table, text_table

HEADINGS: dict[Extreme, str] = {"worst": "最难的查询 Hardest queries", "best": "最好的查询 Best queries"}


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
    *,
    reader: StoreReader,
    command: str,
) -> None:
    """Write each model's results.json and per_query.npz, and one report on all of them.

    Args:
        output: folder of the report.
        measured: label -> what was found.
        comparisons: of every two models.
        reader: the store.
        command: the command line that makes the same report again.

    Raises:
        ResourceError: disk full or no permission.
    """
    title = f"图文检索报告 Retrieval report: {', '.join(measured)}"
    lines = [f"模型 model: {model.results['run']['checkpoint']['name']}" for model in measured.values()]
    lines += [f"数据 data: {reader.path} ({reader.fingerprint})", f"命令 command: {command}"]
    lines += comparison_lines(comparisons)
    tables = _tables(measured)
    write_page(output / "report.html", title, lines=lines, tables=tables, sections=_sections(measured))
    parts = [f"# {title}", "\n".join(f"- {line}" for line in lines), *map(markdown_table, tables)]
    _write_text(output / "report.md", "\n\n".join(parts))
    _write_text(
        output / "report.tex", latex_rows({label: model.results for label, model in measured.items()})
    )
    if comparisons:
        write_json(output / "comparison.json", [comparison.to_json() for comparison in comparisons])
    for model in measured.values():
        assert model.folder is not None, "a report is written, but a model has no folder"
        save_queries(model.folder / FILE_NAME, model.queries)
        write_json(model.folder / "results.json", model.results)


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


def _sections(measured: Mapping[str, MeasuredModel]) -> list[Section]:
    several = len(measured) > 1
    answers = {label if several else "": model.answers for label, model in measured.items() if model.answers}
    sections = [Section("你的查询 Your queries", answers)] if answers else []
    for label, model in measured.items():
        for which, found in model.extremes.items():
            heading = f"{HEADINGS[which]}: {label}" if several else HEADINGS[which]
            sections.append(Section(heading, {"": found}, "✓ 正确的图片 correct picture"))
    return sections


def _write_text(path: Path, text: str) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")
