"""Tables of slices and of single words, for one model or several side by side."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cnclip.evaluation.chapters.blocks import Cell, Grid, Words
from cnclip.evaluation.insight.slice_results import SlicedDirection, SliceResult
from cnclip.evaluation.insight.slice_statistics import LEAST
from cnclip.evaluation.insight.slice_verdicts import Verdict
from cnclip.evaluation.insight.word_slices import WordFindings

FAMILIES = {
    "length": Words("长度", "length"),
    "words": Words("词数", "words"),
    "says": Words("内容", "content"),
    "speech": Words("词性", "part of speech"),
    "form": Words("写法", "form"),
    "rarity": Words("最生僻的词", "rarest word"),
    "source": Words("图片来源", "source of the picture"),
    "size": Words("短边", "shorter side"),
    "shape": Words("长边/短边", "longer/shorter side"),
    "captions": Words("图片的描述数", "captions of the picture"),
}
VERDICTS: dict[Verdict, Words] = {
    "worse": Words("更差", "worse"),
    "better": Words("更好", "better"),
    "same": Words("无可靠差别", "no reliable difference"),
    "few": Words(f"太少（<{LEAST}）", f"too few (<{LEAST})"),
}


def named(one: SliceResult) -> Words:
    """Family and slice, with a * where it is told by rules of thumb."""
    family, own = FAMILIES[one.family], _starred(one)
    return Words(f"{family.zh}：{own.zh}", f"{family.en}: {own.en}")


def slice_grid(directions: Mapping[str, SlicedDirection], family: str, way: Words) -> Grid | None:
    """A row for each slice of a family; None where there is none.

    Args:
        directions: model's label -> one direction; of one model all numbers are shown, of several the mean
            recall and the difference.
        family: the slices'.
        way: name of the direction, for the title.
    """
    first = next(iter(directions.values()))
    rows = [one for one in first.slices if one.family == family]
    if not rows:
        return None
    name = FAMILIES[family]
    title = Words(f"{way.zh}：按{name.zh}", f"{way.en}, by {name.en}")
    head = Words(name.zh, name.en)
    if len(directions) == 1:
        return Grid(title, [head, *_HEADER], [[_starred(one), *_cells(one)] for one in rows])
    found = [
        {one.key: one for one in direction.slices if one.family == family}
        for direction in directions.values()
    ]
    header = [head, *_HEADER[:2]]
    for label in directions:
        header += [Words(label, label), Words(f"{label} 差", f"{label} difference")]
    table: list[list[Cell]] = []
    for one in rows:
        row: list[Cell] = [_starred(one), str(one.queries), str(one.groups)]
        for slices in found:
            other = slices.get(one.key)
            row += ["-", "-"] if other is None else [f"{other.mean_recall:.1f}", _difference_in_words(other)]
        table.append(row)
    return Grid(title, header, table, _SIDE_NOTE)


def words_grids(found: WordFindings, label: str) -> list[Grid]:
    """The worst and the best words of one model; a single empty one where no word is frequent enough."""
    of = Words(f"{label}：", f"{label}: ") if label else Words("", "")
    counts = Words(
        f"在至少 {LEAST} 条查询、{LEAST} 张图里出现的实词有 {found.tested} 个：{found.worse} 个可靠地更差，"
        f"{found.better} 个可靠地更好（Benjamini–Hochberg 校正后，判错的平均不超过二十分之一）。",
        f"{found.tested} content words stand in {LEAST} queries of {LEAST} pictures or more: {found.worse} "
        f"are reliably worse, {found.better} reliably better (after Benjamini and Hochberg's correction; of "
        "these, one in twenty may be wrong).",
    )
    header = [Words("词", "word"), *_HEADER]
    del header[header.index(_MEDIAN)]
    grids = []
    sides = (
        (found.worst, Words("最难的词", "The hardest words")),
        (found.best, Words("最容易的词", "The easiest words")),
    )
    for words, title in sides:
        rows = [[one.shown, *_cells(one, median=False)] for one in words]
        if rows:
            grids.append(Grid(Words(of.zh + title.zh, of.en + title.en), header, rows, counts))
    return grids


def _starred(one: SliceResult) -> Words:
    star = "" if one.exact else "*"
    return Words(one.shown.zh + star, one.shown.en + star)


_SIDE_NOTE = Words(
    "每个模型：平均召回率 %，与其余查询的差。", "For each model: mean recall %, difference to the rest."
)
_MEDIAN = Words("中位名次", "median rank")
_HEADER = [
    Words("查询", "queries"),
    Words("图片", "pictures"),
    Words("R@1", "R@1"),
    Words("R@10", "R@10"),
    Words("平均召回率", "mean recall"),
    _MEDIAN,
    Words("差", "difference"),
    Words("校正后 p", "corrected p"),
    Words("结论", "verdict"),
]


def _cells(one: SliceResult, *, median: bool = True) -> list[Cell]:
    cells: list[Cell] = [str(one.queries), str(one.groups)]
    cells += [f"{one.r1:.1f}", f"{one.r10:.1f}", _mean_recall(one)]
    if median:
        cells.append(f"{one.median_rank:g}")
    return [*cells, _difference(one), _chance(one.corrected), VERDICTS[one.verdict]]


def _mean_recall(one: SliceResult) -> str:
    span = one.spans.get("mean_recall")
    return f"{one.mean_recall:.1f}" + ("" if span is None else f" [{span[0]:.1f}, {span[1]:.1f}]")


def _difference(one: SliceResult) -> str:
    if np.isnan(one.difference):
        return "-"
    span = one.spans.get("difference")
    return f"{one.difference:+.1f}" + ("" if span is None else f" [{span[0]:+.1f}, {span[1]:+.1f}]")


def _difference_in_words(one: SliceResult) -> Words:
    said, figures = VERDICTS[one.verdict], _difference(one)
    return Words(f"{figures} {said.zh}", f"{figures} {said.en}")


def _chance(p: float) -> str:
    if np.isnan(p):
        return "-"
    return "<0.001" if p < 0.001 else f"{p:.3f}"
