"""An order that is computed, not stored: for each place of an epoch the number that stands there.

A place is written as two digits (left, right) to bases of about √N; sixteen times one digit is moved on by a
random function of the other (a Feistel network over unequal alphabets: Black and Rogaway 2002), which can be
undone and so is a permutation of all two-digit numbers. There are about √N more of these than N at most; a
number beyond N is permuted again until it falls below.
"""

from __future__ import annotations

from math import isqrt

import numpy as np

from cnclip.batches.randomness import Numbers, Words, counted, keys

_ROUNDS = 16  # even; with 8, some orders of 7 numbers came twice as often as others, with 16 none
_LONGEST = 1 << 62
_HALF = np.uint64(32)
_FACTORS = np.uint64(0xD6E8FEB86659FD93), np.uint64(0xFF51AFD7ED558CCD)


class Permutation:
    """Random permutations of 0 … length - 1, one for each epoch.

    Args:
        length: at least 1, at most 2^62.
        use: which use of randomness it serves.
        numbers: seed, store.
    """

    def __init__(self, length: int, use: int, *numbers: int) -> None:
        assert 1 <= length <= _LONGEST
        self.length = length
        self._left = 2 * (isqrt(length - 1) // 2 + 1)  # even: two odd bases give even permutations only
        self._right = -(-length // self._left)
        *self._keys, self._epoch_key = keys(_ROUNDS + 1, use, *numbers)

    def at(self, places: Numbers, epochs: Numbers) -> Numbers:
        """int64 [n]: the numbers at int64 [n] places, each of its own epoch."""
        tweaks = counted(epochs, self._epoch_key)
        found = self._permuted(places.astype(np.uint64), tweaks)
        limit = np.uint64(self.length)
        beyond = np.flatnonzero(found >= limit)
        while beyond.size:
            found[beyond] = self._permuted(found[beyond], tweaks[beyond])
            beyond = beyond[found[beyond] >= limit]
        return found.astype(np.int64)

    def _permuted(self, numbers: Words, tweaks: Words) -> Words:
        lefts, rights = np.uint64(self._left), np.uint64(self._right)
        left = numbers // rights
        right = numbers - left * rights
        for first, second in zip(self._keys[::2], self._keys[1::2], strict=True):
            left += _digits(right, tweaks, first, lefts)
            left -= lefts * (left >= lefts)
            right += _digits(left, tweaks, second, rights)
            right -= rights * (right >= rights)
        return left * rights + right


def _digits(digits: Words, tweaks: Words, key: np.uint64, limit: np.uint64) -> Words:
    """uint64 [n] below `limit`: a random function of digit, epoch and round."""
    words = ((digits + tweaks) ^ key) * _FACTORS[0]
    words ^= words >> _HALF
    words *= _FACTORS[1]
    return ((words >> _HALF) * limit) >> _HALF
