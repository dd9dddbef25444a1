"""The training program, run for real on tiny stores: both stages, exact resume, and what it refuses."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil
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
LAST_ONLY = "saving.every_steps=0"  # where nothing resumes: one checkpoint, at the end
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
    zero = recipe(shapes_store, tmp_path, "zero", *RESNET, *RESNET_HEADS, "schedule.epochs=8", LAST_ONLY)
    assert train(zero) == 0
    stage1 = recipe(
        shapes_store,
        tmp_path,
        "one",
        f"model.image.checkpoint={tmp_path}/zero",
        "model.image.locked=true",
        "data.cached_views=2",
        "data.augment=light",
        "schedule.epochs=6",
        LAST_ONLY,
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
        LAST_ONLY,
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
        "schedule.epochs=40",
        LAST_ONLY,
        f"data.valid={shapes_store}",
    )
    assert train(made) == 0
    assert curve(tmp_path, "features")[-1]["mean_recall"] > 80.0
    identity = recipe(
        shapes_store, tmp_path, "identity", "model.image.kind=features", "model.image.width=12",
        "model.embed_dim=12", "model.image.locked=true", f"data.features={tmp_path}/f.npz",
        f"data.valid={shapes_store}", "schedule.epochs=30", LAST_ONLY,
    )  # fmt: skip
    assert train(identity) == 0
    assert torch.equal(weights(tmp_path, "identity")["visual.proj"], torch.eye(12))
    assert curve(tmp_path, "identity")[-1]["mean_recall"] > 80.0
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


FORKING = """
import os, sys, traceback
import torch._dynamo  # which an optimizer would import in each process
import cnclip.commands.train
from cnclip.commands import run

processes, port, *words = sys.argv[1:]
for rank in range(int(processes)):
    if os.fork() == 0:
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=processes,
                          LOCAL_WORLD_SIZE=processes, MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
        try:
            run(["train", *words])
        except BaseException:
            traceback.print_exc()
        os._exit(1)
if any(os.wait()[1] for _ in range(int(processes))):
    os._exit(1)
