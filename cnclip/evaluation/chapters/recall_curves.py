"""How recall grows with the number of results that a user looks at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from cnclip.evaluation.chapters.blocks import Cell, Chapter, Curves, Grid, Point, Words
from cnclip.evaluation.chapters.naming import CHANCE, DIRECTION, DIRECTIONS, MODEL
from cnclip.evaluation.retrieval import DirectionResult, RetrievalResult
from cnclip.evaluation.rows import Indices, Scores

DEEPEST = 100
SHARES = (50, 75, 90, 95)
_CHANCE = "chance"
Way = Literal["t2i", "i2t"]
_WAYS: tuple[Way, ...] = ("t2i", "i2t")


def curves_chapter(results: Mapping[str, RetrievalResult], positives: Indices) -> Chapter:
    """Recall@K for K from 1 to 100, each model and chance, and how deep one must look.

    Args:
        results: model -> its ranks, all of the same store.
        positives: int64 [pairs, 2] of (image index, text index) of the store's correct pairs.
    """
    charts = [_chart(results, positives, way) for way in _WAYS]
    intro = Words(
        "横轴是给用户看多少个结果，纵轴是其中有正确答案的查询占多少。曲线越早升高越好；"
        "很晚才升高，说明正确答案就在附近，重排也许能救回来。",
        "Across: how many results a user looks at. Up: the share of queries with a correct one among them."
        " The earlier a line rises the better; a late rise means that correct answers are near the top, where"
        " reranking may help.",
    )
    return Chapter(
        "curves", Words("看多少个结果才够", "How deep to look"), [*charts, _depths(results)], intro
    )


def recall_points(direction: DirectionResult) -> list[Point]:
    """(K, recall@K in percent) for K from 1 to 100 or the gallery's size."""
    ranks = direction.ranks[direction.ranks > 0]
    deepest = min(DEEPEST, direction.gallery)
    hits = np.bincount(np.minimum(ranks, deepest + 1), minlength=deepest + 2)
    shares = 100 * np.cumsum(hits)[1 : deepest + 1] / len(ranks)
    return [(float(k), float(share)) for k, share in enumerate(shares, 1)]


def chance_points(positive_counts: Indices, gallery: int) -> list[Point]:
    """The same of a random order: 1 - C(G-m, K) / C(G, K), averaged over the queries' m.

    Args:
        positive_counts: int64 [Q], correct items of each query, each >= 1.
        gallery: G, items that are ranked.
    """
    sizes, queries = np.unique(positive_counts, return_counts=True)
    misses: Scores = np.ones(len(sizes))
    points = []
    for drawn in range(min(DEEPEST, gallery)):
        misses *= np.maximum(gallery - sizes - drawn, 0) / (gallery - drawn)
        points.append((drawn + 1.0, float(100 * (1 - np.average(misses, weights=queries)))))
    return points


def depth_for(direction: DirectionResult, share: int) -> int:
    """The least K with a recall of at least `share` percent."""
    ranks = np.sort(direction.ranks[direction.ranks > 0])
    return int(ranks[-(-share * len(ranks) // 100) - 1])


def _chart(results: Mapping[str, RetrievalResult], positives: Indices, way: Way) -> Curves:
    first: DirectionResult = getattr(next(iter(results.values())), way)
    series = {label: recall_points(getattr(result, way)) for label, result in results.items()}
    counts = np.bincount(np.unique(positives, axis=0)[:, 1 if way == "t2i" else 0])
    name = _CHANCE
    while name in series:
        name += "_"
    series[name] = chance_points(counts[counts > 0], first.gallery)
    return Curves(
        title=Words(f"{DIRECTIONS[way].zh}的召回", f"{DIRECTIONS[way].en} recall"),
        x_label=Words("K，看前几个结果", "K, results looked at"),
        y_label=Words("召回@K（%）", "Recall@K (%)"),
        series=series,
        log_x=True,
        names={name: CHANCE},
        baseline=name,
    )


def _depths(results: Mapping[str, RetrievalResult]) -> Grid:
    rows: list[list[Cell]] = [
        [DIRECTIONS[way], label, *(str(depth_for(getattr(result, way), share)) for share in SHARES)]
        for way in _WAYS
        for label, result in results.items()
    ]
    header = [DIRECTION, MODEL, *(Words(f"{share}% 的查询", f"{share} % of queries") for share in SHARES)]
    title = Words(
        "要让这么多查询找到正确答案，得看前几个", "Results to look at until so many queries are answered"
    )
    return Grid(title, header, rows)
