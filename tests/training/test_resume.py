"""Checkpoints of a run: what is kept, what is passed over, what is refused."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cnclip.errors import CheckpointError, ResourceError
from cnclip.training.resume import CheckpointKeeper, RunLock, TrainerState, changed_keys, read_trainer


def commit(keeper: CheckpointKeeper, step: int, best_step: int = -1) -> Path:
    def write(folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(bytes([step % 256]) * 5000)

    tensors = {"exp_avg/w": torch.full((40,), float(step))}
    return keeper.commit(TrainerState(step=step, best_step=best_step), write, tensors, {"step": step})


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    keeper = CheckpointKeeper(tmp_path, keep_last=2)
    for step in (10, 20, 30, 40, 50):
        commit(keeper, step, best_step=20 if step >= 20 else -1)
    assert keeper.steps() == [20, 40, 50]
    newest = keeper.newest_good()
    assert newest == keeper.path(50)
    state, tensors = read_trainer(newest)
    assert state == TrainerState(step=50, best_step=20)
    assert torch.equal(tensors["exp_avg/w"], torch.full((40,), 50.0))


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keeper = CheckpointKeeper(tmp_path, keep_last=3)
    for step in (1, 2):
        commit(keeper, step)
    for name in ("model.safetensors", "trainer/optimizer.safetensors", "trainer/state.json", "MANIFEST.json"):
        file = keeper.path(2) / name
        good = file.read_bytes()
        for bit in range(0, len(good) * 8, max(1, len(good) * 8 // 97)):
            bad = bytearray(good)
            bad[bit // 8] ^= 1 << bit % 8
            file.write_bytes(bad)
            assert keeper.newest_good() == keeper.path(1)
            assert name in capsys.readouterr().err
        file.write_bytes(good)
    assert keeper.newest_good() == keeper.path(2)


def test_pruning_counts_no_newer_folder_and_spares_the_one_just_committed(tmp_path: Path) -> None:
    keeper = CheckpointKeeper(tmp_path, keep_last=3)
    for step in (10, 20, 30, 40):
        commit(keeper, step, best_step=10)
    for step in (30, 40):
        (keeper.path(step) / "model.safetensors").write_bytes(b"cut")
    keeper = CheckpointKeeper(tmp_path, keep_last=1)
    assert keeper.newest_good() == keeper.path(20)
    commit(keeper, 25, best_step=10)
    assert keeper.steps() == [10, 25, 30, 40]
    assert keeper.newest_good() == keeper.path(25)
    commit(keeper, 30, best_step=10)
    assert keeper.steps() == [10, 30, 40]
    assert keeper.newest_good() == keeper.path(30)


def test_only_damaged_checkpoints_are_an_error_and_never_a_fresh_start(tmp_path: Path) -> None:
    keeper = CheckpointKeeper(tmp_path, keep_last=1)
    (commit(keeper, 3) / "trainer" / "state.json").unlink()
    with pytest.raises(CheckpointError, match="damaged"):
        keeper.newest_good()


def test_a_step_can_be_committed_again(tmp_path: Path) -> None:
    keeper = CheckpointKeeper(tmp_path, keep_last=1)
    commit(keeper, 4)
    commit(keeper, 4)
    assert keeper.steps() == [4] and keeper.newest_good() == keeper.path(4)


def test_a_step_whose_folder_lost_its_manifest_can_be_committed_again(tmp_path: Path) -> None:
    keeper = CheckpointKeeper(tmp_path, keep_last=2)
    commit(keeper, 1)
    (commit(keeper, 2) / "MANIFEST.json").unlink()
    assert keeper.newest_good() == keeper.path(1)
    commit(keeper, 2)
    assert keeper.newest_good() == keeper.path(2)


def test_a_model_folder_without_training_state_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no training state"):
        read_trainer(tmp_path)


_TRAINING = """
import sys, time
from pathlib import Path
from cnclip.training.resume import RunLock
with RunLock(Path(sys.argv[1])):
    print("started", flush=True)
    time.sleep(60)
"""


def test_a_second_run_in_a_folder_is_refused_and_a_dead_ones_lock_is_taken_over(tmp_path: Path) -> None:
    folder = tmp_path / "运行"
    process = subprocess.Popen(
        [sys.executable, "-c", _TRAINING, str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "started\n"
        named = f"process {process.pid} on {socket.gethostname()} is training in this folder"
        with pytest.raises(ResourceError, match=named), RunLock(folder):
            pass
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    with RunLock(folder):
        assert [entry.name for entry in folder.iterdir()] == ["lock"]
    assert list(folder.iterdir()) == []


def test_changes_of_a_recipe_are_listed_by_key() -> None:
    old = {"a": 1, "b": {"c": 2, "d": [1]}, "e": None}
    new = {"a": 1, "b": {"c": 3, "d": [1]}, "f": 4}
    assert changed_keys(old, new) == ["b.c: 2 -> 3", "f: None -> 4"]
