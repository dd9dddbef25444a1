"""What `cnclip eval retrieval` says of models beyond their numbers: every insight, its chapter, its JSON."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cnclip.commands.eval_correction_parts import measure_corrections
from cnclip.commands.eval_retrieval_run import InsightOptions, MeasuredModel, note_seconds
from cnclip.errors import CnclipError
from cnclip.evaluation.chapters.blocks import Chapter, Paragraph, Words
from cnclip.evaluation.insight.confusions import find_confusions
from cnclip.evaluation.insight.confusions_chapter import confusions_chapter
from cnclip.evaluation.insight.contrasts_chapter import contrasts_chapter
from cnclip.evaluation.insight.evidence import Evidence
from cnclip.evaluation.insight.geometry import find_geometry
from cnclip.evaluation.insight.geometry_chapter import geometry_chapter
from cnclip.evaluation.insight.neighbours import Neighbours, find_neighbours
from cnclip.evaluation.insight.slices import find_slices
from cnclip.evaluation.insight.slices_chapter import slices_chapter
from cnclip.evaluation.insight.suspect_findings import Suspect, SuspectFindings
from cnclip.evaluation.insight.suspects import find_suspects
from cnclip.evaluation.insight.suspects_chapter import suspects_chapter
from cnclip.evaluation.insight.threshold import find_threshold
from cnclip.evaluation.insight.threshold_chapter import threshold_chapter
from cnclip.stores.reader import StoreReader


class Findings(Protocol):
    """What an insight finds of one model."""

    def to_json(self) -> Any:
        """For results.json."""


@dataclass(frozen=True)
class Insight:
    """One thing that a report tells of models.

    Attributes:
        name: of its chapter and of its part of results.json.
        title: of its chapter, where nothing could be found.
        find: of one model.
        chapter: of all models together.
    """

    name: str
    title: Words
    find: Callable[[Evidence, Neighbours], Findings]
    chapter: Callable[[Mapping[str, Any]], Chapter]


@dataclass(frozen=True)
class Insights:
    """What was found.

    Attributes:
        chapters: for the report, in its order.
        opening: chapters that stand right after the summary.
        found: model -> name of an insight -> its part of results.json.
        suspects: model -> pairs of the test set that may be labelled wrongly, for a file of their own.
    """

    chapters: list[Chapter] = field(default_factory=list)
    opening: list[Chapter] = field(default_factory=list)
    found: dict[str, dict[str, Any]] = field(default_factory=dict)
    suspects: dict[str, Sequence[Suspect]] = field(default_factory=dict)


def find_insights(measured: Mapping[str, MeasuredModel], options: InsightOptions) -> Insights:
    """Every insight of every model; the seconds of each go into the models' `run.seconds`.

    An insight that cannot be had, such as of too few queries, is told of in its chapter: the numbers of the
    run stand for themselves.

    Args:
        measured: label -> model, all of the same store.
        options: which.

    Raises:
        StoreError: a store of `options.seen` cannot be opened.
    """
    told = Insights(found={label: {} for label in measured})
    if options.wanted:
        _explain(told, measured, options)
    if options.corrections:
        chapter, numbers = measure_corrections(measured, options.corrections, options.bank)
        told.chapters.append(chapter)
        for label, one in numbers.items():
            told.found[label]["corrections"] = one
    return told


def _explain(told: Insights, measured: Mapping[str, MeasuredModel], options: InsightOptions) -> None:
    """Everything but the corrections: what the models get wrong, and why."""
    seen = [StoreReader(path) for path in options.seen]
    neighbours: dict[str, Neighbours] = {}
    for label, model in measured.items():
        start = time.perf_counter()
        neighbours[label] = find_neighbours(model.evidence)
        note_seconds(model, "neighbours", start)
    told.chapters.append(_contrasts(measured))
    for insight in _insights(next(iter(measured.values())).evidence.store, seen):
        found = _find(insight, measured, neighbours)
        told.chapters.append(_chapter(insight, found))
        for label, one in found.items():
            if not isinstance(one, CnclipError):
                told.found[label][insight.name] = one.to_json()
            if isinstance(one, SuspectFindings):
                told.suspects[label] = one.suspects


def _insights(store: StoreReader, seen: list[StoreReader]) -> list[Insight]:
    """In the order of the report."""
    return [
        Insight(
            "slices",
            Words("哪些查询更难", "Which queries are harder"),
            lambda evidence, _: find_slices(evidence, seen=seen),
            slices_chapter,
        ),
        Insight(
            "confusions",
            Words("最近的错图", "Nearest wrong pictures"),
            find_confusions,
            lambda found: confusions_chapter(found, store),
        ),
        Insight(
            "suspects",
            Words("测试集里的疑点", "Suspects in the test set"),
            find_suspects,
            lambda found: suspects_chapter(found, store),
        ),
        Insight("geometry", Words("向量空间", "The embedding space"), find_geometry, geometry_chapter),
        Insight("threshold", Words("分数与阈值", "Scores and threshold"), find_threshold, threshold_chapter),
    ]


def _find(
    insight: Insight, measured: Mapping[str, MeasuredModel], neighbours: Mapping[str, Neighbours]
) -> dict[str, Findings | CnclipError]:
    """What one insight finds of each model, or why it does not; the reason goes to stderr too."""
    found: dict[str, Findings | CnclipError] = {}
    for label, model in measured.items():
        start = time.perf_counter()
        try:
            found[label] = insight.find(model.evidence, neighbours[label])
        except CnclipError as error:
            print(f"warning: {insight.name} of {label} is left out of the report: {error}", file=sys.stderr)
            found[label] = error
        note_seconds(model, insight.name, start)
    return found


def _chapter(insight: Insight, found: Mapping[str, Findings | CnclipError]) -> Chapter:
    errors = {label: one for label, one in found.items() if isinstance(one, CnclipError)}
    missing = [_missing(label if len(found) > 1 else "", error) for label, error in errors.items()]
    whole = {label: one for label, one in found.items() if label not in errors}
    if not whole:
        return Chapter(insight.name, insight.title, missing)
    chapter = insight.chapter(whole)
    return Chapter(chapter.name, chapter.title, [*missing, *chapter.blocks], chapter.intro)


def _contrasts(measured: Mapping[str, MeasuredModel]) -> Chapter:
    """Wins and losses, with their pictures."""
    title = Words("赢在哪里，输在哪里", "Wins and losses")
    try:
        chapter = contrasts_chapter({label: model.evidence for label, model in measured.items()})
    except CnclipError as error:
        print(f"warning: wins and losses are left out of the report: {error}", file=sys.stderr)
        return Chapter("contrasts", title, [_missing("", error)])
    return chapter or Chapter("contrasts", title, [])


def _missing(label: str, error: CnclipError) -> Paragraph:
    place = (f"{label}：", f"{label}: ") if label else ("", "")
    return Paragraph(Words(f"{place[0]}没有做出来：{error.what}", f"{place[1]}this is missing: {error.what}"))
