"""Scores of a store's pairs: what a threshold would keep, and the rows that one keeps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cnclip.errors import RecipeError, SourceError
from cnclip.stores.derived.rows import NONE, Choice, Places
from cnclip.stores.reader import StoreReader
from cnclip.tables import Table

Scores = npt.NDArray[np.float32]
_QUANTILES = (0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 100)  # percent
_SHARES = (0.99, 0.95, 0.9, 0.8, 0.7, 0.5, 0.3)
_BINS, _BAR = 24, 40  # of the histogram, and characters of its longest bar


@dataclass(frozen=True)
class Filtered:
    """What a threshold keeps.

    Attributes:
        choice: the rows that are left.
        threshold: the least score that stays.
        pairs: that go.
        captions: that go: all of their pairs do.
        pictures: that go: no caption is left of them.
        bare: of `pictures`, those that had none to begin with.
    """

    choice: Choice
    threshold: float
    pairs: int
    captions: int
    pictures: int
    bare: int


def least_score(scores: Scores, keep_share: float) -> float:
    """The threshold that keeps a share of the pairs, the best ones; pairs of equal score stay together.

    Raises:
        RecipeError: the share is not above 0 and at most 1.
        SourceError: there are no pairs.
    """
    if not 0 < keep_share <= 1:
        raise RecipeError(f"keep_share is {keep_share:g}", fix="--keep-share 0.8")
    _refuse_none(scores)
    kept = max(1, round(keep_share * len(scores)))
    return float(np.partition(scores, len(scores) - kept)[len(scores) - kept])


def keep_good_pairs(
    reader: StoreReader, scores: Scores, threshold: float, *, keep_pictures: bool = False
) -> Filtered:
    """The rows of the pairs that score high enough.

    Args:
        reader: of the store.
        scores: float32 [pairs], in the store's order.
        threshold: the least score that stays.
        keep_pictures: keep pictures that have no caption left.

    Raises:
        SourceError: nothing would be left.
    """
    _refuse_none(scores)
    links = scores >= np.float32(threshold)
    if not links.any():
        raise SourceError(
            f"no pair scores {threshold:g}; the best has {scores.max():.4f}",
            where=str(reader.path),
            fix="a lower --min-score, or --keep-share 0.8",
        )
    images, texts = reader.pair_images, reader.pair_texts
    had = np.bincount(texts, minlength=reader.text_count) > 0
    has = np.bincount(texts[links], minlength=reader.text_count) > 0
    shown = np.bincount(images[links], minlength=reader.image_count) > 0
    bare = np.bincount(images, minlength=reader.image_count) == 0
    kept = np.ones_like(shown) if keep_pictures else shown
    return Filtered(
        Choice(np.where(kept, np.arange(len(kept)), NONE), has | ~had, links),
        threshold,
        pairs=int((~links).sum()),
        captions=int((had & ~has).sum()),
        pictures=int((~kept).sum()),
        bare=int((bare & ~kept).sum()),
    )


def score_tables(scores: Scores) -> list[Table]:
    """Quantiles, what several thresholds keep, and a histogram of bars.

    Raises:
        SourceError: there are no pairs.
    """
    _refuse_none(scores)
    quantiles = np.quantile(scores, [percent / 100 for percent in _QUANTILES])
    names = {0: "min", 50: "median", 100: "max"}
    rows = [(names.get(percent, f"{percent}%"), f"{value:.4f}") for percent, value in
            zip(_QUANTILES, quantiles.tolist(), strict=True)]  # fmt: skip
    return [
        Table(
            "分数的分位数 Quantiles of the scores",
            ("分位 quantile", "分数 score"),
            rows,
            f"{len(scores)} 对 pairs, 平均 mean {scores.mean(dtype=np.float64):.4f}",
        ),
        _thresholds(scores),
        _histogram(scores),
    ]


def worst_pairs(scores: Scores, count: int) -> Places:
    """int64 [<= count]: the pairs of the lowest scores, the lowest first, of equal ones the first."""
    return np.argsort(scores, kind="stable")[:count]


def pairs_around(scores: Scores, threshold: float, count: int) -> tuple[Places, Places]:
    """The pairs just under a threshold, nearest first, and those just over it, nearest first."""
    order = np.argsort(scores, kind="stable")
    place = int(np.searchsorted(scores[order], np.float32(threshold)))
    return order[max(0, place - count) : place][::-1], order[place : place + count]


def score_lines(
    reader: StoreReader, scores: Scores, image_ids: list[str], text_ids: list[str], threshold: float | None
) -> Iterator[str]:
    """Lines of a TSV: a header, then picture, caption, score and, with a threshold, whether the pair stays.

    Tabs and line ends in ids are written as `\\t` and `\\n`, backslashes twice.
    """
    yield "image_id\ttext_id\tscore" + ("" if threshold is None else "\tkept") + "\n"
    images, texts = reader.pair_images, reader.pair_texts
    for pair, score in enumerate(scores.tolist()):
        ids = f"{_plain(image_ids[images[pair]])}\t{_plain(text_ids[texts[pair]])}\t{score:.6f}"
        yield ids + ("" if threshold is None else f"\t{int(score >= np.float32(threshold))}") + "\n"


def _thresholds(scores: Scores) -> Table:
    """Round scores, and shares of the pairs, each with the other."""
    low, high = float(scores.min()), float(scores.max())
    step = next(step for step in (0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0)
                if not step or (high - low) / step >= 6)  # fmt: skip
    rounds = np.arange(np.ceil(low / step), high / step) * step if step else np.array([low])
    wanted = {round(float(value), 4) for value in rounds}
    rows = [(value, float((scores >= np.float32(value)).mean())) for value in sorted(wanted)]
    cells = [(f"--min-score {value:g}", f"{share:.1%}") for value, share in rows]
    for share in _SHARES:
        value = least_score(scores, share)
        cells.append((f"--keep-share {share:g}", f"≥ {value:.4f}"))
    title = "各阈值保留的对 What a threshold keeps"
    return Table(title, ("选项 option", "保留 keeps"), cells)


def _histogram(scores: Scores) -> Table:
    counts, edges = np.histogram(scores.astype(np.float64), bins=_BINS)
    tallest = max(1, int(counts.max()))
    rows = [
        (f"{low:.3f}", str(count), "█" * round(count / tallest * _BAR) or ("▏" if count else ""))
        for low, count in zip(edges[:-1].tolist(), counts.tolist(), strict=True)
    ]
    return Table("分数的分布 Distribution of the scores", ("从 from", "对 pairs", ""), rows)


def _plain(name: str) -> str:
    for character, escape in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        name = name.replace(character, escape)
    return name


def _refuse_none(scores: Scores) -> None:
    if not len(scores):
        raise SourceError(
            "the store has no pairs, so there is nothing to score", fix="give a store with captions"
        )
