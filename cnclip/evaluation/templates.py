"""Template sets by name, or from any file: sentences with `{}` where the class name goes."""

from __future__ import annotations

import difflib
from pathlib import Path

from cnclip.errors import UnknownNameError
from cnclip.evaluation.classes import read_templates

SHIPPED = Path(__file__).parents[2] / "eval" / "templates"
BARE = "bare"


def template_names() -> list[str]:
    """The names that can be given: `bare`, and the sets that ship with the repository."""
    return [BARE, *sorted(path.stem for path in SHIPPED.glob("*.txt"))]


def load_templates(name_or_file: str) -> list[str]:
    """The sentences of a shipped set or of a text file; repeated lines stay repeated.

    Args:
        name_or_file: `bare` is the class name alone; a name of `template_names`; or a path.

    Raises:
        UnknownNameError: neither a set nor a file; the message lists the sets.
        SourceError: the file is empty or has a line without `{}`.
    """
    if name_or_file == BARE:
        return ["{}"]
    path = Path(name_or_file)
    if path.is_file() or path.suffix == ".txt":
        return read_templates(path)
    known = template_names()
    if name_or_file in known:
        return read_templates(SHIPPED / f"{name_or_file}.txt")
    near = difflib.get_close_matches(name_or_file, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    places = "" if len(known) > 1 else "; the sets lie in eval/templates of the repository, give a file"
    raise UnknownNameError(
        f"no template set or file {name_or_file!r}", fix=f"{hint}one of: {', '.join(known)}{places}"
    )
