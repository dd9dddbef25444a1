"""Where a run begins: a new one, the newest good checkpoint of an earlier one, or not at all."""

from __future__ import annotations

import hashlib
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from cnclip import __version__
from cnclip.artifacts import MANIFEST_NAME, read_manifest
from cnclip.commands.train_data import Data
from cnclip.config import TrainRecipe, read_yaml, recipe_text, recipe_values
from cnclip.errors import CheckpointError, RecipeError
from cnclip.training.peers import Peers
from cnclip.training.resume import CheckpointKeeper, TrainerState, changed_keys, read_trainer

_EXACTNESS = ("processes", "threads", "versions")  # what the last bits of a sum depend on
_FREE_TO_CHANGE = ("output", "run", "resume", "allow_change", "log_every_steps", "threads")


@dataclass(frozen=True)
class Start:
    """Where a run begins: `path` is the checkpoint to go on from, None for a new run."""

    path: Path | None
    state: TrainerState


def move_aside(run_folder: Path, recipe: TrainRecipe) -> None:
    """resume=fresh: an earlier run keeps its files under another name."""
    if recipe.resume == "fresh" and (run_folder / "checkpoints").exists():
        number = 1
        while (aside := run_folder.with_name(f"{run_folder.name}.before-{number}")).exists():
            number += 1
        aside.mkdir()
        for entry in list(run_folder.iterdir()):
            if entry.name != "lock":
                entry.rename(aside / entry.name)


def refuse_nested(output: Path, run_folder: Path) -> None:
    """The published folder replaces what has its name, so it must not hold the run, nor lie in it."""
    published, run = output.resolve(), run_folder.resolve()
    if published == run or published in run.parents or run in published.parents:
        raise RecipeError(
            f"output={output} and run={run_folder} lie in each other",
            fix="output=checkpoints/NAME run=runs/NAME, for example",
        )
    if published.is_dir() and any(published.iterdir()) and not (published / MANIFEST_NAME).is_file():
        raise RecipeError(
            f"output={output} is a folder with other things in it",
            fix="name a new folder: output=checkpoints/NAME",
        )


def find_start(keeper: CheckpointKeeper, recipe: TrainRecipe, peers: Peers, *, is_main: bool) -> Start:
    """The main process chooses and verifies; the others take the same checkpoint."""
    newest = keeper.newest_good() if is_main else None
    choice = peers.from_main(None if newest is None else str(newest))
    if choice is None:
        if recipe.resume == "must":
            raise CheckpointError(
                "resume=must, but there is no checkpoint",
                where=str(keeper.folder),
                fix="resume=auto starts a new run",
            )
        return Start(None, TrainerState())
    path = Path(choice)
    return Start(path, read_trainer(path)[0])


def refuse_change(recipe: TrainRecipe, start: Start, *, global_batch_size: int) -> None:
    """A resumed run must have the recipe of the run that was interrupted."""
    if start.path is None or recipe.allow_change:
        return
    old, new = read_yaml(start.path / "recipe.yaml"), recipe_values(recipe)
    for values in (old, new):
        for key in _FREE_TO_CHANGE:
            values.pop(key, None)
        values["data"].pop("workers")
    changes = changed_keys(old, new)
    if read_manifest(start.path).facts["global_batch_size"] == global_batch_size:
        changes = [change for change in changes if not change.startswith("data.batch_size:")]
    _refuse(changes, start.path)


def refuse_other_data(recipe: TrainRecipe, start: Start, now: dict[str, Any], *, is_main: bool) -> None:
    """A resumed run must read the same data; what only costs the last bits is said."""
    if start.path is None:
        return
    facts = read_manifest(start.path).facts
    if not recipe.allow_change:
        _refuse(changed_keys({"data": facts["data"]}, {"data": now["data"]}), start.path)
    inexact = [change for key in _EXACTNESS for change in changed_keys({key: facts[key]}, {key: now[key]})]
    if inexact and is_main:
        print(f"note: resumed, but not bit for bit: {'; '.join(inexact)}", file=sys.stderr)


def _refuse(changes: list[str], path: Path) -> None:
    if changes:
        raise RecipeError(
            f"this run began with other settings: {'; '.join(changes)}",
            where=str(path),
            fix="set them back, or another run=…, or begin again: resume=fresh, or allow_change=true",
        )


def run_facts(recipe: TrainRecipe, data: Data, accelerator: Accelerator) -> dict[str, Any]:
    """JSON values for the manifest of every checkpoint of this run."""
    return {
        "kind": "cnclip checkpoint",
        "global_batch_size": recipe.data.batch_size * accelerator.num_processes,
        "processes": accelerator.num_processes,
        "data": data.fingerprint,
        "recipe_sha256": hashlib.sha256(recipe_text(recipe).encode()).hexdigest(),
        "threads": torch.get_num_threads(),
        "versions": {"cnclip": __version__, "torch": torch.__version__, "python": platform.python_version()},
    }
