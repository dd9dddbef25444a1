"""A benchmark's store: found, or made of the raw data, or said what to fetch and where to put it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cnclip.commands.verbs import VERBS
from cnclip.errors import RecipeError, SourceError, UnknownNameError
from cnclip.evaluation.benchmarks import SHIPPED, Benchmark, command_words, find_benchmark
from cnclip.evaluation.processes import Processes
from cnclip.evaluation.published import check_counts
from cnclip.stores.reader import StoreReader

State = Literal["store", "raw", "missing"]
SHOWN_STATES: dict[State, str] = {
    "store": "库已建 store is made",
    "raw": "可建库 raw data is there",
    "missing": "缺 missing",
}
_ROOT = SHIPPED.parents[1]


@dataclass(frozen=True)
class BenchmarkPlace:
    """A benchmark and its two folders.

    Attributes:
        benchmark: what it is.
        data: folder of the raw data.
        store: the store that is made of it.
    """

    benchmark: Benchmark
    data: Path
    store: Path

    @property
    def state(self) -> State:
        """What there is."""
        if (self.store / "header.json").is_file():
            return "store"
        raw = self.benchmark.form_in(self.data) is not None or self._script() is not None
        return "raw" if raw else "missing"

    def instructions(self) -> str:
        """What to fetch, from whom, and where to put it."""
        fetch = self.benchmark.fetch
        width = max(len(file.name) for file in fetch.files)
        lines = [f"put into {self.data}/ :"]
        lines += [f"  {file.name:<{width}}  {file.address or ''}".rstrip() for file in fetch.files]
        lines += [f"ask for: {fetch.ask}"] if fetch.ask else []
        lines += [f"official page: {fetch.page}", f"licence or terms: {fetch.licence}"]
        lines += [f"note: {fetch.note}"] if fetch.note else []
        if fetch.prepare is not None:
            lines.append(
                f"they are made by: {_shown(self._words(fetch.prepare))} (in a clone of the repository)"
            )
        commands = [_shown(self._words(command)) for command in self.benchmark.forms[0].commands]
        lines += [
            "the store is then made by the same command, or by hand:",
            *(f"  {line}" for line in commands),
        ]
        return "\n".join(lines)

    def make(self) -> None:
        """Make the store of the raw data.

        Raises:
            SourceError: the raw data is not there, or cannot be read; the first says what to put where.
            RecipeError: a command of the benchmark is none.
            ResourceError: disk full or no permission.
        """
        form = self.benchmark.form_in(self.data)
        if form is None and (script := self._script()) is not None:
            self._prepare(script)
            form = self.benchmark.form_in(self.data)
        if form is None:
            raise SourceError(
                f"the data of {self.benchmark.name} is not here",
                where=str(self.data),
                fix=self.instructions(),
            )
        for command in form.commands:
            words = self._words(command)
            print(f"$ {_shown(words)}", flush=True)
            verb = " ".join(words[1:3])
            if verb not in VERBS:
                known = ", ".join(name for name in VERBS if name.startswith("data "))
                raise RecipeError(
                    f"the benchmark {self.benchmark.name} asks for {verb!r}, which is no command",
                    where=_shown(words),
                    fix=f"mend its file; one of: {known}",
                )
            if code := VERBS[verb][1](words[3:]):
                raise SourceError(
                    f"{' '.join(words[:3])} ended with code {code}", where=str(self.data), fix=_shown(words)
                )

    def _prepare(self, script: Path) -> None:
        """Unpack the data that the repository brings along."""
        words = self._words(self.benchmark.fetch.prepare or "")
        done = subprocess.run(
            [sys.executable, str(script), *words[2:]],
            check=False,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
            raise SourceError(
                f"{script.name} ended with code {done.returncode}: {last}",
                where=str(self.data),
                fix=_shown(words),
            )

    def _words(self, command: str) -> list[str]:
        return command_words(command, data=self.data, store=self.store)

    def _script(self) -> Path | None:
        """The program that unpacks bundled data; None where there is none, as in an installed wheel."""
        prepare = self.benchmark.fetch.prepare
        if prepare is None:
            return None
        script = (_ROOT / self._words(prepare)[1]).resolve()
        return script if script.is_file() and script.parent == (_ROOT / "data_tools").resolve() else None


def place_of(benchmark: Benchmark, data: Path | None = None, store: Path | None = None) -> BenchmarkPlace:
    """Where a benchmark's raw data and its store are looked for: datasets/NAME, in any case of letters."""
    if data is None:
        data = benchmark.default_data
        if not data.is_dir() and data.parent.is_dir():
            same = (entry for entry in data.parent.iterdir() if entry.name.lower() == benchmark.name)
            data = next(same, data)
    return BenchmarkPlace(benchmark, data, store or benchmark.default_store)


def ready_store(place: BenchmarkPlace, processes: Processes) -> StoreReader:
    """The benchmark's store, made where it is missing, its counts checked.

    Raises:
        SourceError: the raw data is not there; says what to put where.
        StoreError: another number of pictures or captions than the benchmark has.
    """
    found = place.state == "store"
    with processes.main_first():
        if place.state != "store":
            place.make()
    reader = StoreReader(place.store)
    check_counts(place.benchmark, reader, _remedy(place, found=found))
    return reader


def resolve_benchmark(data: Path, processes: Processes | None = None) -> Path:
    """The store that is meant: a path that exists is itself, a benchmark's name its store, made if need be.

    Args:
        data: a path, or a name such as muge.
        processes: all of them call this; None = this one alone.

    Raises:
        SourceError: the benchmark's raw data is not there; says what to put where.
        StoreError: the store is not the benchmark's.
        RecipeError: a benchmark's file is not right.
    """
    if data.exists() or len(data.parts) != 1 or not SHIPPED.is_dir():
        return data
    try:
        benchmark = find_benchmark(str(data))
    except UnknownNameError:
        return data
    reader = ready_store(place_of(benchmark), processes or Processes())
    reader.close()
    return reader.path


def _remedy(place: BenchmarkPlace, *, found: bool) -> str:
    """What to do about a store of another size; only one that was made just now is said to be removed."""
    if not found:
        return f"see whether the download is whole, remove {place.store}, and run the same command again"
    if place.store != place.benchmark.default_store:
        return "is this the right --store?"
    return (
        f"if {place.store} was made of a download that was not whole, move it away and run the same command"
        " again: it is made anew"
    )


def _shown(words: list[str]) -> str:
    return " ".join(f'"{word}"' if " " in word or "*" in word else word for word in words)
