"""Checkpoints of a run: committed atomically, verified before use, pruned after their successor is safe."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from cnclip.artifacts import (
    MANIFEST_NAME,
    atomic_dir,
    read_json,
    remove_dir,
    sweep,
    verify_dir,
    write_json,
)
from cnclip.errors import ArtifactError, CheckpointError
from cnclip.locks import FileLock

_PREFIX = "step-"
TRAINER_STATE = "trainer/state.json"
TRAINER_OPTIMIZER = "trainer/optimizer.safetensors"


@dataclass(frozen=True)
class TrainerState:
    """All that a run must remember besides tensors: everything else follows from the recipe and `step`.

    Attributes:
        step: optimizer steps done.
        best_step: step of the best validation so far, -1 before the first.
        best_value: its mean recall in percent, -1 before the first.
        scaler: loss scale and growth counter (fp16 only).
        skipped_in_a_row: steps without an update since the last good one (fp16 only).
    """

    step: int = 0
    best_step: int = -1
    best_value: float = -1.0
    scaler: dict[str, float] = dataclasses.field(default_factory=dict)
    skipped_in_a_row: int = 0


class CheckpointKeeper:
    """The checkpoint folders of one run: `step-000000120`, each a model folder with a `trainer/` inside.

    Args:
        folder: where they lie.
        keep_last: how many of the newest stay; the best one always stays.
    """

    def __init__(self, folder: Path, *, keep_last: int) -> None:
        self.folder = folder
        self.keep_last = max(1, keep_last)

    def path(self, step: int) -> Path:
        """Folder of the checkpoint after `step` optimizer steps."""
        return self.folder / f"{_PREFIX}{step:09d}"

    def steps(self) -> list[int]:
        """Steps with a committed checkpoint, ascending."""
        found = (
            entry.name.removeprefix(_PREFIX) for entry in self.folder.glob(_PREFIX + "*") if entry.is_dir()
        )
        return sorted(int(digits) for digits in found if digits.isdigit())

    def commit(
        self,
        state: TrainerState,
        write: Callable[[Path], None],
        optimizer: Mapping[str, Tensor],
        facts: dict[str, Any],
    ) -> Path:
        """Write one checkpoint under its final name, then remove those that are no longer kept.

        Args:
            state: what to remember.
            write: puts the model's files into a folder.
            optimizer: tensors by name.
            facts: JSON values for the manifest.
        """
        target = self.path(state.step)
        if target.is_dir() and not (target / MANIFEST_NAME).is_file():
            remove_dir(target)  # damaged beyond use: nothing says what its files should be
        with atomic_dir(target, facts=facts, replace=True) as temporary:
            write(temporary)
            (temporary / "trainer").mkdir()
            save_file(dict(optimizer), temporary / TRAINER_OPTIMIZER)
            write_json(temporary / TRAINER_STATE, dataclasses.asdict(state))
        self._prune(state)
        return target

    def newest_good(self) -> Path | None:
        """The newest checkpoint whose files match their manifest; damaged ones are named and passed over.

        Raises:
            CheckpointError: there are checkpoints, but every one is damaged.
        """
        sweep(self.folder)
        steps = self.steps()
        for step in reversed(steps):
            try:
                verify_dir(self.path(step))
            except ArtifactError as error:
                print(f"warning: {self.path(step).name} is damaged and passed over: {error}", file=sys.stderr)
                continue
            return self.path(step)
        if steps:
            raise CheckpointError(
                f"all {len(steps)} checkpoints are damaged",
                where=str(self.folder),
                fix="start again: resume=fresh",
            )
        return None

    def _prune(self, state: TrainerState) -> None:
        """Newer folders do not count: they are damaged ones, which the run passed over when it began."""
        committed = [step for step in self.steps() if step <= state.step]
        for step in committed[: -self.keep_last]:
            if step != state.best_step:
                remove_dir(self.path(step))


def read_trainer(path: Path) -> tuple[TrainerState, dict[str, Tensor]]:
    """State and optimizer tensors of a checkpoint.

    Raises:
        CheckpointError: the folder is a model without a training state, or has other fields.
    """
    if not (path / TRAINER_STATE).is_file():
        raise CheckpointError(
            "this folder holds a model but no training state",
            where=str(path),
            fix="model.checkpoint=… starts from it",
        )
    try:
        state = TrainerState(**read_json(path / TRAINER_STATE))
    except TypeError as error:
        raise CheckpointError(f"the training state has other fields: {error}", where=str(path)) from None
    return state, load_file(path / TRAINER_OPTIMIZER)


class RunLock:
    """One run folder, one run: a second process that enters is refused; a dead owner's lock is taken over.

    Args:
        folder: of the run; made if missing.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = FileLock(
            folder / "lock",
            where=folder,
            busy="is training in this folder",
            fix="wait for it, or choose another run=…",
        )

    def __enter__(self) -> RunLock:
        self._lock.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.__exit__()


def changed_keys(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """`key: old -> new` for every value that differs between two resolved recipes."""
    changes = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            changes += changed_keys(before, after, f"{prefix}{key}.")
        elif before != after:
            changes.append(f"{prefix}{key}: {before} -> {after}")
    return changes
