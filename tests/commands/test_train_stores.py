"""Training on several stores: mixed by weights, without duplicates in a batch, resumed to the bit."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from cnclip.commands import main
from cnclip.errors import RecipeError, ResourceError
from cnclip.stores.raw import read_source
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import build_store
from cnclip.training.monitor import read_metrics

TINY = [
    "model.embed_dim=16", "model.text.hidden=32", "model.text.layers=1", "model.text.heads=2",
    "model.text.intermediate=64", "model.image.kind=vit", "model.image.width=32", "model.image.layers=[1]",
    "model.image.heads=2", "model.image.patch_size=16", "model.image.resolution=32", "data.batch_size=6",
    "data.workers=0", "threads=1", "log_every_steps=1", "saving.every_steps=5",
]  # fmt: skip


@pytest.fixture(scope="module")
def scenes_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five pictures of which one has no caption, and a caption that all others share."""
    folder = tmp_path_factory.mktemp("scenes")
    with open(folder / "train_imgs.tsv", "w", encoding="utf-8") as images:
        for number in range(5):
            buffer = io.BytesIO()
            Image.new("RGB", (20, 20), (50 * number, 80, 120)).save(buffer, "PNG")
            images.write(f"景{number}\t{base64.b64encode(buffer.getvalue()).decode()}\n")
    with open(folder / "train_texts.jsonl", "w", encoding="utf-8") as texts:
        for number in range(8):
            text = "风景" if number % 2 else f"左边的第{number}景，很美"
            row = {"text_id": number, "text": text, "image_ids": [f"景{number // 2}"]}
            texts.write(json.dumps(row, ensure_ascii=False) + "\n")
    build_store(read_source(folder), folder / "store")
    return folder / "store"


def words(folder: Path, name: str, stores: list[Path], *changes: str) -> list[str]:
    listed = json.dumps([str(store) for store in stores], ensure_ascii=False)
    return [
        "train",
        f"output={folder}/{name}",
        f"run={folder}/runs/{name}",
        f"data.train={listed}",
        *TINY,
        *changes,
    ]


def losses(folder: Path, name: str) -> list[float]:
    rows = read_metrics(folder / "runs" / name / "metrics.jsonl")
    return [row["loss"] for row in rows if row["kind"] == "train"]