"""


def launch(
    arguments: list[str], processes: int, launcher: Literal["torchrun", "fork"] = "fork"
) -> subprocess.Popen[str]:
    """Start the program as a user would, in a process group of its own.

    Several processes come from torch's launcher, or by forking from one that has imported everything, which
    takes a quarter of the time.
    """
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "ACCELERATE_USE_CPU": "true",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    command = [sys.executable, "-m", "cnclip", "train", *arguments]
    if processes > 1 and launcher == "torchrun":
        command = [sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={processes}",
                   f"--master_port={free_port()}", *command[1:]]  # fmt: skip
    elif processes > 1:
        command = [sys.executable, "-c", FORKING, str(processes), str(free_port()), *arguments]
    return subprocess.Popen(
        command, env=environment, start_new_session=True, stderr=subprocess.PIPE, text=True
    )


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    """Wait for the end; what it said on stderr."""
    said = process.communicate(timeout=300)[1]
    assert process.returncode == code, said
    return said


def run_whole(arguments: list[str], processes: int = 1) -> None:
    """A run that nothing interrupts: one process on the CPU needs no program of its own, and no workers."""
    if processes == 1 and not torch.cuda.is_available():  # `launch` takes the CPU
        assert main(["train", *arguments, "data.workers=0"]) == 0
    else:
        finish(launch(arguments, processes))


def rows_written(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_for_rows(process: subprocess.Popen[str], metrics: Path, rows: int) -> bool:
    """Until the metrics file has grown to `rows` rows; False where the process ended before."""
    deadline = time.monotonic() + 120
    while rows_written(metrics) < rows and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    return process.poll() is None


def resumed_run_equals_uninterrupted(
    store: Path, folder: Path, processes: int, kills: int, seed: int
) -> None:
    changes = [*RESNET, *RESNET_HEADS, "data.augment=strong", "schedule.steps=40",
               f"data.batch_size={12 // processes}", "saving.keep_last=1", "saving.every_steps=4",
               f"data.valid={store}", "validation.every_steps=10",
               f"data.workers={2 if processes == 1 else 0}"]  # fmt: skip
    run_whole(words(store, folder, "whole", *changes), processes)
    chance = random.Random(seed)
    metrics = folder / "runs" / "cut" / "metrics.jsonl"
    cut = words(store, folder, "cut", *changes)
    for kill in range(kills):
        process = launch(cut, processes)
        first_rows = 7 if kill == 0 else 1  # the first kill comes after a checkpoint
        if wait_for_rows(process, metrics, rows_written(metrics) + chance.randint(first_rows, 16)):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert "going on from" in finish(launch(cut, processes))
    assert_same_run(folder, "whole", "cut")


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.nightly), 3])
def test_killed_and_resumed_equals_uninterrupted_bit_for_bit(
    processes: int, shapes_store: Path, tmp_path: Path
) -> None:
    kills = 2 if processes == 1 else 1  # the second kill meets a run that was resumed
    resumed_run_equals_uninterrupted(shapes_store, tmp_path, processes, kills=kills, seed=processes)


@pytest.mark.nightly
@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("seed", range(8))
def test_killed_many_times_and_resumed_equals_uninterrupted(
    processes: int, seed: int, shapes_store: Path, tmp_path: Path
) -> None:
    resumed_run_equals_uninterrupted(shapes_store, tmp_path, processes, kills=12, seed=seed)


@pytest.mark.parametrize(("number", "workers"), [(signal.SIGTERM, 0), (signal.SIGINT, 2)])
def test_a_polite_stop_saves_and_exits_75_and_the_same_command_goes_on(
    number: signal.Signals, workers: int, shapes_store: Path, tmp_path: Path
) -> None:
    changes = [*VIT, "schedule.steps=60", "saving.every_steps=0", f"data.workers={workers}"]
    run_whole(words(shapes_store, tmp_path, "whole", *changes))
    arguments = words(shapes_store, tmp_path, "cut", *changes)
    process = launch(arguments, 1)
    assert wait_for_rows(process, tmp_path / "runs" / "cut" / "metrics.jsonl", 5)
    os.killpg(process.pid, number)  # as a terminal and a launcher do: to the workers too
    assert "a checkpoint was saved" in finish(process, 75)
    assert not (tmp_path / "cut").exists()
    assert "going on from" in finish(launch(arguments, 1))
    assert_same_run(tmp_path, "whole", "cut")


def test_another_number_of_processes_sees_the_same_pairs(shapes_store: Path, tmp_path: Path) -> None:
    changes = [*VIT, "model.text.dropout=0.0", "schedule.steps=12"]
    run_whole(words(shapes_store, tmp_path, "alone", *changes, "data.batch_size=12"))
    finish(launch(words(shapes_store, tmp_path, "pair", *changes, "data.batch_size=6"), 2))
    losses = [[row["loss"] for row in curve(tmp_path, name)] for name in ("alone", "pair")]
    assert losses[0] == pytest.approx(losses[1], rel=2e-5)
    facts = json.loads((tmp_path / "pair" / "MANIFEST.json").read_text())["facts"]
    assert facts["global_batch_size"] == 12 and facts["processes"] == 2


def test_a_run_may_go_on_with_another_number_of_processes(shapes_store: Path, tmp_path: Path) -> None:
    changes = [*VIT, "model.text.dropout=0.0", "schedule.steps=24", "saving.every_steps=6"]
    run_whole(words(shapes_store, tmp_path, "whole", *changes, "data.batch_size=12"))
    process = launch(words(shapes_store, tmp_path, "cut", *changes, "data.batch_size=12"), 1)
    if wait_for_rows(process, tmp_path / "runs" / "cut" / "metrics.jsonl", 8):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    said = finish(launch(words(shapes_store, tmp_path, "cut", *changes, "data.batch_size=6"), 2))
    assert "going on from" in said and "processes: 1 -> 2" in said
    losses = [[row["loss"] for row in curve(tmp_path, name)] for name in ("whole", "cut")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_a_value_that_is_not_finite_stops_every_process(shapes_store: Path, tmp_path: Path) -> None:
    from cnclip.stores.reader import StoreReader

    features = np.ones((24, 4), dtype=np.float32)
    features[7] = np.nan
    np.savez(
        tmp_path / "f.npz", features=features, images=np.array(list(StoreReader(shapes_store).image_ids()))
    )
    changes = ["model.image.kind=features", "model.image.width=4", f"data.features={tmp_path}/f.npz",
               "data.batch_size=3", "schedule.epochs=2"]  # fmt: skip
    said = finish(launch(words(shapes_store, tmp_path, "nan", *changes), 2, "torchrun"), 1)
    assert "[process 0] error[E100]" in said and "[process 1] error[E100]" in said
    assert not (tmp_path / "nan").exists()


def test_a_killed_process_ends_the_run_with_a_message_of_its_peer(shapes_store: Path, tmp_path: Path) -> None:
    process = launch(words(shapes_store, tmp_path, "cut", *VIT, "schedule.steps=2000"), 2, "torchrun")
    assert wait_for_rows(process, tmp_path / "runs" / "cut" / "metrics.jsonl", 7)
    victim = next(
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if child.environ().get("RANK") == "1"
    )
    victim.send_signal(signal.SIGKILL)
    said = finish(process, 1)
    assert "[process 0] error[E700]" in said and "fix:" in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("data.batch_size=0", "data.batch_size=0 means nothing"),
        ("optimizer.lr=-1", "optimizer.lr=-1"),
        ("seed=-1", "seed=-1"),
        ("run={folder}/out", "lie in each other"),
        ("output={folder}", "lie in each other"),
        ("output={folder}/full", "with other things in it"),
        ("model.image.locked=true", "locked with random weights"),
        ("data.augment=wild", "data.augment=wild"),
        ("data.cached_views=2", "locked image tower"),
        ("precision=fp16", "fp16 needs a GPU"),
        ("data.batch_size=100", "do not fill one global batch of 100"),
    ],
)
def test_a_recipe_that_means_nothing_is_refused_before_training(
    change: str, message: str, shapes_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = words(shapes_store, tmp_path, "out", *VIT, change.format(folder=tmp_path))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("my only copy")
    if torch.cuda.is_available() and "fp16" in change:
        pytest.skip("this machine has a GPU")
    assert main(["train", *arguments]) == 2
    shown = capsys.readouterr().err
    assert message in shown and "fix:" in shown
    assert not (tmp_path / "out").exists()


def test_bf16_flip_and_activation_checkpointing_train(shapes_store: Path, tmp_path: Path) -> None:
    changes = [*VIT, "precision=bf16", "model.image.patch_dropout=0.5", "model.activation_checkpointing=true",
               "schedule.epochs=24", LAST_ONLY]  # fmt: skip
    finish(launch(words(shapes_store, tmp_path, "bf16", *changes), 1))
    losses = [row["loss"] for row in curve(tmp_path, "bf16")]
    assert sum(losses[-8:]) < 0.8 * sum(losses[:8])
    assert weights(tmp_path, "bf16")["visual.conv1.weight"].dtype == torch.float32
