"""Parts of a source by their numbers: how they are written, and which id falls into which."""

from __future__ import annotations

import pytest

from cnclip.errors import RecipeError
from cnclip.stores.raw.parts import Part


def test_the_deal_is_the_same_on_every_machine() -> None:
    assert [next(i for i in range(16) if Part(i, 16).has(name)) for name in ("1", "图片", "狗/一.jpg")] == [
        0,
        6,
        13,
    ]


FIXED = [0, 0, 0]


@pytest.mark.parametrize("text", ["", "3", "1-4", "x/4", "-1/4", "1/4/2", "一/四", "1.5/4"])
def test_a_part_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="--shard-of does not understand"):
        Part.parse(text)


@pytest.mark.parametrize("text", ["4/4", "16/4", "0/0"])
def test_parts_are_counted_from_zero(text: str) -> None:
    with pytest.raises(RecipeError, match="counted from 0"):
        Part.parse(text)
    assert Part.parse("3/4") == Part(3, 4)
