"""What a retrieval run keeps of each query, so that runs can be compared later: `per_query.npz`.

For both directions, `t2i` and `i2t`, one entry per labelled query:

    {direction}_ids                 names
    {direction}_groups              int64, queries with the same number are resampled together
    {direction}_ranks               int64, rank of the best correct item, 1 is best
    {direction}_average_precision   float64, 0 to 1
    {direction}_ndcg                float64, 0 to 1, at depth 10
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnclip.artifacts import atomic_file
from cnclip.errors import SourceError
from cnclip.evaluation.archives import ArchiveWords, read_archive
from cnclip.evaluation.retrieval import DirectionResult, RetrievalResult
from cnclip.evaluation.rows import Indices, Scores

FILE_NAME = "per_query.npz"
_FIELDS = ("groups", "ranks", "average_precision", "ndcg")


@dataclass(frozen=True)
class Queries:
    """The labelled queries of one direction.

    Attributes:
        ids: Q names.
        groups: int64 [Q]; queries with the same number are resampled together.
        ranks: int64 [Q] rank of the best correct item, 1 is best.
        average_precision: float64 [Q], 0 to 1.
        ndcg: float64 [Q], 0 to 1, at depth 10.
    """

    ids: list[str]
    groups: Indices
    ranks: Indices
    average_precision: Scores
    ndcg: Scores

    def values(self, ks: Sequence[int]) -> dict[str, Scores]:
        """Numbers whose means are the metrics, percent but for the rank: name -> float64 [Q]."""
        hits = {f"r{k}": np.where(self.ranks <= k, 100.0, 0.0) for k in ks}
        return {
            **hits,
            "mean_recall": np.mean(list(hits.values()), axis=0),
            "mean_rank": self.ranks.astype(np.float64),
            "mrr": 100 / self.ranks,
            "map": 100 * self.average_precision,
            "ndcg10": 100 * self.ndcg,
        }


def labelled_queries(direction: DirectionResult, ids: Sequence[str], groups: Indices) -> Queries:
    """The labelled queries of a result.

    Args:
        direction: the result.
        ids: names of all its queries.
        groups: int64 [all queries].
    """
    places = np.flatnonzero(direction.ranks)
    found = direction.per_query
    return Queries(
        ids=[ids[int(place)] for place in places],
        groups=groups[places],
        ranks=found.ranks[places],
        average_precision=found.average_precision[places],
        ndcg=found.ndcg[places],
    )


def both_directions(
    result: RetrievalResult, positives: Indices, *, image_ids: Sequence[str], text_ids: Sequence[str]
) -> dict[str, Queries]:
    """The labelled queries of both directions; captions are grouped by the first picture they belong to.

    Args:
        result: of recall_at_k.
        positives: int64 [pairs, 2] of (image index, text index).
        image_ids, text_ids: names of all pictures and captions.
    """
    groups = np.full(len(text_ids), -1, dtype=np.int64)
    groups[positives[::-1, 1]] = positives[::-1, 0]  # the last write is a caption's first pair
    return {
        "t2i": labelled_queries(result.t2i, text_ids, groups),
        "i2t": labelled_queries(result.i2t, image_ids, np.arange(len(image_ids))),
    }


def save_queries(path: Path, directions: Mapping[str, Queries]) -> None:
    """Write `per_query.npz`.

    Raises:
        ResourceError: disk full or no permission.
    """
    arrays: dict[str, Any] = {}
    for name, queries in directions.items():
        arrays[f"{name}_ids"] = np.array([one.encode() for one in queries.ids], dtype="S")
        arrays |= {f"{name}_{field}": getattr(queries, field) for field in _FIELDS}
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load_queries(path: Path) -> dict[str, Queries]:
    """Read `per_query.npz`.

    Raises:
        SourceError: no such file, or it is not one of these.
    """
    fix = "measure again: cnclip eval retrieval MODEL STORE --output FOLDER"
    arrays = read_archive(path, ArchiveWords("the ranks", "the run has no ranks of its queries", fix))
    try:
        return {
            name: Queries(
                [one.decode() for one in arrays[f"{name}_ids"].tolist()],
                *(arrays[f"{name}_{field}"] for field in _FIELDS),
            )
            for name in ("t2i", "i2t")
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SourceError(f"cannot read the ranks: {error}", where=str(path), fix=fix) from None
