"""The folder of an export: whole or absent, usable without cnclip, refused where it would be wrong."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cnclip import image_transform, tokenize
from cnclip.artifacts import verify_dir
from cnclip.checkpoints import save_checkpoint
from cnclip.commands.export import export
from cnclip.config import parse_call
from cnclip.errors import ArtifactError, CnclipError, RecipeError
from cnclip.export import ExportOptions, ExportPrecision, Towers, export_onnx
from cnclip.model import ARCHITECTURES, ChineseClip, ClipArchitecture, FeatureArchitecture

Exported = Callable[[str, Towers, ExportPrecision], Path]
Model = Callable[[str], ChineseClip]

ROOT = Path(__file__).parents[2]
DIES = """
import os, signal, sys
from pathlib import Path
from cnclip.export import ExportOptions, export_onnx, folder
from cnclip.model import ARCHITECTURES, ChineseClip

model, options = ChineseClip(ARCHITECTURES["tiny-ViT"]).eval(), ExportOptions(towers="text")
graph = folder.trace(model, "text", options.opset)
folder.trace = lambda *_: graph.clone()  # seconds, and the same for each death
for moment in sys.argv[2:]:
    def progress(message):
        if message.startswith(moment):
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        try:
            export_onnx(model, Path(sys.argv[1]), options, progress=progress)
        finally:
            os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), Path(sys.argv[1]).exists())
"""


def run_python(code: str, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def python_of(readme: Path) -> str:
    found = re.search(r"```python\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("towers", ["separate", "joint"])
def test_readme_runs_without_cnclip_and_gives_the_models_logits(
    tiny_model: Model, exported: Exported, tmp_path: Path, towers: Towers
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for file in exported("tiny-ViT", towers, "fp32").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    pixels = np.random.default_rng(1).integers(0, 256, (50, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "picture.jpg")
    code = python_of(folder / "README.md")
    assert len(code.strip().splitlines()) <= 20
    blocked = "import sys\nfor name in ('torch', 'cnclip', 'transformers'): sys.modules[name] = None\n"
    done = run_python(blocked + code, cwd=folder)
    assert done.returncode == 0, done.stderr
    model = tiny_model("tiny-ViT")
    picture = image_transform(32)(Image.open(folder / "picture.jpg"))[None]
    with torch.inference_mode():
        expected, _ = model.get_similarity(picture, tokenize(["一只猫", "两只狗在草地上"]))
    found = [float(number) for number in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", done.stdout)]
    np.testing.assert_allclose(found, expected[0].numpy(), atol=1e-3)


@pytest.mark.parametrize("towers", ["image", "text"])
def test_one_tower_alone_is_usable(exported: Exported, tmp_path: Path, towers: Towers) -> None:
    source = exported("tiny-RN" if towers == "image" else "tiny-ViT", towers, "fp32")
    names = {file.name for file in source.iterdir()}
    assert ("tokenizer.json" in names) == ("vocab.txt" in names) == (towers == "text")
    spec = json.loads((source / "preprocessing.json").read_text(encoding="utf-8"))
    assert towers in spec and ({"image", "text"} - {towers}).isdisjoint(spec)
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes((source / name).read_bytes())
    Image.new("RGB", (9, 9), "red").save(folder / "picture.jpg")
    done = run_python(python_of(folder / "README.md"), cwd=folder)
    assert done.returncode == 0, done.stderr


def test_specification_says_what_the_program_needs(exported: Exported) -> None:
    folder = exported("tiny-ViT", "separate", "fp32")
    spec = json.loads((folder / "preprocessing.json").read_text(encoding="utf-8"))
    assert spec["image"]["input"] == {
        "name": "pixel_values",
        "dtype": "float32",
        "shape": ["batch", 3, 32, 32],
    }
    assert spec["text"]["input"] == {"name": "token_ids", "dtype": "int64", "shape": ["batch", "length"]}
    assert spec["text"]["context_length"] == 52 and spec["text"]["pad_id"] == 0
    assert abs(spec["logit_scale"] - 1 / 0.07) < 1e-3
    manifest = verify_dir(folder)
    assert manifest.facts["worst_difference"] < 1e-5 and manifest.facts["precision"] == "fp32"


def test_killed_export_leaves_nothing_and_the_next_one_succeeds(tiny_model: Model, tmp_path: Path) -> None:
    moments = ("comparing text.onnx", "writing the tokenizer")
    done = run_python(DIES, str(tmp_path / "out"), *moments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{-signal.SIGKILL} False"] * len(moments), done.stderr
    export_onnx(tiny_model("tiny-ViT"), tmp_path / "out", ExportOptions(towers="text"))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_failed_comparison_leaves_nothing(tiny_model: Model, tmp_path: Path) -> None:
    options = ExportOptions(towers="text", precision="int8", min_cosine=1.0)
    with pytest.raises(CnclipError, match="cosine"):
        export_onnx(tiny_model("tiny-ViT"), tmp_path / "out", options)
    assert list(tmp_path.iterdir()) == []


def test_existing_folder_is_refused_and_kept(tiny_model: Model, exported: Exported) -> None:
    folder = exported("tiny-ViT", "separate", "fp32")
    with pytest.raises(ArtifactError, match="exists"):
        export_onnx(tiny_model("tiny-ViT"), folder)
    verify_dir(folder)


def test_command_writes_to_a_hostile_path_and_prints_the_comparison(
    tiny_model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, output = tmp_path / "模型 $(touch x)", tmp_path / "a b;touch x" / "图文`touch x`"
    save_checkpoint(tiny_model("tiny-ViT"), checkpoint)
    words = ["onnx", str(checkpoint), str(output), "--towers", "text", "--precision", "int8"]
    assert export(**parse_call(export, words, prog="cnclip model export")) == 0
    printed = capsys.readouterr()
    assert "text_features" in printed.out and "min cosine" in printed.out
    assert "tracing text.onnx" in printed.err
    verify_dir(output)
    assert {path.name for path in tmp_path.iterdir()} == {checkpoint.name, "a b;touch x"}


def test_missing_package_is_one_line_with_the_command_that_helps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # as if it were not installed
    with pytest.raises(RecipeError) as caught:
        export("onnx", "no such model", tmp_path / "out")
    assert caught.value.exit_code == 2
    assert caught.value.fix == 'pip install "cnclip[onnx]"' and "onnxruntime" in caught.value.what


def test_importing_the_package_imports_no_optional_package(tmp_path: Path) -> None:
    code = "import sys, cnclip.export, cnclip.commands.export; print([n for n in sys.modules if 'onnx' in n])"
    done = run_python(code, cwd=tmp_path)
    loaded = {name.split(".")[0] for name in re.findall(r"'([^']+)'", done.stdout)}
    assert done.returncode == 0 and not loaded & {"onnx", "onnxruntime", "onnxscript", "onnx_ir"}


def test_what_cannot_be_exported_is_refused_before_any_work(tiny_model: Model, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="opset 23"):
        ExportOptions(opset=23)
    with pytest.raises(RecipeError, match="min_cosine"):
        ExportOptions(min_cosine=1.5)
    shape = ARCHITECTURES["tiny-ViT"]
    features = ChineseClip(ClipArchitecture(32, FeatureArchitecture(16), shape.text)).eval()
    with pytest.raises(RecipeError, match="ready-made"):
        export_onnx(features, tmp_path / "out")
    with pytest.raises(RecipeError, match="float32"):
        export_onnx(ChineseClip(shape).eval().bfloat16(), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
