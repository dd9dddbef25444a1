"""Every error that a user can cause or meet: what happened, where, and what to do.

    CnclipError
    ├── RecipeError          2  a recipe or a command line is wrong
    ├── UnknownNameError     2  a name that is not in a list; the list is shown
    ├── SourceError          3  the user's data has bad rows or cannot be understood
    ├── ImageError           3  bytes that are not a picture we accept
    ├── StoreError           4  a store is damaged, unfinished or of another format
    ├── CheckpointError      4  a checkpoint is damaged or does not fit the model
    ├── ArtifactError        4  a finished folder differs from its manifest
    ├── ResourceError        5  disk, memory, permission, port, lock
    ├── PeerError            7  another process of the same run failed
    ├── RefusedError         8  refused for safety
    └── InterruptedRun      75  stopped on request; the same command goes on

The number is the exit code of the command line.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class CnclipError(Exception):
    """An error with a place and a remedy.

    Args:
        what: one sentence that names the offending value.
        where: `file:line`, a key, an id, a tensor name; None where the sentence says it all.
        fix: one command or one edit that mends it.
    """

    code: ClassVar[str] = "E100"
    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        lines = [self.what]
        if self.where is not None:
            lines.append(f"  at {self.where}")
        if self.fix is not None:
            lines.append(f"  fix: {self.fix}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the trip from a worker process: keyword-only arguments are lost by the default."""
        return (_rebuild, (type(self), self.what, self.where, self.fix))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean X? ` with the nearest of the known words; empty where none is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {near[0]}? " if near else ""


def _rebuild(kind: type[CnclipError], what: str, where: str | None, fix: str | None) -> CnclipError:
    return kind(what, where=where, fix=fix)


class RecipeError(CnclipError):
    code = "E200"
    exit_code = 2


class UnknownNameError(CnclipError):
    code = "E201"
    exit_code = 2


class SourceError(CnclipError):
    code = "E300"
    exit_code = 3


class ImageError(CnclipError):
    code = "E310"
    exit_code = 3


class StoreError(CnclipError):
    code = "E400"
    exit_code = 4


class CheckpointError(CnclipError):
    code = "E410"
    exit_code = 4


class ArtifactError(CnclipError):
    code = "E420"
    exit_code = 4


class ResourceError(CnclipError):
    code = "E500"
    exit_code = 5


class PeerError(CnclipError):
    code = "E700"
    exit_code = 7


class RefusedError(CnclipError):
    code = "E800"
    exit_code = 8


class InterruptedRun(CnclipError):
    code = "E750"
    exit_code = 75
