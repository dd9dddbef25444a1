"""What was meant by an option, or by one of its listed values, that is not quite a known one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

from cnclip.errors import RecipeError, did_you_mean


def refuse_misspelt(function: Callable[..., int], words: Sequence[str], prog: str) -> None:
    """Name the option, or the value of one with a list of values, that a slip of the hand stands for.

    Args:
        function: whose parameters with a default are the options.
        words: the command line, options with underscores.
        prog: as the usage line names it.

    Raises:
        RecipeError: one that is near a known one; what is near none is left to the parser.
    """
    hints = get_type_hints(function)
    parameters = inspect.signature(function).parameters.values()
    kinds = {f"--{one.name}": hints[one.name] for one in parameters if one.default is not one.empty}
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if not word.startswith("--") or name == "--help":
            continue
        if not equals:
            value = next(iter(words[place + 1 :]), "")
        known = list(kinds) if name not in kinds else _listed(kinds[name])
        wrong = name if name not in kinds else value
        if wrong in known:
            continue
        if hint := did_you_mean(wrong, known).replace("_", "-" if wrong is name else "_"):
            said = name.replace("_", "-")
            what = f"no option {said}" if wrong is name else f"{said} {value}: there is no such"
            choice = "" if wrong is name else f"one of: {', '.join(known)}; "
            raise RecipeError(what, fix=f"{hint}{choice}{prog} --help shows every key")


def _listed(kind: Any) -> list[str]:
    """The words that a value may be; none where it may be anything."""
    return [str(word) for word in get_args(kind)] if get_origin(kind) is Literal else []