def test_two_stores_train_and_a_run_that_was_cut_goes_on_to_the_bit(
    shapes_store: Path, scenes_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stores = [shapes_store, scenes_store]
    changes = ["data.weights=[3,1]", "data.distinct=both", "data.captions=one_per_image",
               "data.augment=light_flip", "data.augment_captions=light", "loss.duplicates=mask",
               "schedule.steps=13"]  # fmt: skip
    arguments = words(tmp_path, "run", stores, *changes)
    assert main(arguments) == 0
    said = capsys.readouterr().err
    assert "0.875 times an epoch" in said and "1.75 times an epoch" in said  # 21 of 24, 7 of 4
    data = json.loads((tmp_path / "run" / "MANIFEST.json").read_text(encoding="utf-8"))["facts"]["data"]
    assert data["stores"] == [StoreReader(store).fingerprint for store in stores]
    assert data["weights"] == [3.0, 1.0] and data["distinct"] == "both"
    checkpoints = sorted((tmp_path / "runs" / "run" / "checkpoints").iterdir())
    assert len(checkpoints) == 2
    shutil.rmtree(checkpoints[1])  # a run that was cut after step 10, in an epoch and in a window
    before, expected = load_file(tmp_path / "run" / "model.safetensors"), losses(tmp_path, "run")
    shutil.rmtree(tmp_path / "run")
    assert main(arguments) == 0
    assert "going on from" in capsys.readouterr().err
    after = load_file(tmp_path / "run" / "model.safetensors")
    assert losses(tmp_path, "run") == expected and len(expected) == 13
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_other_weights_stores_or_synonyms_are_refused_on_resume(
    shapes_store: Path, scenes_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "近义词.txt").write_text("图片 照片\n", encoding="utf-8")
    changes = ["schedule.steps=2", "data.augment_captions=light", f"data.synonyms={tmp_path}/近义词.txt"]
    assert main(words(tmp_path, "run", [shapes_store, scenes_store], *changes)) == 0
    assert main(words(tmp_path, "run", [shapes_store], *changes)) == RecipeError.exit_code
    assert main(words(tmp_path, "run", [shapes_store, scenes_store], *changes, "data.weights=[1,1]")) == 2
    assert "data.weights: None -> [1.0, 1.0]" in capsys.readouterr().err
    (tmp_path / "近义词.txt").write_text("图片 画\n", encoding="utf-8")
    assert main(words(tmp_path, "run", [shapes_store, scenes_store], *changes)) == 2
    assert "data.synonyms" in capsys.readouterr().err


def test_cached_views_and_ready_made_features_come_from_each_store(
    shapes_store: Path, scenes_store: Path, tmp_path: Path
) -> None:
    stores = [shapes_store, scenes_store]
    assert main(words(tmp_path, "zero", stores, "schedule.steps=2")) == 0
    stage1 = [f"model.image.checkpoint={tmp_path}/zero", "model.image.locked=true", "data.cached_views=2",
              "data.augment=light", "schedule.steps=4"]  # fmt: skip
    assert main(words(tmp_path, "one", stores, *stage1)) == 0
    ids = [name for store in stores for name in StoreReader(store).image_ids()]
    features = np.random.default_rng(0).standard_normal((len(ids), 12)).astype(np.float32)
    np.savez(tmp_path / "f.npz", features=features, images=np.array(ids))
    made = ["model.image.kind=features", "model.image.width=12", f"data.features={tmp_path}/f.npz",
            "data.distinct=images", "schedule.epochs=4"]  # fmt: skip
    assert main(words(tmp_path, "two", stores, *made)) == 0
    found = losses(tmp_path, "two")
    assert len(found) == 4 * (56 // 6) and sum(found[-9:]) < sum(found[:9])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("data.weights=[1]", "does not fit 2 training stores"),
        ("data.weights=[1,0]", "does not fit 2 training stores"),
        ("data.weights=[1,0.000001]", "store 2 of data.train would get no sample"),
        ("data.distinct=all", "distinct"),
        ("data.augment_captions=wild", "data.augment_captions=wild"),
        ("data.synonyms=w.txt", "without data.augment_captions"),
        ("data.train=[]", "names no training store"),
    ],
)
def test_a_mixture_that_means_nothing_is_refused(
    change: str, message: str, shapes_store: Path, scenes_store: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert main([*words(tmp_path, "out", [shapes_store, scenes_store]), change]) == 2
    shown = capsys.readouterr().err
    assert message in shown and "fix:" in shown and not (tmp_path / "out").exists()


def test_mirrored_views_are_refused(
    shapes_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(tmp_path, "zero", [shapes_store], "schedule.steps=1")) == 0
    views = ["model.image.locked=true", "data.cached_views=2", "data.augment=light_flip"]
    arguments = words(tmp_path, "one", [shapes_store], f"model.image.checkpoint={tmp_path}/zero", *views)
    assert main(arguments) == 2
    assert "mirrors pictures" in capsys.readouterr().err


def test_captions_that_cannot_be_parted_are_counted(
    scenes_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = ["data.distinct=captions", "data.batch_size=4", "schedule.epochs=3"]
    assert main(words(tmp_path, "run", [scenes_store], *changes)) == 0
    assert "6 of 24 samples shared a batch" in capsys.readouterr().err  # four equal ones to two batches


def test_a_killed_worker_ends_the_run_with_exit_code_5(shapes_store: Path, tmp_path: Path) -> None:
    arguments = words(tmp_path, "run", [shapes_store], "schedule.steps=5000", "data.workers=2")
    process = subprocess.Popen(
        [sys.executable, "-m", "cnclip", *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics = tmp_path / "runs" / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 180
    while (not metrics.exists() or not metrics.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = [
        child for child in psutil.Process(process.pid).children() if "spawn_main" in str(child.cmdline())
    ]
    assert len(workers) == 2
    os.kill(workers[0].pid, signal.SIGKILL)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == ResourceError.exit_code, said
    assert f"loader worker {workers[0].pid} is gone" in said and "fix:" in said
    assert not workers[1].is_running() or workers[1].status() == psutil.STATUS_ZOMBIE
