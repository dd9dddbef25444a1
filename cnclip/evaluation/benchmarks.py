"""Benchmarks as data: what to fetch, how it becomes a store, how it is judged, what others have published.

One YAML file each, in `eval/benchmarks` of the repository or in a folder of one's own; the file is called
like the benchmark. What is not known for sure is `unknown` or left out, never guessed.
"""

from __future__ import annotations

import difflib
import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cnclip.errors import RecipeError, UnknownNameError
from cnclip.evaluation.strict_yaml import read_strictly

SHIPPED = Path(__file__).parents[2] / "eval" / "benchmarks"
METRICS = ("r1", "r5", "r10", "mean_recall")
Access = Literal["bundled", "direct", "ask", "by_hand"]
Directions = Literal["t2i", "both"]
Setting = Literal["zero-shot", "finetuned"]
_MAKES = ("cnclip", "data")
_PREPARES = ("python", "data_tools/")


@dataclass(frozen=True)
class Counts:
    """What the store must hold; None = not known for sure, and not checked."""

    pictures: int | None = None
    captions: int | None = None
    pairs: int | None = None


@dataclass(frozen=True)
class FetchedFile:
    """One file or folder to get: its name as it is distributed, and its address where it has one."""

    name: str
    address: str | None = None


@dataclass(frozen=True)
class Fetch:
    """Where the raw data comes from.

    Attributes:
        access: bundled with the repository, direct from an address, after asking somebody, or by hand.
        page: the official page.
        licence: or terms; `unknown` where nobody states them.
        files: what to put into the folder.
        ask: who must be asked, and for what.
        prepare: a command that makes the files; only of bundled data.
        note: what else one should know.
    """

    access: Access
    page: str
    licence: str
    files: tuple[FetchedFile, ...]
    ask: str | None = None
    prepare: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class Form:
    """One form in which the raw data may lie in its folder.

    Attributes:
        needs: names, perhaps with *, that must all be there.
        commands: what makes the store of it, with {data} and {store} for the two folders.
    """

    needs: tuple[str, ...]
    commands: tuple[str, ...]

    def fits(self, data: Path) -> bool:
        """Whether a folder holds all that is needed."""
        return all(next(data.glob(name), None) is not None for name in self.needs)


@dataclass(frozen=True)
class PublishedRow:
    """What others have published of one model.

    Attributes:
        model: its official name.
        setting: before or after training on the benchmark's train split.
        source: key of the benchmark's sources.
        t2i, i2t: r1, r5, r10, mean_recall -> percent.
    """

    model: str
    setting: Setting
    source: str
    t2i: dict[str, float] = field(default_factory=dict)
    i2t: dict[str, float] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return f"{self.model} {self.setting}"


@dataclass(frozen=True)
class Benchmark:
    """One benchmark.

    Attributes:
        name: as commands take it, and the name of its file.
        title: for people.
        split: which part is judged.
        protocol: text to image only, or both ways.
        fetch: where the data comes from.
        forms: how it becomes a store; the first one that fits is taken.
        counts: what the store must hold.
        tolerance_points: percentage points by which a reproduced number may differ from the published one.
        sources: key -> where rows were published.
        published: the rows.
    """

    name: str
    title: str
    split: str
    protocol: Directions
    fetch: Fetch
    forms: tuple[Form, ...]
    counts: Counts = field(default_factory=Counts)
    tolerance_points: float = 0.5
    sources: dict[str, str] = field(default_factory=dict)
    published: tuple[PublishedRow, ...] = ()

    @property
    def default_data(self) -> Path:
        """Where the raw data is looked for."""
        return Path("datasets") / self.name

    @property
    def default_store(self) -> Path:
        """Where the store is made."""
        known = self.name.endswith(f"-{self.split}")
        return Path("stores") / (self.name if known else f"{self.name}-{self.split}")

    def form_in(self, data: Path) -> Form | None:
        """The first form that the raw data in a folder has."""
        return next((form for form in self.forms if form.fits(data)), None)


