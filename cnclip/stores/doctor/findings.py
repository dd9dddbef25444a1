"""Numbers to findings: what is an error, a warning, a note, and what to do about it.

One rule for all measures that have a limit: above the limit an error, above a tenth of it a warning, above
nothing a note. What has no limit is a warning at most.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Literal

from cnclip.errors import RecipeError

Grade = Literal["error", "warning", "note"]
GRADES: tuple[Grade, ...] = ("error", "warning", "note")
WARNING_PART = 0.1  # of a limit


@dataclass(frozen=True)
class Limits:
    """Where data is too bad for training to start: shares above which a finding is an error.

    Attributes:
        undecodable: of pictures and captions that cannot be read.
        leakage: of a store's pictures that another store has too, with the same pixels.
        near_leakage: of a store's pictures that are near to one of another store; a likeness is no proof.
        truncated: of captions longer than the context.
        unknown: of [UNK] among the pieces.
        empty: of captions with nothing left after cleaning.
        blank: of pictures of nearly one colour.
        repeated: of a store's pictures that repeat the pixels of another one.
        false_negatives: no share, but the expected number of them that a row of a batch has.
    """

    undecodable: float = 0.0
    leakage: float = 0.01
    near_leakage: float = 0.05
    truncated: float = 0.5
    unknown: float = 0.1
    empty: float = 0.01
    blank: float = 0.1
    repeated: float = 0.5
    false_negatives: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            most = math.inf if field.name == "false_negatives" else 1
            if not 0 <= value <= most:
                name = f"--max-{field.name.replace('_', '-')}"
                raise RecipeError(f"{name} is {value:g}", fix=f"give a number from 0 to {most}")


@dataclass(frozen=True)
class Finding:
    """Something that a user should know before training.

    Attributes:
        grade: error = training should not start; warning = it will be worse for it; note = good to know.
        code: a short name that does not change.
        where: the store or stores.
        title: what was found, in both languages.
        measured: the numbers.
        advice: what to do, in both languages.
    """

    grade: Grade
    code: str
    where: str
    title: str
    measured: str
    advice: str


def grade_of(share: float, limit: float) -> Grade | None:
    """The grade of a measure that has a limit; None for nothing.

    Args:
        share: 0 and more.
        limit: with 0 whatever there is is an error.
    """
    if share <= 0:
        return None
    if share > limit:
        return "error"
    return "warning" if share > WARNING_PART * limit else "note"


def sorted_findings(findings: Sequence[Finding] | Iterator[Finding]) -> list[Finding]:
    """Errors first, otherwise in the order they came."""
    return sorted(findings, key=lambda finding: GRADES.index(finding.grade))


def part(count: int, total: int) -> str:
    """`3 / 200 (1.50%)`."""
    return f"{count} / {total} ({count / max(1, total):.2%})"
