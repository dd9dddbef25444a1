"""Zero-shot runs that were measured before, side by side, and tested against each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from cnclip.evaluation.per_picture import PictureRanks, hit_differences
from cnclip.evaluation.statistics import Difference, in_words, only_one_right
from cnclip.evaluation.uncertainty import Draws
from cnclip.evaluation.zeroshot_report import difference_json
from cnclip.tables import Table

_COLUMNS = {"top1": "top-1", "top5": "top-5", "mean_per_class": "类平均 mean per class"}


@dataclass(frozen=True)
class PictureComparison:
    """One number of two runs on the same pictures: second minus first."""

    first: str
    second: str
    metric: str
    difference: Difference

    @property
    def words(self) -> str:
        """One sentence."""
        found = self.difference
        said = in_words(found, self.metric.replace("top", "top-"), self.first, self.second)
        return f"{said}; McNemar p = {found.mcnemar_p:.3g}{only_one_right(found, self.first, self.second)}"

    def to_json(self) -> dict[str, Any]:
        """For comparison.json."""
        names = {"first": self.first, "second": self.second, "metric": self.metric}
        return names | difference_json(self.difference) | {"words": self.words}


def is_zeroshot(results: Mapping[str, Any]) -> bool:
    """Whether the content of a results.json is that of a zero-shot run."""
    return {*_COLUMNS, "metric", "classes", "run"} <= results.keys()


def zeroshot_table(runs: Mapping[str, Mapping[str, Any]]) -> Table:
    """One row per run: its own metric, and the accuracies; each with its interval where it has one."""
    rows = []
    for label, run in runs.items():
        metric, spans = run["metric"], run.get("intervals", {})
        rows.append(
            [
                label,
                metric["name"],
                _cell(metric["value"], metric.get("interval")),
                *(_cell(run[name], spans.get(name)) for name in _COLUMNS),
                str(run.get("images", "?")),
            ]
        )
    header = ["模型 model", "评判指标 judged by", "值 value", *_COLUMNS.values(), "图片 images"]
    return Table(
        "零样本对比 Zero-shot compared (%)", header, rows, "方括号里是 95% 区间 intervals in brackets"
    )


def compare_pictures(runs: Mapping[str, PictureRanks], draws: Draws) -> Iterator[PictureComparison]:
    """Top-1 and top-5 of every two runs.

    Raises:
        SourceError: two runs are of different pictures, or ask different things of them.
    """
    for first, second in combinations(runs, 2):
        found = hit_differences(runs[first], runs[second], samples=draws.samples, seed=draws.seed)
        for metric, difference in found.items():
            yield PictureComparison(first, second, metric, difference)


def _cell(value: float, span: list[float] | None) -> str:
    return f"{value:.1f}" + (f" [{span[0]:.1f}, {span[1]:.1f}]" if span else "")
