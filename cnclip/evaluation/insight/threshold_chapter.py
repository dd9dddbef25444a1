"""The chapter on scores: how they are spread, when to say "nothing found", and what that costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cnclip.evaluation.chapters.blocks import Block, Cell, Chapter, Grid, Paragraph, Words
from cnclip.evaluation.chapters.naming import MODEL
from cnclip.evaluation.insight.cross_fitting import Operating
from cnclip.evaluation.insight.neighbours import FEWEST
from cnclip.evaluation.insight.operating_point import EVERYTHING, NOTHING
from cnclip.evaluation.insight.threshold import Goal, ThresholdFindings
from cnclip.evaluation.insight.threshold_charts import (
    SETTINGS,
    figures_by_threshold,
    gallery_charts,
    precision_recall,
    score_histogram,
    separation,
)

_INTRO = Words(
    "搜图时什么时候该答“没有找到”：第一张图的余弦不到阈值就什么也不给。每条文本问两次：一次照常，"
    "一次把它的正确图片从图库里拿走（这时给出什么都是错的）。精确率＝给出的第一张里对的比例；"
    "召回率＝第一张对且给出的文本占全部的比例；拒答率＝没有答案时确实什么也不给的比例。",
    'When a search should answer "nothing found": it shows no picture if the cosine of the first one is below'
    " a threshold. Each caption is asked twice: as it is, and with its correct pictures taken out of the"
    " gallery (whatever is shown then is wrong). Precision: first pictures that are right, of those shown."
    " Recall: captions whose right picture is shown first, of all. Rejection: captions without an answer for"
    " which nothing is shown.",
)
_HELD_OUT = Words(
    "方括号里是 95 % 区间。数字是交叉得到的：文本按图片分两半，每一半用另一半选的阈值来算，所以不偏乐观；"
    "阈值一栏由全部文本选出。",
    "In square brackets: 95 % intervals. The figures are cross-fitted: captions are parted in two halves by"
    " picture, and each half is judged by the threshold that the other chose, so they are not too good; the"
    " threshold itself is chosen by all captions.",
)


def threshold_chapter(found: Mapping[str, ThresholdFindings]) -> Chapter:
    """Scores and thresholds of one model, or of several side by side.

    Args:
        found: the models' names -> findings.
    """
    blocks: list[Block] = [Paragraph(words) for words in _verdicts(found)]
    blocks.append(_suggestions(found))
    goals = _goals(found)
    if goals.rows:
        blocks.append(goals)
    if any(one.at_recalls for one in found.values()):
        blocks.append(precision_recall(found))
    for label, one in found.items():
        if one.curve:
            blocks.append(figures_by_threshold(label, one))
        if one.spreads:
            blocks.append(score_histogram(label, one, one.spreads))
    if any(one.spreads for one in found.values()):
        blocks.append(separation(found))
    blocks += gallery_charts(found)
    return Chapter("threshold", Words("分数与阈值", "Scores and threshold"), blocks, _INTRO)


def _verdicts(found: Mapping[str, ThresholdFindings]) -> Iterator[Words]:
    for label, one in found.items():
        said = _verdict(one)
        yield Words(f"{label}：{said.zh}", f"{label}: {said.en}")
    yield Words(
        "阈值只对这个模型、这个精度和这么大的图库成立：图库越大，错图里的最高分越高。"
        "图库里若有别的图也合某条文本，拿走正确图片后它仍算错，所以这里的拒答率和精确率偏低。",
        "A threshold holds for this model, at this precision, and for a gallery of this size: the larger the"
        " gallery, the higher the best wrong score. Other pictures that fit a"
        " caption count as wrong here, so rejection and precision are rather too low.",
    )


def _verdict(one: ThresholdFindings) -> Words:
    best = one.suggested
    if best is None:
        return Words(
            f"只有 {one.groups} 组文本（至少 {FEWEST} 组），不建议阈值。",
            f"only {one.groups} groups of captions, fewer than {FEWEST}: no threshold is suggested.",
        )
    figures = best.figures
    if not best.useful:
        return Words(
            f"没有可用的阈值：分数分不开有答案和没有答案的文本（平衡 {figures.balance:.1f} %，"
            "什么也不给就是 50 %）。",
            "no threshold is of use: scores do not tell captions with an answer from those without"
            f" (balance {figures.balance:.1f} %, and showing nothing at all gives 50 %).",
        )
    shown = _threshold(best.threshold)
    return Words(
        f"建议阈值 {shown}（{one.gallery} 张图）。第一张不到它就答“没有找到”：召回 {figures.recall:.1f} %"
        f"（不设阈值 {one.first_right:.1f} %），没有答案时拒答 {figures.rejection:.1f} %。"
        f"若一半文本没有答案，答得对的有 {figures.balance:.1f} %（不设阈值 {one.first_right / 2:.1f} %，"
        f"什么也不给 50 %），给出的图里 {figures.mixed_precision:.1f} % 是对的。",
        f"suggested threshold {shown} ({one.gallery} pictures). Below it, answer nothing found: recall"
        f" {figures.recall:.1f} % ({one.first_right:.1f} % without a threshold), rejection"
        f" {figures.rejection:.1f} % where there is no answer. If half of the captions have none,"
        f" {figures.balance:.1f} % are answered as they should be ({one.first_right / 2:.1f} % without a"
        f" threshold, 50 % if nothing is ever shown), and {figures.mixed_precision:.1f} % of the pictures"
        " shown are right.",
    )


def _suggestions(found: Mapping[str, ThresholdFindings]) -> Grid:
    rows: list[list[Cell]] = []
    for label, one in found.items():
        best = one.suggested
        if best is None:
            rows.append([label, *["-"] * 6])
            continue
        names = ("precision", "recall", "rejection", "balance", "mixed_precision")
        rows.append([label, _threshold_with_halves(best), *(_figure(best, name) for name in names)])
    return Grid(
        Words("建议阈值", "Suggested threshold"),
        [
            MODEL,
            Words("阈值（两半各选）", "Threshold (chosen by halves)"),
            Words("精确率 %", "Precision, %"),
            Words("召回率 %", "Recall, %"),
            Words("拒答率 %", "Rejection, %"),
            Words("平衡 %", "Balance, %"),
            Words("精确率，一半没有答案 %", "Precision, half without an answer, %"),
        ],
        rows,
        Words(
            f"规则：召回率与拒答率的平均（平衡）最大，相同时取较低的。{_HELD_OUT.zh}",
            "The rule: the largest mean of recall and rejection (balance), the lower of equals."
            f" {_HELD_OUT.en}",
        ),
    )


def _goals(found: Mapping[str, ThresholdFindings]) -> Grid:
    rows = [[label, *cells] for label, one in found.items() for cells in _goal_rows(one.goals)]
    return Grid(
        Words("达到某个精确率的阈值", "Thresholds for a wanted precision"),
        [
            MODEL,
            Words("情形", "Setting"),
            Words("要求的精确率 %", "Wanted precision, %"),
            Words("阈值", "Threshold"),
            Words("交叉得到的精确率 %", "Precision, cross-fitted, %"),
            Words("召回率 %", "Recall, %"),
            Words("拒答率 %", "Rejection, %"),
        ],
        rows,
        Words(
            "达到要求的最低阈值，-1 是不用阈值就达到。"
            f"给出的图不足 {FEWEST} 张、或有一半文本达不到时算“达不到”。",
            "The lowest threshold that reaches it, -1 where none is needed. Not reachable: fewer than"
            f" {FEWEST} pictures would be shown, or one half of the captions cannot reach it.",
        ),
    )


def _goal_rows(goals: Sequence[Goal]) -> Iterator[list[Cell]]:
    """One row per goal that is reached; those of a setting that are not share one."""
    for setting, name in (("as they are", "precision"), ("half without", "mixed_precision")):
        mine = [goal for goal in goals if goal.setting == setting]
        for goal in mine:
            if goal.reached is not None:
                figures = [_figure(goal.reached, each) for each in (name, "recall", "rejection")]
                yield [SETTINGS[setting], str(goal.precision), _threshold(goal.reached.threshold), *figures]
        missed = [str(goal.precision) for goal in mine if goal.reached is None]
        if missed:
            yield [SETTINGS[setting], ", ".join(missed), Words("达不到", "not reachable"), "-", "-", "-"]


def _figure(reached: Operating, name: str) -> str:
    """A figure with its interval: 81.2 [79.0, 83.1]."""
    value, sure = float(getattr(reached.figures, name)), reached.intervals.get(name)
    shown = "-" if value != value else f"{value:.1f}"
    return f"{shown} [{sure.low:.1f}, {sure.high:.1f}]" if sure else shown


def _threshold_with_halves(reached: Operating) -> str:
    first, second = (_threshold(value) for value in reached.chosen_by_halves)
    return f"{_threshold(reached.threshold)} ({first}, {second})"


def _threshold(value: float) -> str:
    if value == EVERYTHING:
        return "-1"
    return "∞" if value == NOTHING else f"{value:.4f}"
