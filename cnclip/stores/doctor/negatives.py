"""False negatives: pairs of a batch that share a caption or a picture, and yet are told apart by the loss.

A batch is B of N pairs, drawn without replacement, as an epoch's shuffled order does. Pair i has d(i) mates:
other pairs with the same caption or the same picture. Both numbers below are exact, not estimates:

* two places of the batch hold a given two of the pairs with chance 1 / C(N, 2), so the expected number of
  false negatives is  C(B, 2) · P / C(N, 2)  unordered, where P = sum d(i) / 2 counts the pairs of pairs that
  share; each of them is two cells of the B x B matrix of similarities (ordered = 2 x unordered);
* none of d mates is among the other B - 1 with chance  C(N - B, d) / C(N - 1, d), so the expected share of
  the batch's rows with at least one is the mean over i of  1 - C(N - B, d(i)) / C(N - 1, d(i)).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Keys = npt.NDArray[Any]


@dataclass(frozen=True)
class BatchOutlook:
    """What to expect of a batch.

    Attributes:
        batch_size: pairs of the global batch, B.
        false_negatives: expected number of unordered pairs of its rows that share a caption or a picture.
        rows_share: expected share of its rows that have at least one.
    """

    batch_size: int
    false_negatives: float
    rows_share: float

    @property
    def ordered(self) -> float:
        """Expected number of false negatives in one B x B matrix of similarities."""
        return 2 * self.false_negatives

    @property
    def per_row(self) -> float:
        """Expected number of false negatives of one row."""
        return self.ordered / self.batch_size


def count_mates(caption_keys: Keys, picture_keys: Keys) -> Counts:
    """For each pair the number of other pairs with the same caption or the same picture.

    Args:
        caption_keys, picture_keys: of each pair, [N]; equal keys mean the same.

    Returns:
        int64 [N]: (pairs of its caption) + (pairs of its picture) - (pairs of both) - 1.
    """
    captions, of_caption = _numbered(caption_keys)
    pictures, of_picture = _numbered(picture_keys)
    _, of_both = _numbered(captions * (int(pictures.max(initial=0)) + 1) + pictures)
    return of_caption + of_picture - of_both - 1


def batch_outlook(mates: Counts, batch_size: int) -> BatchOutlook:
    """The two expectations for batches of `batch_size`.

    Args:
        mates: int64 [N], see count_mates.
        batch_size: B, 1 to N.
    """
    pairs = len(mates)
    assert 1 <= batch_size <= pairs
    if pairs == 1:
        return BatchOutlook(1, 0.0, 0.0)
    sharing = int(mates.sum()) // 2
    expected = sharing * (batch_size * (batch_size - 1)) / (pairs * (pairs - 1))
    numbers, counts = np.unique(mates, return_counts=True)
    alone = _chance_of_none(pairs, batch_size, int(numbers[-1]))[numbers]
    return BatchOutlook(batch_size, expected, float(np.clip((counts * (1 - alone)).sum() / pairs, 0, 1)))


def largest_batch(mates: Counts, rows_share: float) -> int:
    """The largest B of whose rows at most `rows_share` have a false negative, on average; at least 1."""
    low, high = 1, max(1, len(mates))
    while low < high:
        middle = (low + high + 1) // 2
        if batch_outlook(mates, middle).rows_share <= rows_share:
            low = middle
        else:
            high = middle - 1
    return low


def _chance_of_none(pairs: int, batch_size: int, most: int) -> npt.NDArray[np.float64]:
    """C(N - B, d) / C(N - 1, d) for d = 0 … most, as products of (N - B - k) / (N - 1 - k)."""
    steps = np.arange(most)
    factors = np.maximum(pairs - batch_size - steps, 0) / (pairs - 1 - steps)
    return np.concatenate(([1.0], np.cumprod(factors)))


def _numbered(keys: Keys) -> tuple[Counts, Counts]:
    """For each key its number, and how often it occurs."""
    _, numbers, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return numbers.astype(np.int64), counts[numbers].astype(np.int64)
