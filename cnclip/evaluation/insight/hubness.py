"""Hubs and anti-hubs: items that far too many queries find, and items that no query finds.

N_k of an item is the number of queries that have it among their k nearest (Radovanović, Nanopoulos and
Ivanović, Hubs in space, JMLR 2010). In many dimensions its distribution is skewed to the right: a few hubs
stand in the way of everything else. Beside each figure stands that of even chance, where every query draws
its k items blindly and N_k is binomial: with few queries per item, most items are missed by chance alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import binom

from cnclip.evaluation.insight.neighbours import FEWEST, Found
from cnclip.evaluation.rows import Indices, Scores

_TOP_PERCENT = 1
_CROWDED = 2.0  # times the share that even chance gives to the most found 1 %
_SKEWED = 1.0
_LISTED = 8
_VICTIMS = 3
_CURVE_STEPS = 50


@dataclass(frozen=True)
class Victim:
    """A query that found a hub which is not what it asked for.

    Attributes:
        query: its index.
        score: cosine similarity to the hub.
    """

    query: int
    score: float


@dataclass(frozen=True)
class Hub:
    """An item that many queries find.

    Attributes:
        item: its index in the gallery.
        count: N_k.
        right: queries among those for which it is a correct item.
        before: queries among those for which it is wrong and stands before every correct item.
        score: mean cosine similarity to the queries that found it.
        victims: some of the queries for which it is wrong: first those that `before` counts, the most similar
            first of either.
    """

    item: int
    count: int
    right: int
    before: int
    score: float
    victims: tuple[Victim, ...]


@dataclass(frozen=True)
class Hubness:
    """How evenly the queries of one direction find the gallery.

    Attributes:
        k: items that count as found by a query.
        queries: that were asked, those with a correct item.
        items: in the gallery.
        skewness: third standardised moment of N_k; 0 where all are equal.
        never: items that no query found, percent.
        top_share: of all places taken by the 1 % of items that are found most, at least one item; percent.
        wrong_top_share: of all places, those that the 1 % of items that are wrong most often take wrongly, at
            least one item; percent. A picture that is right for many queries is found by many, and no hub.
        chance_skewness, chance_never, chance_top_share: the same where every query draws blindly.
        shares: places taken by the 0, 2, 4 ... 100 % of items that are found most, percent.
        hubs: those that are wrong for most queries; none that is wrong for fewer than two.
    """

    k: int
    queries: int
    items: int
    skewness: float
    never: float
    top_share: float
    wrong_top_share: float
    chance_skewness: float
    chance_never: float
    chance_top_share: float
    shares: tuple[float, ...]
    hubs: tuple[Hub, ...]

    @property
    def tells(self) -> bool:
        """Whether there are enough queries and items to speak of."""
        return min(self.queries, self.items) >= FEWEST and self.items > self.k

    @property
    def has_hubs(self) -> bool:
        """Whether few items stand wrongly in far more places than blind chance would put them."""
        crowded = self.wrong_top_share > _CROWDED * self.chance_top_share
        return self.tells and crowded and self.skewness > _SKEWED

    def to_json(self) -> dict[str, Any]:
        """For results.json: N_k's numbers; the hubs are named by those who know their ids."""
        names = ["skewness", "never", "top_share", "wrong_top_share"]
        names += ["chance_skewness", "chance_never", "chance_top_share"]
        counts = {"k": self.k, "queries": self.queries, "items": self.items, "enough": self.tells}
        return counts | {name: round(getattr(self, name), 4) for name in names}


def find_hubness(found: Found, asked: Indices, items: int) -> Hubness:
    """Count who is found.

    Args:
        found: what every query of a direction found.
        asked: int64, the queries that count, at least one.
        items: in the gallery.
    """
    k = found.items.shape[1]
    places = found.items[asked]
    counts = np.bincount(places.ravel(), minlength=items)
    ordered = np.sort(counts)[::-1].astype(np.float64)
    wrong = counts - np.bincount(places[found.correct[asked]], minlength=items)
    chance = binom(len(asked), k / items)
    return Hubness(
        k=k,
        queries=len(asked),
        items=items,
        skewness=skewness(counts),
        never=float(100 * (counts == 0).mean()),
        top_share=float(100 * ordered[: _top(items)].sum() / ordered.sum()),
        wrong_top_share=float(100 * np.sort(wrong)[::-1][: _top(items)].sum() / ordered.sum()),
        chance_skewness=float(chance.stats(moments="s")) if k < items else 0.0,
        chance_never=float(100 * chance.pmf(0)),
        chance_top_share=_chance_top_share(len(asked), k, items),
        shares=_shares(ordered),
        hubs=_worst(found, asked, counts, wrong),
    )


def skewness(counts: Indices) -> float:
    """E[(N - mean)^3] / sd^3 over the items, population moments: S_Nk of the paper; 0 where all are equal."""
    away = counts - counts.mean()
    variance = float((away**2).mean())
    return float((away**3).mean()) / variance**1.5 if variance else 0.0


def _top(items: int) -> int:
    return max(1, items * _TOP_PERCENT // 100)


def _chance_top_share(queries: int, k: int, items: int) -> float:
    """Expected share of places of the most found 1 %, N_k being binomial, percent."""
    chance, top = binom(queries, k / items), _top(items) / items
    least = int(chance.isf(top))  # every count above it belongs to the top
    above = np.arange(least + 1, int(chance.isf(1e-12)) + 2)
    mass = chance.pmf(above)
    places = float(mass @ above) + least * (top - float(mass.sum()))
    return 100 * places * items / (queries * k)


def _shares(ordered: Scores) -> tuple[float, ...]:
    """Places taken by the most found part of the items, percent."""
    total = np.concatenate([[0.0], np.cumsum(ordered)])
    at = np.linspace(0, len(ordered), _CURVE_STEPS + 1)
    shares = 100 * np.interp(at, np.arange(len(total)), total) / total[-1]
    return tuple(float(share) for share in shares)


def _worst(found: Found, asked: Indices, counts: Indices, wrong: Indices) -> tuple[Hub, ...]:
    """The items that are wrong for most queries."""
    places, correct = found.items[asked], found.correct[asked]
    in_front = ~np.logical_or.accumulate(correct, axis=1)  # bool [Q, k]: no correct item there or before
    order = np.lexsort((np.arange(len(counts)), -counts, -wrong))[:_LISTED]
    hubs = []
    for item in order[wrong[order] > 1]:
        row, column = np.nonzero(places == item)
        scores, before = found.scores[asked[row], column], in_front[row, column]
        fooled = np.flatnonzero(~correct[row, column])
        worst = fooled[np.lexsort((row[fooled], -scores[fooled], ~before[fooled]))][:_VICTIMS]
        hub = Hub(
            item=int(item),
            count=int(counts[item]),
            right=int(counts[item] - wrong[item]),
            before=int(before.sum()),
            score=float(scores.mean()),
            victims=tuple(Victim(int(asked[row[each]]), float(scores[each])) for each in worst),
        )
        hubs.append(hub)
    return tuple(hubs)
