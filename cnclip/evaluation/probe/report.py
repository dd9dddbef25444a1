"""The curve as a table, as `results.json`, as `probe.csv` and as a page that opens offline.

`results.json` (accuracies in percent):

    success     true
    zero_shot   top1, mean_per_class, interval [low, high] of 95 % over the test pictures
    points      [{method, shots (null = all), top1 (mean over seeds), std (over seeds), mean_per_class,
                  interval, over_zero_shot {difference, interval, p},
                  runs [{seed, top1, mean_per_class, settings, seconds}]}]
    verdict     {method: sentence}; shots_to_match {method: number or null}
    skipped     [{method, shots, reason}]
    short       {shots: classes that have fewer}
    classes     how many; images {pool, test}; run (as in retrieval)
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from cnclip.artifacts import atomic_file
from cnclip.evaluation.page import STYLE
from cnclip.evaluation.probe.crossing import shots_to_match, verdict
from cnclip.evaluation.probe.figure import STYLE as FIGURE_STYLE
from cnclip.evaluation.probe.figure import curve_svg
from cnclip.evaluation.probe.methods import TITLES, Name
from cnclip.evaluation.probe.outcome import Curve, Point, ShotCount
from cnclip.pages import html_document
from cnclip.tables import Table

TITLE = "少样本曲线 Few-shot curve: top-1 (%), 均值±标准差 mean ± std over seeds"

CHOOSING = (
    "C、k、α、β 由每类另外 min(K, 4) 张选出 are chosen by min(K, 4) further pictures per class;"
    " 原型与提示学习不用 prototypes and prompt learning use none"
)


def methods_of(curve: Curve) -> list[Name]:
    """Methods with at least one point, in their order."""
    return list(dict.fromkeys(point.method for point in curve.points))


def curve_table(curve: Curve) -> Table:
    """One row per method, one column per number of shots, zero-shot first."""
    shots = sorted({point.shots for point in curve.points}, key=lambda count: (count is None, count or 0))
    line = curve.zero_shot
    span = f"{line.top1:.1f} [{line.interval.low:.1f}, {line.interval.high:.1f}]"
    rows = [["零样本 zero-shot", span, *["-"] * len(shots)]]
    for method in methods_of(curve):
        cells = {point.shots: f"{point.mean:.1f}±{point.spread:.1f}" for point in curve.of(method)}
        rows.append([TITLES[method], "-", *[cells.get(count, "-") for count in shots]])
    return Table(TITLE, ["方法 method", "0", *map(shown_shots, shots)], rows, "\n".join(notes(curve)))


def notes(curve: Curve) -> list[str]:
    """What the numbers leave out: classes that are too small, methods that could not run."""
    lines = [CHOOSING] if curve.points else []
    lines += [
        f"{count} 张：{classes} 类不足，有几张用几张 {classes} classes have fewer than {count} and give all"
        for count, classes in curve.short.items()
    ]
    reasons: dict[str, list[str]] = {}
    for skipped in curve.skipped:
        reasons.setdefault(skipped.reason, []).append(f"{skipped.method}@{shown_shots(skipped.shots)}")
    lines += [f"跳过 skipped {', '.join(names)}: {reason}" for reason, names in reasons.items()]
    return lines


def verdicts(curve: Curve) -> dict[Name, str]:
    """One sentence per method."""
    return {method: verdict(curve, method) for method in methods_of(curve)}


def curve_json(curve: Curve, *, counts: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    """Content of `results.json`; the module's docstring lists the fields.

    Args:
        curve: the results.
        counts: classes and images.
        run: model, data, versions, times.
    """
    line = curve.zero_shot
    return {
        "success": True,
        "zero_shot": {
            "top1": round(line.top1, 4),
            "mean_per_class": round(line.mean_per_class, 4),
            "interval": [round(line.interval.low, 4), round(line.interval.high, 4)],
        },
        "points": [_point_json(point) for point in curve.points],
        "verdict": verdicts(curve),
        "shots_to_match": {method: _match(curve, method) for method in methods_of(curve)},
        "skipped": [
            {"method": skipped.method, "shots": skipped.shots, "reason": skipped.reason}
            for skipped in curve.skipped
        ],
        "short": {str(shots): classes for shots, classes in curve.short.items()},
        **counts,
        "run": dict(run),
    }


def curve_csv(curve: Curve) -> str:
    """One line per run: method, shots, seed, top1, mean_per_class, seconds, settings as JSON."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["method", "shots", "seed", "top1", "mean_per_class", "seconds", "settings"])
    line = curve.zero_shot
    writer.writerow(["zero-shot", 0, "", f"{line.top1:.4f}", f"{line.mean_per_class:.4f}", "", "{}"])
    for point in curve.points:
        for run in point.runs:
            shots = "all" if point.shots is None else point.shots
            settings = json.dumps(dict(run.settings), ensure_ascii=False)
            top1, per_class = f"{run.top1:.4f}", f"{run.mean_per_class:.4f}"
            writer.writerow([point.method, shots, run.seed, top1, per_class, run.seconds, settings])
    return buffer.getvalue()


def write_curve_page(path: Path, title: str, curve: Curve, *, lines: Sequence[str]) -> None:
    """Write the page: facts, verdicts, the picture, the table.

    Raises:
        ResourceError: disk full or no permission.
    """
    table = curve_table(curve)
    body = [f"<h1>{escape(title)}</h1>", *(f"<p>{escape(line)}</p>" for line in lines)]
    body.append("<h2>多少张图片顶得上零样本 How many pictures zero-shot is worth</h2>")
    body += [f"<p>{escape(sentence)}</p>" for sentence in verdicts(curve).values()]
    body.append(f'<article><div class="scroll">{curve_svg(curve)}</div></article>')
    body.append(f'<h2>{escape(table.title)}</h2><div class="scroll"><table><thead>')
    body.append(_row(table.header, "th") + "</thead><tbody>")
    body += [_row(row, "td") for row in table.rows]
    body.append("</tbody></table></div>")
    body += [f"<p>{escape(note)}</p>" for note in notes(curve)]
    text = html_document(escape(title), STYLE + FIGURE_STYLE, "\n".join(body))
    with atomic_file(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "replace"))


def shown_shots(shots: ShotCount) -> str:
    """A number of shots for a reader."""
    return "全部 all" if shots is None else str(shots)


def _row(cells: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _match(curve: Curve, method: Name) -> float | None:
    points = [(point.shots, point.mean) for point in curve.of(method) if point.shots is not None]
    found = shots_to_match([shots for shots, _ in points], [mean for _, mean in points], curve.zero_shot.top1)
    return None if found is None else round(found, 3)


def _point_json(point: Point) -> dict[str, Any]:
    change = point.over_zero_shot
    return {
        "method": point.method,
        "shots": point.shots,
        "top1": round(point.mean, 4),
        "std": round(point.spread, 4),
        "mean_per_class": round(sum(run.mean_per_class for run in point.runs) / len(point.runs), 4),
        "interval": [round(point.interval.low, 4), round(point.interval.high, 4)],
        "over_zero_shot": {
            "difference": round(change.interval.value, 4),
            "interval": [round(change.interval.low, 4), round(change.interval.high, 4)],
            "p": change.p,
        },
        "runs": [
            {
                "seed": run.seed,
                "top1": round(run.top1, 4),
                "mean_per_class": round(run.mean_per_class, 4),
                "settings": dict(run.settings),
                "seconds": run.seconds,
            }
            for run in point.runs
        ],
    }