def command_words(command: str, *, data: Path, store: Path) -> list[str]:
    """A command of a benchmark as words, with its folders filled in; paths may hold spaces."""
    return [word.replace("{data}", str(data)).replace("{store}", str(store)) for word in shlex.split(command)]


def read_benchmark(path: Path) -> Benchmark:
    """The benchmark that a YAML file describes.

    Raises:
        RecipeError: names the file and the key.
    """
    found = read_strictly(Benchmark, path)
    if found.name != path.stem:
        raise RecipeError(
            f"the name {found.name!r} is not that of the file", where=f"{path}:name", fix="make them equal"
        )
    if not 0 <= found.tolerance_points < math.inf:
        raise RecipeError("must be 0 or more", where=f"{path}:tolerance_points")
    _check_filled(found.fetch.files, f"{path}:fetch.files")
    _check_filled(found.forms, f"{path}:forms")
    for place, form in enumerate(found.forms):
        _check_filled(form.needs, f"{path}:forms[{place}].needs")
        _check_filled(form.commands, f"{path}:forms[{place}].commands")
        for number, command in enumerate(form.commands):
            _check_command(command, _MAKES, f"{path}:forms[{place}].commands[{number}]")
    if found.fetch.prepare is not None:
        _check_command(found.fetch.prepare, _PREPARES, f"{path}:fetch.prepare")
    for place, row in enumerate(found.published):
        _check_row(row, found, f"{path}:published[{place}]")
    return found


def read_benchmarks(folder: Path | None = None) -> dict[str, Benchmark]:
    """Name -> benchmark, of all files of a folder.

    Args:
        folder: of YAML files; None = eval/benchmarks of the repository that this package lies in.

    Raises:
        RecipeError: no such folder (an installed wheel has none), or a file that is not right.
    """
    place = SHIPPED if folder is None else folder
    paths = sorted(place.glob("*.yaml"))
    if not paths:
        raise RecipeError(
            f"no benchmarks (*.yaml) in {place}",
            fix="--benchmarks FOLDER: eval/benchmarks of the repository, which pip does not install",
        )
    return {path.stem: read_benchmark(path) for path in paths}


def find_benchmark(name: str, folder: Path | None = None) -> Benchmark:
    """The benchmark of that name, in any case of letters.

    Raises:
        UnknownNameError: there is none; the message lists them.
        RecipeError: see read_benchmarks.
    """
    known = read_benchmarks(folder)
    if name.lower() in known:
        return known[name.lower()]
    near = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UnknownNameError(f"no benchmark {name!r}", fix=f"{hint}one of: {', '.join(known)}")


def _check_filled(values: Sequence[object], where: str) -> None:
    if not values:
        raise RecipeError(f"{where.rpartition(':')[2]} is empty", where=where, fix="name at least one")


def _check_command(command: str, start: tuple[str, str], where: str) -> None:
    """A benchmark runs nothing but verbs of `data`, and one program of data_tools/ that unpacks."""
    try:
        words = [*shlex.split(command), "", ""]
    except ValueError:  # a quote that does not end
        words = ["", ""]
    if words[0] != start[0] or not words[1].startswith(start[1]):
        raise RecipeError(
            f"not a command that a benchmark may run: {command}",
            where=where,
            fix="cnclip data VERB …" if start == _MAKES else "python data_tools/NAME.py …",
        )


def _check_row(row: PublishedRow, benchmark: Benchmark, where: str) -> None:
    if row.source not in benchmark.sources:
        raise RecipeError(f"no source {row.source!r} among `sources`", where=f"{where}.source")
    for direction, scores in {"t2i": row.t2i, "i2t": row.i2t}.items():
        for name, value in scores.items():
            if name not in METRICS or not 0 <= value <= 100:
                raise RecipeError(
                    f"must be one of {', '.join(METRICS)} with a percentage, not {name}: {value}",
                    where=f"{where}.{direction}.{name}",
                )
    if not row.t2i and not row.i2t:
        raise RecipeError("a row without numbers", where=where)
