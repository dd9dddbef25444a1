"""`cnclip eval compare` and `cnclip eval leaderboard`: what was measured before, side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnclip.artifacts import atomic_file, read_json, write_json
from cnclip.config import parse_call
from cnclip.errors import RecipeError, SourceError
from cnclip.evaluation.leaderboard import (
    RESULTS,
    collect_results,
    leaderboard_json,
    leaderboard_tables,
)
from cnclip.evaluation.page import write_page
from cnclip.evaluation.per_picture import FILE_NAME as RANKS_FILE
from cnclip.evaluation.per_picture import load_pictures
from cnclip.evaluation.per_query import FILE_NAME, load_queries
from cnclip.evaluation.retrieval_tables import (
    JSON_NAMES,
    compare_all,
    comparison_lines,
    latex_rows,
    metrics_table,
)
from cnclip.evaluation.uncertainty import Draws
from cnclip.evaluation.zeroshot_compare import compare_pictures, is_zeroshot, zeroshot_table
from cnclip.tables import Table, markdown_table, text_table


def compare(runs: list[Path], *, output: Path | None = None, bootstrap: int = 1000, seed: int = 0) -> int:
    """Put runs side by side and say in words whether they differ, query by query.

    The runs are folders that `cnclip eval retrieval --output` wrote, or all of them `cnclip eval zeroshot
    --output`. Runs on the same queries or pictures are tested against each other: paired bootstrap, and
    McNemar's test for R@1 and top-k. Retrieval runs on different data stand in tables of their own; those
    that share their data with no other are only shown, and named.

    Examples:
        cnclip eval compare reports/stage1 reports/stage2
        cnclip eval compare reports/vit-b-16 reports/mine reports/mine-bf16 --output reports/three
        cnclip eval compare reports/zeroshot-general reports/zeroshot-short

    Args:
        runs: folders with results.json.
        output: folder for comparison.json, report.md, report.html and, of retrieval, report.tex.
        bootstrap: samples of the tests.
        seed: of the samples.
    """
    if bootstrap < 1 or seed < 0:
        raise RecipeError("--bootstrap is 1 or more, --seed 0 or more", fix="--bootstrap 1000 --seed 0")
    folders = _labels(runs)
    results = {label: _read_run(folder) for label, folder in folders.items()}
    zeroshot = [label for label, run in results.items() if is_zeroshot(run)]
    if zeroshot and len(zeroshot) < len(results):
        raise SourceError(
            f"zero-shot and retrieval runs have no number in common: {', '.join(zeroshot)} are zero-shot",
            fix="compare runs of one kind",
        )
    compared = _zeroshot_side_by_side if zeroshot else _retrieval_side_by_side
    report = compared(results, folders, Draws(bootstrap, seed))
    print("\n".join(["\n\n".join(map(text_table, report.tables)), *report.lines]))
    if output is not None:
        report.write(output, "report", "comparison.json")
        if not zeroshot:
            _write_text(output / "report.tex", latex_rows(results))
        print(f"report: {output / 'report.html'}")
    return 0


def leaderboard(folder: Path, *, output: Path | None = None) -> int:
    """A table of every results.json below a folder: one for each set of data, best first.

    Examples:
        cnclip eval leaderboard reports
        cnclip eval leaderboard reports --output public/leaderboard

    Args:
        folder: where results lie, at any depth.
        output: folder for leaderboard.json, leaderboard.md and leaderboard.html; the same one where left out.
    """
    found = collect_results(folder)
    tables = leaderboard_tables(found)
    print("\n\n".join(map(text_table, tables)))
    lines = [f"数据 data {', '.join(group.data)}: {group.fingerprint}" for group in found.groups]
    if found.passed_over:
        lines.append(
            f"{len(found.passed_over)} 个文件没有可列出的结果 files without retrieval or zero-shot results:"
            f" {', '.join(str(path) for path in found.passed_over[:5])}"
        )
        print(lines[-1])
    target = folder if output is None else output
    report = _Report("排行榜 Leaderboard", leaderboard_json(found), tables, lines)
    report.write(target, "leaderboard", "leaderboard.json")
    print(f"leaderboard: {target / 'leaderboard.html'}")
    return 0


def run_compare(argv: list[str]) -> int:
    """`compare` with its arguments from a command line: the words that belong to no option are the runs."""
    runs: list[str] = []
    options: list[str] = []
    words = iter(argv)
    for word in words:
        if not word.startswith("-"):
            runs.append(word)
            continue
        options.append(word)
        if "=" not in word and word not in ("-h", "--help"):
            options.extend(value for value in [next(words, None)] if value is not None)
    placed = [json.dumps(runs, ensure_ascii=False)] if runs else []
    return compare(**parse_call(compare, [*placed, *options], prog="cnclip eval compare"))


def _labels(runs: Sequence[Path]) -> dict[str, Path]:
    """A short name for each folder: its last part, or all of it where two end alike.

    Raises:
        RecipeError: fewer than two folders, or one twice.
    """
    if len(runs) < 2:
        raise RecipeError("one run is nothing to compare", fix="cnclip eval compare RUN1 RUN2")
    resolved = [folder.resolve() for folder in runs]
    for place, folder in enumerate(runs):
        if resolved[place] in resolved[:place]:
            raise RecipeError(f"{folder} stands twice", fix="remove one")
    short = [folder.name for folder in resolved]
    return {
        short[place] if short.count(short[place]) == 1 else str(folder): folder
        for place, folder in enumerate(runs)
    }


def _retrieval_side_by_side(
    results: Mapping[str, dict[str, Any]], folders: Mapping[str, Path], draws: Draws
) -> _Report:
    """The numbers of retrieval runs, a table for each set of data, and the tests on each."""
    groups = _by_data(results)
    notes: list[str] = []
    comparisons = []
    if len(groups) > 1:
        notes.append(
            f"这些结果来自 {len(groups)} 份不同的数据，不同数据的数字不可相比"
            f" measured on {len(groups)} different sets of data: numbers of different sets are not comparable"
        )
    for group in groups:
        without = [label for label in group if not (folders[label] / FILE_NAME).is_file()]
        if len(group) == 1:
            notes.append(
                f"没有别的结果用同一份数据，未作检验 left out of the tests, no other run is on the same data:"
                f" {', '.join(group)} ({_data_path(next(iter(group.values())))})"
            )
        elif without:
            notes.append(f"没有逐条名次，未作检验 no {FILE_NAME}, so no test was made: {', '.join(without)}")
        kept = [label for label in group if label not in without]
        queries = {label: load_queries(folders[label] / FILE_NAME) for label in kept if len(kept) > 1}
        comparisons += compare_all(queries, draws)
    lines = [*notes, *comparison_lines(comparisons)]
    title = "检索对比 Retrieval compared"
    tables = [metrics_table(group, _table_title(title, group, alone=len(groups) == 1)) for group in groups]
    content = {"runs": results, "comparisons": [one.to_json() for one in comparisons], "notes": lines}
    return _Report(title, content, tables, lines)


def _by_data(results: Mapping[str, dict[str, Any]]) -> list[dict[str, dict[str, Any]]]:
    """The runs of each set of data, in the order in which they were named."""
    groups: dict[str, dict[str, dict[str, Any]]] = {}
    for label, run in results.items():
        data = run["run"].get("data", {})
        groups.setdefault(str(data.get("fingerprint") or data.get("path")), {})[label] = run
    return list(groups.values())


def _data_path(run: Mapping[str, Any]) -> str:
    return str(run["run"].get("data", {}).get("path", "?"))


def _table_title(title: str, group: Mapping[str, Mapping[str, Any]], *, alone: bool) -> str:
    """With the data's name, where there are tables of several."""
    paths = ", ".join(dict.fromkeys(map(_data_path, group.values())))
    return f"{title} (%)" if alone else f"{title} (%): {paths}"


