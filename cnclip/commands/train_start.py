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
from cnclip.artifacts import read_manifest
from cnclip.commands.train_data import Data
from cnclip.config import TrainRecipe, read_yaml, recipe_text, recipe_values
from cnclip.errors import CheckpointError, RecipeError
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


def find_start(keeper: CheckpointKeeper, recipe: TrainRecipe, accelerator: Accelerator) -> Start:
    """The main process chooses and verifies; the others take the same checkpoint."""
    choice: list[str | None] = [None]
    if accelerator.is_main_process:
        newest = keeper.newest_good()
        choice = [None if newest is None else str(newest)]
    if accelerator.num_processes > 1:
        torch.distributed.broadcast_object_list(choice)
    if choice[0] is None:
        if recipe.resume == "must":
            raise CheckpointError("resume=must, but there is no checkpoint", where=str(keeper.folder))
        return Start(None, TrainerState())
    path = Path(choice[0])
    return Start(path, read_trainer(path)[0])


def refuse_change(recipe: TrainRecipe, data: Data, accelerator: Accelerator, start: Start) -> None:
    """A resumed run must be the run that was interrupted."""
    if start.path is None or recipe.allow_change:
        return
    old, new = read_yaml(start.path / "recipe.yaml"), recipe_values(recipe)
    for values in (old, new):
        for key in _FREE_TO_CHANGE:
            values.pop(key, None)
        values["data"].pop("workers")
    changes = changed_keys(old, new)
    facts = read_manifest(start.path).facts
    now = run_facts(recipe, data, accelerator)
    if facts["global_batch_size"] == now["global_batch_size"]:
        changes = [change for change in changes if not change.startswith("data.batch_size:")]
    changes += changed_keys({"data": facts["data"]}, {"data": now["data"]})
    if changes:
        raise RecipeError(
            f"this run began with other settings: {'; '.join(changes)}",
            where=str(start.path),
            fix="set them back, or another run=…, or begin again: resume=fresh, or allow_change=true",
        )
    inexact = [change for key in _EXACTNESS for change in changed_keys({key: facts[key]}, {key: now[key]})]
    if inexact and accelerator.is_main_process:
        print(f"note: resumed, but not bit for bit: {'; '.join(inexact)}", file=sys.stderr)


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
