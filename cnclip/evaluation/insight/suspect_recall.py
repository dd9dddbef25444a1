"""What recall would be if suspects counted as correct: another reading, never the reported number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnclip.evaluation.insight.evidence import Evidence
from cnclip.evaluation.insight.suspect_pairs import Reason
from cnclip.evaluation.retrieval import DirectionResult, recall_at_k
from cnclip.evaluation.rows import Indices, Rows
from cnclip.evaluation.similarity import Mask, pair_scores

LEVELS: tuple[tuple[Reason, ...], ...] = (
    ("same bytes", "same pixels", "near picture"),
    ("same caption", "same words"),
    ("words covered",),
    ("mutual",),
)
_SLACK = 1e-5  # float32 scores of unit rows are nearer to the truth than this


@dataclass(frozen=True)
class CountedRecall:
    """Recall of the reported queries with some suspects counted as correct.

    Attributes:
        counted: reasons of the suspects that count.
        suspects: how many these are.
        t2i, i2t: K -> recall in percent.
    """

    counted: tuple[Reason, ...]
    suspects: int
    t2i: dict[int, float]
    i2t: dict[int, float]

    def to_json(self) -> dict[str, Any]:
        """For results.json."""
        return {
            "counted": list(self.counted),
            "suspects": self.suspects,
            **{
                name: {f"r{k}": round(value, 4) for k, value in recall.items()}
                for name, recall in (("text_to_image", self.t2i), ("image_to_text", self.i2t))
            },
        }


def counted_recalls(
    evidence: Evidence, pairs: Indices, reasons: Sequence[Reason]
) -> tuple[CountedRecall, ...]:
    """The reported recall, then with the suspects of each level and all levels before it.

    Only the queries that a suspect helps are ranked again, and of their items only the best: what is correct
    and scores less does not stand in its way. A query without a correct item stays left out.

    Args:
        evidence: embeddings, correct pairs and their result.
        pairs: int64 [S, 2] of (image index, text index), the suspects.
        reasons: of each.
    """
    images, texts = evidence.images.rows, evidence.texts.rows
    found = evidence.result
    every = np.concatenate([evidence.positives, pairs])
    scores = pair_scores(images, texts, every[:, 0], every[:, 1])
    level_of = {reason: number for number, level in enumerate(LEVELS, start=1) for reason in level}
    levels = np.array([0] * len(evidence.positives) + [level_of[reason] for reason in reasons])
    ranks = {"t2i": found.t2i.ranks.copy(), "i2t": found.i2t.ranks.copy()}
    recalls = [CountedRecall((), 0, dict(found.t2i.recall), dict(found.i2t.recall))]
    for number, level in enumerate(LEVELS, start=1):
        known = levels <= number
        part, new = every[known], levels[known] == number
        for name, side in (("t2i", 1), ("i2t", 0)):
            helped = new & (ranks[name][part[:, side]] > 0)
            asked, best = _best_pairs(part[:, side], scores[known], helped)
            if not len(asked):
                continue
            decisive = part[best]
            decisive[:, side] = np.searchsorted(asked, decisive[:, side])
            again = recall_at_k(*((images, texts[asked]) if side else (images[asked], texts)), decisive)
            ranks[name][asked] = (again.t2i if side else again.i2t).ranks
        t2i, i2t = _recall(found.t2i, ranks["t2i"]), _recall(found.i2t, ranks["i2t"])
        counted = recalls[-1].counted + level
        recalls.append(CountedRecall(counted, int(known.sum()) - len(evidence.positives), t2i, i2t))
    return tuple(recalls)


def _best_pairs(owners: Indices, scores: Rows, new: Mask) -> tuple[Indices, Mask]:
    """Queries with a new pair among their best, ascending, and bool [pairs]: the best pairs of these."""
    highest = np.full(int(owners.max(initial=-1)) + 1, -np.inf)
    np.maximum.at(highest, owners, scores)
    best = scores >= highest[owners] - _SLACK
    asked = np.unique(owners[best & new])
    return asked, best & np.isin(owners, asked)


def _recall(direction: DirectionResult, ranks: Indices) -> dict[int, float]:
    labelled = ranks[direction.ranks > 0]
    return {k: float(100 * (labelled <= k).mean()) for k in direction.recall}
