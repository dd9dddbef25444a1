"""Words of the `data` verbs as plain values: conditions, sizes, shares."""

from __future__ import annotations

import re

from cnclip.errors import RecipeError
from cnclip.stores.derived import check_shares

_UNITS = {"b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "tb": 1 << 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)", re.ASCII)
_UNLIMITED_BYTES = 1 << 50


def conditions(text: str | None) -> dict[str, str]:
    """`split=train,lang=zh` as column -> value.

    Raises:
        RecipeError: a part without "=".
    """
    parts = text.split(",") if text else []
    pairs = [part.partition("=") for part in parts]
    for part, (name, equals, _) in zip(parts, pairs, strict=True):
        if not equals or not name.strip():
            raise RecipeError(f"--where does not understand {part!r}", fix="--where split=train")
    return {name.strip(): value.strip() for name, _, value in pairs}


def shard_limits(text: str) -> tuple[int, int | None]:
    """(bytes, pictures or None) that one file of a store may hold: `512MB`, `4GB`, `10000images`.

    Raises:
        RecipeError: no number with a unit.
    """
    match = _SIZE.fullmatch(text.strip().lower())
    if match:
        number, unit = float(match[1]), match[2]
        if unit in _UNITS and number * _UNITS[unit] >= 1:
            return int(number * _UNITS[unit]), None
        if unit in ("image", "images") and number >= 1 and number == int(number):
            return _UNLIMITED_BYTES, int(number)
    raise RecipeError(
        f"--shard-size does not understand {text!r}", fix="--shard-size 512MB, 4GB or 10000images"
    )


def shares_of(text: str) -> list[float]:
    """`0.9,0.05,0.05` as numbers.

    Raises:
        RecipeError: no numbers, or their sum is not 1.
    """
    try:
        shares = [float(part) for part in text.split(",")]
    except ValueError:
        raise RecipeError(f"--shares does not understand {text!r}", fix="--shares 0.9,0.05,0.05") from None
    check_shares(shares)
    return shares


def part_names(count: int) -> list[str]:
    """What so many parts of a store are called where the user does not say."""
    known = {2: ["train", "valid"], 3: ["train", "valid", "test"]}
    return known.get(count, [f"part{number}" for number in range(1, count + 1)])
