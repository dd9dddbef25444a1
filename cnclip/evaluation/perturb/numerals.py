"""The same number written otherwise: 两只狗, 2只狗, 二只狗, 贰只狗."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cnclip.evaluation.perturb.measures import Counted, count_word, find_counted, write_number


def digits(caption: str, rng: np.random.Generator) -> str | None:
    """Chinese numbers before measure words as Arabic ones; None where there are none."""
    del rng
    return _rewritten(caption, lambda counted: str(counted.value))


def characters(caption: str, rng: np.random.Generator) -> str | None:
    """Arabic numbers before measure words as Chinese ones, 2 as 两; None where there are none."""
    del rng

    def write(counted: Counted) -> str | None:
        return count_word(counted.value) if caption[counted.start].isdecimal() else None

    return _rewritten(caption, write)


def two(caption: str, rng: np.random.Generator) -> str | None:
    """两 before a measure word as 二, and 二 as 两; None where there is neither."""
    del rng
    other = {"两": "二", "二": "两"}
    return _rewritten(caption, lambda counted: other.get(caption[counted.start : counted.end]))


def formal(caption: str, rng: np.random.Generator) -> str | None:
    """Numbers before measure words as on cheques: 壹, 贰, 叁; None where there are none."""
    del rng
    return _rewritten(caption, lambda counted: write_number(counted.value, formal=True))


def _rewritten(caption: str, write: Callable[[Counted], str | None]) -> str | None:
    """Every number in its new form; None if that changes nothing."""
    text, place = "", 0
    for counted in find_counted(caption):
        number = write(counted)
        if number is not None:
            text += caption[place : counted.start] + number
            place = counted.end
    text += caption[place:]
    return text if text != caption else None
