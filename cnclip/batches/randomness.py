"""Random numbers as functions of counters: of (use, seed, store, epoch, sample), and of nothing else."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

ORDER, CAPTION, AUGMENT, VIEW, MIX, WORDING = range(6)  # which use of randomness a number serves

_STRIDE = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: neighbouring counters become distant words
_FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)  # splitmix64's (Steele et al. 2014)


def generator(use: int, *numbers: int) -> np.random.Generator:
    """A generator that depends on its use (ORDER, CAPTION …) and the numbers, and on nothing else."""
    return np.random.default_rng([use, *numbers])


def keys(count: int, use: int, *numbers: int) -> Words:
    """uint64 [count]: independent keys for a use and its numbers."""
    return np.random.SeedSequence([use, *numbers]).generate_state(count, np.uint64).astype(np.uint64)


def scrambled(words: Words) -> Words:
    """uint64 [...]: a bijection in which every bit of the result depends on every bit of the word."""
    words = (words ^ (words >> np.uint64(30))) * _FACTORS[0]
    words = (words ^ (words >> np.uint64(27))) * _FACTORS[1]
    return words ^ (words >> np.uint64(31))


def counted(counters: Numbers, key: np.uint64) -> Words:
    """uint64 [...]: a random word for each counter."""
    return scrambled(counters.astype(np.uint64) * _STRIDE + key)


class Draws:
    """One random 64-bit word for every (epoch, number).

    Args:
        use: CAPTION, VIEW …
        numbers: seed, store.
    """

    def __init__(self, use: int, *numbers: int) -> None:
        self._keys = keys(2, use, *numbers)

    def words(self, epochs: Numbers, numbers: Numbers) -> Words:
        """uint64 [n] for int64 [n] epochs and numbers."""
        return scrambled(counted(epochs, self._keys[0]) ^ counted(numbers, self._keys[1]))


def below(words: Words, limits: Numbers) -> Numbers:
    """int64 [n]: from 0 to limit - 1, from the upper half of each word; limits are below 2^32."""
    return (((words >> np.uint64(32)) * limits.astype(np.uint64)) >> np.uint64(32)).astype(np.int64)


def share(words: Words) -> npt.NDArray[np.float64]:
    """float64 [n]: from 0 to 1, from the lower half of each word, so independent of `below`."""
    return (words & np.uint64(0xFFFFFFFF)).astype(np.float64) / 2.0**32
