"""Which pictures a few-shot method may see: K per class, drawn from a seed; 2 shots contain the 1.

Validation pictures for choosing settings are min(K, 4) per class, as in CoOp (Zhou et al. 2022, section 4.1).
They come from the other end of the same draw, so no number of shots ever trains on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cnclip.errors import RecipeError
from cnclip.evaluation.rows import Indices, Rows

VALID_SHOTS = 4
SAME_WITHIN = 1e-6  # of cosine 1: the noise of float32
_BLOCK_SCORES = 1 << 24
ALL_VALID_SHARE = 0.2  # of each class, where all pictures are shots


@dataclass(frozen=True)
class Shots:
    """One draw.

    Attributes:
        train: int64, places of the shots.
        valid: int64, places of the validation pictures; none of them is a shot.
        short: class number -> shots given, where there were fewer than asked for.
    """

    train: Indices
    valid: Indices
    short: dict[int, int]


def draw_shots(labels: Indices, shots: int | None, seed: int) -> Shots:
    """Draw K pictures of each class.

    A class of n pictures keeps min(4, n // 3) of them for validation, whatever K is; the rest can be shots.

    Args:
        labels: int64 [N], class numbers of the pictures to draw from.
        shots: K; None takes all, with a fifth of each class (at least those above) for validation.
        seed: of the draw; classes are drawn independently.

    Raises:
        RecipeError: K below 1.
    """
    if shots is not None and shots < 1:
        raise RecipeError(f"{shots} shots per class make no sense", fix="--shots 1,2,4,8,16")
    train: list[Indices] = []
    valid: list[Indices] = []
    short: dict[int, int] = {}
    for number, members in _shuffled(labels, seed):
        kept = min(VALID_SHOTS, len(members) // 3)
        if shots is None:
            kept = max(kept, int(ALL_VALID_SHARE * len(members)))
            train.append(members[: len(members) - kept])
            valid.append(members[len(members) - kept :])
            continue
        usable = members[: len(members) - kept]
        train.append(usable[:shots])
        valid.append(members[::-1][: min(kept, shots)])
        if len(usable) < shots:
            short[number] = len(usable)
    return Shots(_sorted(train), _sorted(valid), short)


def most_shots(labels: Indices) -> int:
    """The largest K at which some class still has K shots."""
    sizes = np.bincount(labels)
    return int(max(size - min(VALID_SHOTS, size // 3) for size in sizes.tolist()))


def split_off_test(labels: Indices, share: float, seed: int = 0) -> tuple[Indices, Indices]:
    """Part every class into pictures to draw shots from and pictures to test on.

    Args:
        labels: int64 [N], class numbers.
        share: of each class that goes to the test, above 0 and below 1; of two pictures and more at least one
            goes to either side, a single one is for the test.
        seed: of the draw.

    Returns:
        places of the pool and of the test, both ascending.

    Raises:
        RecipeError: another share.
    """
    if not 0 < share < 1:
        raise RecipeError(f"a test share of {share} leaves nothing on one side", fix="--test-share 0.5")
    pool: list[Indices] = []
    test: list[Indices] = []
    for _, members in _shuffled(labels, seed):
        count = min(max(1, round(share * len(members))), max(1, len(members) - 1))
        test.append(members[:count])
        pool.append(members[count:])
    return _sorted(pool), _sorted(test)


def same_pictures(pool: Rows, test: Rows, *, block_rows: int | None = None) -> int:
    """How many test pictures have practically the embedding of a picture that may be learned from.

    Args:
        pool, test: float32 [N, D] and [M, D], unit length.
        block_rows: test pictures compared at once; memory only. None takes as many as fit into 64 MiB.
    """
    found = 0
    block_rows = block_rows or max(1, _BLOCK_SCORES // max(1, len(pool)))
    for start in range(0, len(test), block_rows):
        cosines = test[start : start + block_rows] @ pool.T
        found += int((cosines.max(axis=1) > 1 - SAME_WITHIN).sum())
    return found


def _shuffled(labels: Indices, seed: int) -> Iterator[tuple[int, Indices]]:
    """Each class that has pictures, with its places in a random order of its own."""
    for number in np.unique(labels).tolist():
        members = np.flatnonzero(labels == number)
        yield number, np.random.default_rng([seed, number]).permutation(members)


def _sorted(parts: list[Indices]) -> Indices:
    return np.sort(np.concatenate(parts)) if parts else np.empty(0, dtype=np.int64)
