"""Grades: limits are kept at their very border."""

from __future__ import annotations

import pytest

from cnclip.errors import RecipeError
from cnclip.stores.doctor import CheckupOptions, Finding, Limits
from cnclip.stores.doctor.findings import grade_of, part, sorted_findings


@pytest.mark.parametrize(
    ("share", "limit", "grade"),
    [
        (0.0, 0.0, None),
        (0.000001, 0.0, "error"),
        (0.5, 0.5, "warning"),
        (0.500001, 0.5, "error"),
        (0.050001, 0.5, "warning"),
        (0.05, 0.5, "note"),
        (1.0, 1.0, "warning"),
    ],
)
def test_grades_at_their_borders(share: float, limit: float, grade: str | None) -> None:
    assert grade_of(share, limit) == grade


def test_errors_come_first_and_the_rest_keeps_its_order() -> None:
    found = [Finding(grade, code, "", "", "", "") for grade, code in zip(  # type: ignore[arg-type]
        ("note", "warning", "error", "warning", "error"), "abcde", strict=True)]  # fmt: skip
    assert "".join(finding.code for finding in sorted_findings(found)) == "cebda"


@pytest.mark.parametrize("name", ["leakage", "near_leakage", "truncated", "blank"])
@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_a_limit_is_a_share(name: str, value: float) -> None:
    with pytest.raises(RecipeError, match=f"--max-{name.replace('_', '-')}"):
        Limits(**{name: value})


def test_false_negatives_per_row_may_be_many_but_not_below_none() -> None:
    assert Limits(false_negatives=100.0).false_negatives == 100
    with pytest.raises(RecipeError, match="--max-false-negatives"):
        Limits(false_negatives=-1.0)


@pytest.mark.parametrize(
    ("name", "value"), [("batch_size", 1), ("near", 13), ("near", -1), ("workers", 0), ("most", -1)]
)
def test_options_out_of_range_are_refused(name: str, value: int) -> None:
    with pytest.raises(RecipeError, match=str(value)):
        CheckupOptions(**{name: value})


def test_a_part_of_nothing_is_no_part() -> None:
    assert part(0, 0) == "0 / 0 (0.00%)"
    assert part(3, 200) == "3 / 200 (1.50%)"
