"""What characters say about a caption."""

from __future__ import annotations

import pytest

from cnclip.stores.doctor.scripts import (
    CHINESE,
    CHINESE_AND_OTHER,
    CHINESE_MARKS,
    FULL_WIDTH,
    HALF_WIDTH,
    HALF_WIDTH_MARKS,
    LATIN,
    NO_LETTERS,
    OTHER,
    SIMPLIFIED,
    TRADITIONAL,
    language_of,
    scripts_of,
    widths_of,
)


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("一只可爱的猫", SIMPLIFIED),
        ("一隻可愛的貓", TRADITIONAL),
        ("红色的圓", SIMPLIFIED | TRADITIONAL),
        ("小山上", 0),
        ("red 🐼 ，。", 0),
        ("", 0),
    ],
)
def test_simplified_and_traditional(caption: str, expected: int) -> None:
    assert scripts_of(caption) == expected


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("２０２６年", FULL_WIDTH),
        ("2026年", HALF_WIDTH),
        ("ＡB", FULL_WIDTH | HALF_WIDTH),
        ("猫，狗。", CHINESE_MARKS),
        ("猫,狗", HALF_WIDTH_MARKS),
        ("猫,狗。", HALF_WIDTH_MARKS | CHINESE_MARKS),
        ("1,000", HALF_WIDTH),
        ("猫狗", 0),
    ],
)
def test_full_and_half_width(caption: str, expected: int) -> None:
    assert widths_of(caption) == expected


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("一只猫，2026", CHINESE),
        ("穿T恤的人", CHINESE_AND_OTHER),
        ("a café", LATIN),
        ("кошка", OTHER),
        ("ねこ", OTHER),
        ("2026 🐼!", NO_LETTERS),
        ("𠮷", CHINESE),
    ],
)
def test_languages(caption: str, expected: int) -> None:
    assert language_of(caption) == expected
