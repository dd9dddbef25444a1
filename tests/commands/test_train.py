"""The training program, run for real on tiny stores: both stages, exact resume, and what it refuses."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cnclip import load_from_name
from cnclip.commands import main
from cnclip.commands.train import train
from cnclip.config import TrainRecipe, read_recipe
from cnclip.errors import CheckpointError, CnclipError, RecipeError
from cnclip.training.monitor import read_metrics

TIMES = {"pairs_per_second"}
TINY = [
    "model.embed_dim=16",
    "model.text.hidden=32",
    "model.text.layers=2",
    "model.text.heads=2",
    "model.text.intermediate=64",
    "data.batch_size=6",
    "data.workers=0",
    "optimizer.lr=2e-3",
    "optimizer.weight_decay=0.05",
    "threads=1",
    "log_every_steps=1",
    "saving.every_steps=5",
]
RESNET = [
    "model.image.kind=resnet",
    "model.image.width=4",
    "model.image.layers=[1,1,1,1]",
    "model.image.resolution=32",
]
VIT = [
    "model.image.kind=vit",
    "model.image.width=32",
    "model.image.layers=[2]",
    "model.image.heads=2",
    "model.image.patch_size=8",
    "model.image.resolution=32",
]
RESNET_HEADS = ["model.image.heads=2"]


def words(store: Path, folder: Path, name: str, *changes: str) -> list[str]:
    return [
        f"output={folder}/{name}",
        f"run={folder}/runs/{name}",
        f"data.train={store}",
        *TINY,
        *changes,
    ]


def recipe(store: Path, folder: Path, name: str, *changes: str) -> TrainRecipe:
    return read_recipe(TrainRecipe, words(store, folder, name, *changes))


def curve(folder: Path, name: str) -> list[dict[str, Any]]:
    rows = read_metrics(folder / "runs" / name / "metrics.jsonl")
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


def weights(folder: Path, name: str) -> dict[str, torch.Tensor]:
    return load_file(folder / name / "model.safetensors")


def assert_same_run(folder: Path, one: str, two: str) -> None:
    assert curve(folder, one) == curve(folder, two)
    first, second = weights(folder, one), weights(folder, two)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def test_two_stages_make_a_model_that_finds_pictures(shapes_store: Path, tmp_path: Path) -> None:
    valid = f"data.valid={shapes_store}"
    assert train(recipe(shapes_store, tmp_path, "zero", *RESNET, *RESNET_HEADS, "schedule.epochs=8")) == 0
    stage1 = recipe(
        shapes_store,
        tmp_path,
        "one",
        f"model.image.checkpoint={tmp_path}/zero",
        "model.image.locked=true",
        "data.cached_views=2",
        "data.augment=light",
        "schedule.epochs=6",
        valid,
    )
    assert train(stage1) == 0
    before, after = weights(tmp_path, "zero"), weights(tmp_path, "one")
    locked = [name for name in before if name.startswith("visual.")]
    assert locked and all(torch.equal(before[name], after[name]) for name in locked)
    stage2 = recipe(
        shapes_store,
        tmp_path,
        "two",
        f"model.checkpoint={tmp_path}/one",
        "schedule.epochs=20",
        "validation.every_steps=40",
        "loss.duplicates=mask",
        valid,
    )
    assert train(stage2) == 0
    assert not torch.equal(weights(tmp_path, "two")["visual.conv1.weight"], after["visual.conv1.weight"])
    recalls = [row["mean_recall"] for row in curve(tmp_path, "two") if row["kind"] == "validation"]
    assert max(recalls) > 60.0  # chance: (1 + 5 + 10) / 24 / 3 = 22 %
    model, transform = load_from_name(str(tmp_path / "two"))
    assert not model.training and callable(transform)
    steps = [row["step"] for row in curve(tmp_path, "two") if row["kind"] == "train"]
    assert steps == list(range(1, 161))
    assert list((tmp_path / "runs" / "two" / "tensorboard").glob("events*"))


def test_ready_made_features_train_without_pictures(shapes_store: Path, tmp_path: Path) -> None:
    from cnclip.stores.reader import StoreReader

    ids = list(StoreReader(shapes_store).image_ids())
    features = np.random.default_rng(0).standard_normal((24, 12)).astype(np.float16)
    np.savez(tmp_path / "f.npz", features=features[::-1], images=np.array(ids[::-1]))
    made = recipe(
        shapes_store,
        tmp_path,
        "features",
        "model.image.kind=features",
        "model.image.width=12",
        f"data.features={tmp_path}/f.npz",
        "schedule.epochs=30",
        f"data.valid={shapes_store}",
    )
    assert train(made) == 0
    assert curve(tmp_path, "features")[-1]["mean_recall"] > 80.0
    np.savez(tmp_path / "f.npz", features=features[1:], images=np.array(ids[1:]))
    with pytest.raises(CnclipError, match="1 pictures have no features"):
        train(recipe(shapes_store, tmp_path, "less", "model.image.kind=features", "model.image.width=12",
                     f"data.features={tmp_path}/f.npz"))  # fmt: skip


def test_a_changed_recipe_or_store_is_refused_on_resume(
    shapes_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = words(shapes_store, tmp_path, "run", *VIT, "schedule.steps=6")
    assert main(["train", *made]) == 0
    assert (
        main(["train", *made, "log_every_steps=3", "data.workers=1"]) == 0
    )  # nothing of it changes the result
    assert main(["train", *made, "optimizer.lr=1e-4", "schedule.steps=9"]) == RecipeError.exit_code
    shown = capsys.readouterr().err
    assert "optimizer.lr: 0.002 -> 0.0001" in shown and "schedule.steps: 6 -> 9" in shown and "fix:" in shown
    assert main(["train", *made, "schedule.steps=9", "allow_change=true"]) == 0
    assert [row["step"] for row in curve(tmp_path, "run")] == list(range(1, 10))
    assert main(["train", *made, "seed=5", "resume=fresh"]) == 0
    assert (tmp_path / "runs" / "run.before-1" / "metrics.jsonl").is_file()
    missing = words(shapes_store, tmp_path, "none", *VIT, "resume=must")
    assert main(["train", *missing]) == CheckpointError.exit_code


def test_a_value_that_is_not_finite_stops_the_run_and_changes_no_weight(
    shapes_store: Path, tmp_path: Path
) -> None:
    from cnclip.stores.reader import StoreReader

    ids = list(StoreReader(shapes_store).image_ids())
    features = np.ones((24, 4), dtype=np.float32)
    features[7] = np.nan
    np.savez(tmp_path / "f.npz", features=features, images=np.array(ids))
    changes = ["model.image.kind=features", "model.image.width=4", f"data.features={tmp_path}/f.npz",
               "saving.every_steps=1", "schedule.epochs=1"]  # fmt: skip
    with pytest.raises(CnclipError, match="not finite") as error:
        train(recipe(shapes_store, tmp_path, "nan", *changes))
    assert "text ids" in str(error.value) and "fix:" in str(error.value)
    for checkpoint in (tmp_path / "runs" / "nan" / "checkpoints").glob("step-*"):
        assert all(
            torch.isfinite(tensor).all() for tensor in load_file(checkpoint / "model.safetensors").values()
        )
    assert not (tmp_path / "nan").exists()


def launch(arguments: list[str], processes: int) -> subprocess.Popen[bytes]:
    """Start the program as a user would, in a process group of its own."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "ACCELERATE_USE_CPU": "true",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    command = [sys.executable, "-m", "cnclip", "train", *arguments]
    if processes > 1:
        port = random.randint(20000, 40000)
        command = [sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={processes}",
                   f"--master_port={port}", *command[1:]]  # fmt: skip
    return subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.DEVNULL)