def _zeroshot_side_by_side(
    results: Mapping[str, dict[str, Any]], folders: Mapping[str, Path], draws: Draws
) -> _Report:
    """The numbers of zero-shot runs, and the tests picture by picture.

    Raises:
        SourceError: a run has no ranks, or they are of other pictures or among other classes.
    """
    ranks = {label: load_pictures(folder / RANKS_FILE) for label, folder in folders.items()}
    comparisons = list(compare_pictures(ranks, draws))
    lines = comparison_lines(comparisons)
    content = {"runs": results, "comparisons": [one.to_json() for one in comparisons], "notes": lines}
    table = zeroshot_table(results)
    return _Report(table.title.removesuffix(" (%)"), content, [table], lines)


def _read_run(folder: Path) -> dict[str, Any]:
    path = folder / RESULTS
    if not path.is_file():
        inside = [str(run.parent) for run in sorted(folder.glob(f"*/{RESULTS}"))]
        fix = "cnclip eval retrieval MODEL STORE --output FOLDER writes one"
        raise SourceError(
            f"no {RESULTS} in {folder}",
            where=str(folder),
            fix=f"give the runs inside: {' '.join(inside)}" if inside else fix,
        )
    value = read_json(path)
    known = isinstance(value, dict) and (is_zeroshot(value) or {*JSON_NAMES.values(), "run"} <= value.keys())
    if not known:
        raise SourceError(
            "not the results of a retrieval or zero-shot run",
            where=str(path),
            fix="give folders that eval retrieval or eval zeroshot wrote",
        )
    found: dict[str, Any] = value
    return found


@dataclass(frozen=True)
class _Report:
    """What is said three ways: JSON, Markdown, one page."""

    title: str
    content: Mapping[str, Any]
    tables: Sequence[Table]
    lines: Sequence[str]

    def write(self, folder: Path, name: str, json_name: str) -> None:
        write_json(folder / json_name, self.content)
        said = "\n".join(f"- {line}" for line in self.lines)
        parts = [f"# {self.title}", *map(markdown_table, self.tables), said]
        _write_text(folder / f"{name}.md", "\n\n".join(parts) + "\n")
        write_page(folder / f"{name}.html", self.title, lines=self.lines, tables=self.tables)


def _write_text(path: Path, text: str) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")
