"""What a score correction changes on one run: the numbers beside the plain ones, and whether they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from cnclip.evaluation.corrections import (
    Bank,
    Correction,
    CorrectionSettings,
    corrected_retrieval,
    is_transductive,
)
from cnclip.evaluation.corrections_words import NAMES, warning
from cnclip.evaluation.insight.evidence import Evidence
from cnclip.evaluation.per_query import both_directions
from cnclip.evaluation.retrieval_result import RetrievalResult
from cnclip.evaluation.uncertainty import Comparison, compare_queries

PLAIN = "不校正 plain"
Numbers = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Variant:
    """A correction over the test queries or over a bank.

    Attributes:
        over: whose queries its sums and means are taken over.
        numbers: direction -> r1 ..., mean_recall, mrr, map -> percent.
        changed: direction -> queries whose items were ranked by another score than s, percent.
        bank: direction -> bank queries used; 0 over the test queries.
        comparisons: with the plain ranks, on the same queries; empty where no samples are drawn.
    """

    over: Literal["test", "bank"]
    numbers: Numbers
    changed: dict[str, float]
    bank: dict[str, int]
    comparisons: tuple[Comparison, ...]

    def comparison(self, direction: str, metric: str) -> Comparison | None:
        """The paired difference of one number, corrected minus plain."""
        found = (one for one in self.comparisons if (one.direction, one.metric) == (direction, metric))
        return next(found, None)


@dataclass(frozen=True)
class CorrectionFindings:
    """One correction on one model and store.

    Attributes:
        name: of the correction.
        settings: what it was made with.
        queries: direction -> labelled queries.
        plain: direction -> the numbers without it, percent.
        variants: over the test queries and, with a bank, over its queries; qb_norm over the bank alone.
    """

    name: Correction
    settings: CorrectionSettings
    queries: dict[str, int]
    plain: Numbers
    variants: tuple[Variant, ...]

    def to_json(self) -> dict[str, Any]:
        """For results.json["insight"]["corrections"]; percent, rounded to 4 places."""
        numbers = {key: value for key, value in asdict(self.settings).items() if key != "over"}
        return {
            "name": self.name,
            "settings": numbers,
            "queries": self.queries,
            "plain": _rounded(self.plain),
            "variants": [
                {
                    "over": one.over,
                    "fair": one.over == "bank",
                    "bank": one.bank,
                    "changed": {way: round(share, 4) for way, share in one.changed.items()},
                    "corrected": _rounded(one.numbers),
                    "comparisons": [comparison.to_json() for comparison in one.comparisons],
                    "warning": asdict(warning(self.name, one.over)),
                }
                for one in self.variants
            ],
        }


def find_correction(
    name: Correction,
    evidence: Evidence,
    settings: CorrectionSettings | None = None,
    *,
    bank: Bank | None = None,
) -> CorrectionFindings:
    """Measure one correction beside the plain ranks of a run.

    Args:
        name: of the correction.
        evidence: of the run; its `result` is the plain one.
        settings: None takes the defaults; `over` is passed over: what can be measured is.
        bank: training queries; qb_norm needs them, the others are measured over them as well.

    Raises:
        RecipeError: qb_norm without a bank.
        SourceError: rows of the bank that do not fit.
    """
    settings = settings or CorrectionSettings()
    ways: list[Literal["test", "bank"]] = ["bank"] if name == "qb_norm" else ["test"]
    if name != "qb_norm" and bank is not None:
        ways.append("bank")
    variants = tuple(_measured(name, evidence, replace(settings, over=over), bank) for over in ways)
    return CorrectionFindings(
        name=name,
        settings=settings,
        queries={way: len(queries.ids) for way, queries in evidence.queries.items()},
        plain=_numbers(evidence.result),
        variants=variants,
    )


def _measured(
    name: Correction, evidence: Evidence, settings: CorrectionSettings, bank: Bank | None
) -> Variant:
    images, texts = evidence.images, evidence.texts
    found = corrected_retrieval(
        name,
        images.rows,
        texts.rows,
        evidence.positives,
        list(evidence.result.t2i.recall),
        settings,
        bank=bank,
    )
    comparisons: Sequence[Comparison] = ()
    if evidence.draws.samples:
        corrected = both_directions(
            found.result, evidence.positives, image_ids=images.ids, text_ids=texts.ids
        )
        comparisons = compare_queries(
            (PLAIN, NAMES[name].both), (evidence.queries, corrected), evidence.draws
        )
    return Variant(
        over="test" if is_transductive(name, settings) else "bank",
        numbers=_numbers(found.result),
        changed=found.changed,
        bank=found.bank,
        comparisons=tuple(comparisons),
    )


def _numbers(result: RetrievalResult) -> Numbers:
    return {
        name: {f"r{k}": value for k, value in way.recall.items()}
        | {"mean_recall": way.mean_recall, "mrr": way.mrr, "map": way.mean_average_precision}
        for name, way in (("t2i", result.t2i), ("i2t", result.i2t))
    }


def _rounded(numbers: Numbers) -> Numbers:
    return {way: {key: round(value, 4) for key, value in found.items()} for way, found in numbers.items()}