def rows_written(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def kill_after(process: subprocess.Popen[bytes], metrics: Path, rows: int) -> None:
    """SIGKILL the whole group once the metrics file has grown to `rows` rows, if it still runs."""
    deadline = time.monotonic() + 120
    while rows_written(metrics) < rows and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def resumed_run_equals_uninterrupted(
    store: Path, folder: Path, processes: int, kills: int, seed: int
) -> None:
    changes = [*RESNET, *RESNET_HEADS, "model.image.width=4", "data.augment=strong", "schedule.steps=40",
               f"data.batch_size={12 // processes}", "saving.keep_last=1", "saving.every_steps=4",
               f"data.valid={store}", "validation.every_steps=10",
               f"data.workers={2 if processes == 1 else 0}"]  # fmt: skip
    assert launch(words(store, folder, "whole", *changes), processes).wait(300) == 0
    chance = random.Random(seed)
    metrics = folder / "runs" / "cut" / "metrics.jsonl"
    cut = words(store, folder, "cut", *changes)
    for _ in range(kills):
        kill_after(launch(cut, processes), metrics, rows_written(metrics) + chance.randint(1, 16))
    assert launch(cut, processes).wait(300) == 0
    assert_same_run(folder, "whole", "cut")


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_killed_and_resumed_equals_uninterrupted_bit_for_bit(
    processes: int, shapes_store: Path, tmp_path: Path
) -> None:
    resumed_run_equals_uninterrupted(
        shapes_store, tmp_path, processes, kills=3 if processes == 1 else 1, seed=processes
    )


@pytest.mark.nightly
@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("seed", range(8))
def test_killed_many_times_and_resumed_equals_uninterrupted(
    processes: int, seed: int, shapes_store: Path, tmp_path: Path
) -> None:
    resumed_run_equals_uninterrupted(shapes_store, tmp_path, processes, kills=12, seed=seed)


def test_sigterm_saves_and_exits_75_and_the_same_command_goes_on(shapes_store: Path, tmp_path: Path) -> None:
    changes = [*VIT, "schedule.steps=60", "saving.every_steps=0"]
    assert launch(words(shapes_store, tmp_path, "whole", *changes), 1).wait(200) == 0
    arguments = words(shapes_store, tmp_path, "cut", *changes)
    process = launch(arguments, 1)
    metrics = tmp_path / "runs" / "cut" / "metrics.jsonl"
    while rows_written(metrics) < 9:
        assert process.poll() is None
        time.sleep(0.005)
    process.terminate()
    assert process.wait(60) == 75
    assert not (tmp_path / "cut").exists()
    assert launch(arguments, 1).wait(200) == 0
    assert_same_run(tmp_path, "whole", "cut")


def test_another_number_of_processes_sees_the_same_pairs(shapes_store: Path, tmp_path: Path) -> None:
    changes = [*VIT, "model.text.dropout=0.0", "schedule.steps=12"]
    assert launch(words(shapes_store, tmp_path, "alone", *changes, "data.batch_size=12"), 1).wait(200) == 0
    assert launch(words(shapes_store, tmp_path, "pair", *changes, "data.batch_size=6"), 2).wait(200) == 0
    losses = [[row["loss"] for row in curve(tmp_path, name)] for name in ("alone", "pair")]
    assert losses[0] == pytest.approx(losses[1], rel=2e-5)
    facts = json.loads((tmp_path / "pair" / "MANIFEST.json").read_text())["facts"]
    assert facts["global_batch_size"] == 12 and facts["processes"] == 2
