"""`cnclip model …` on tiny checkpoints: formats there and back, what is shown, what is uploaded."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from cnclip.artifacts import sha256_file, verify_dir, write_json
from cnclip.checkpoints import load_checkpoint, save_checkpoint
from cnclip.checkpoints.describe import describe_checkpoint
from cnclip.checkpoints.names import to_official
from cnclip.checkpoints.official import OfficialFacts, read_official_facts, write_official
from cnclip.commands.card import model_card, results_tables
from cnclip.commands.model import diff, list_models, show
from cnclip.commands.model_convert import convert
from cnclip.commands.model_hub import download, push, stage_for_push
from cnclip.config import parse_call
from cnclip.errors import ArtifactError, CheckpointError, CnclipError, RecipeError, UnknownNameError
from cnclip.model import ARCHITECTURES, BertArchitecture, ChineseClip, ClipArchitecture, VitArchitecture

ROOT = Path(__file__).resolve().parents[2]
TEXT = BertArchitecture(hidden=64, layers=2, heads=1, intermediate=96)
VIT = ClipArchitecture(24, VitArchitecture(width=64, layers=2, heads=1, patch_size=8, resolution=32), TEXT)
RECIPE = """precision: fp32
seed: 7
model: {checkpoint: /home/我/阶段一, image: {locked: false}, text: {locked: false}}
data: {train: /data/muge-train, batch_size: 256}
optimizer: {lr: 0.001}
schedule: {epochs: 2.5, steps: 0}
"""
METRICS = {"published_step": 45, "last": [{"step": 45, "kind": "validation", "mean_recall": 28.739}]}
RESULTS = {
    "success": True,
    "text_to_image": {
        "r1": 12.14,
        "r5": 32.14,
        "r10": 42.56,
        "mean_recall": 28.89,
        "chance": {"mean_recall": 1.4},
    },
    "image_to_text": {
        "r1": 12.31,
        "r5": 31.28,
        "r10": 42.18,
        "mean_recall": 28.59,
        "chance": {"mean_recall": 1.4},
    },
    "run": {"data": {"path": "/data/stores/muge|valid"}},
}
STATE = "x" * 100_000


def run(verb: Callable[..., int], *words: str | Path) -> None:
    """As the command line would."""
    arguments = parse_call(verb, [str(word) for word in words], prog=f"cnclip model {verb.__name__}")
    assert verb(**arguments) == 0


def same(one: ChineseClip, other: ChineseClip) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def model() -> ChineseClip:
    return ChineseClip(VIT, seed=1).eval()


@pytest.fixture
def folder(model: ChineseClip, tmp_path: Path) -> Path:
    """A checkpoint of a training, with its state."""
    files = {
        "recipe.yaml": RECIPE,
        "metrics.json": json.dumps(METRICS),
        "trainer/state.json": json.dumps({"step": 45, "filling": STATE}),
    }
    save_checkpoint(model, tmp_path / "微调", facts={"global_batch_size": 256}, extra_files=files)
    return tmp_path / "微调"


@pytest.mark.parametrize("verb", [convert, show, diff, list_models, download, push])
def test_each_verb_explains_itself(verb: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(verb, "--help")
    shown = capsys.readouterr().out
    assert "Examples:" in shown and "cnclip model" in shown


def test_to_cn_clip_and_back_is_bit_for_bit(
    folder: Path, model: ChineseClip, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(convert, folder, tmp_path / "m.pt", "--to", "cn_clip")
    shown = capsys.readouterr().out
    assert "image: max |difference| 0.00e+00" in shown and "cosine 1.0000000" in shown
    assert read_official_facts(tmp_path / "m.pt") == OfficialFacts(name="微调", step=45)
    run(convert, tmp_path / "m.pt", tmp_path / "again")
    assert same(load_checkpoint(tmp_path / "again"), model)
    assert load_checkpoint(tmp_path / "again").architecture == VIT


def test_a_copy_keeps_history_and_training_state(folder: Path, tmp_path: Path) -> None:
    run(convert, folder, tmp_path / "copy")
    kept = verify_dir(tmp_path / "copy")
    assert set(kept.files) == set(verify_dir(folder).files)
    assert kept.facts["global_batch_size"] == 256 and kept.facts["converted_from"] == "微调"
    assert (tmp_path / "copy" / "recipe.yaml").read_text(encoding="utf-8") == RECIPE


def test_strip_leaves_the_training_state_and_says_how_much_that_saves(
    folder: Path, model: ChineseClip, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(convert, folder, tmp_path / "small", "--strip", "true")
    shown = capsys.readouterr().out
    assert "left out, --strip: trainer/state.json (100.0 kB)" in shown
    saved = sum(size for size, _ in verify_dir(folder).files.values()) - sum(
        size for size, _ in verify_dir(tmp_path / "small").files.values()
    )
    assert saved > 100_000 and "smaller by 100," in shown
    assert (tmp_path / "small" / "metrics.json").is_file() and not (tmp_path / "small" / "trainer").exists()
    assert same(load_checkpoint(tmp_path / "small"), model)


def test_rounded_weights_take_no_training_state_along(
    folder: Path, model: ChineseClip, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(convert, folder, tmp_path / "half", "--dtype", "fp16")
    assert "only from the unchanged weights" in capsys.readouterr().out
    tensors = load_file(tmp_path / "half" / "model.safetensors")
    assert tensors["visual.proj"].dtype == torch.float16 and tensors["logit_scale"].dtype == torch.float32
    assert torch.equal(tensors["text_projection"], model.text_projection.half())


def test_another_resolution(folder: Path, tmp_path: Path) -> None:
    run(convert, folder, tmp_path / "large", "--resolution", "48")
    stretched = load_checkpoint(tmp_path / "large")
    assert stretched.architecture.image.resolution == 48  # type: ignore[union-attr]
    assert same(stretched, load_checkpoint(folder, resolution=48))


def test_what_a_bare_file_does_not_tell_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_checkpoint(ChineseClip(ARCHITECTURES["tiny-ViT"]).eval(), tmp_path / "m")  # heads of width 16
    run(convert, tmp_path / "m", tmp_path / "m.pt", "--to", "cn_clip")
    assert "do not tell that text.heads is 4" in capsys.readouterr().out
    assert load_checkpoint(tmp_path / "m.pt").architecture == ARCHITECTURES["tiny-ViT"]


def test_to_hugging_face_and_back(
    folder: Path, model: ChineseClip, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(convert, folder, tmp_path / "hf", "--to", "hf")
    shown = capsys.readouterr().out
    assert "read back by cnclip" in shown and "read back by transformers" in shown
    assert (tmp_path / "hf" / "recipe.yaml").is_file() and not (tmp_path / "hf" / "trainer").exists()
    run(convert, tmp_path / "hf", tmp_path / "back")
    assert same(load_checkpoint(tmp_path / "back"), model)
    assert load_checkpoint(tmp_path / "back").architecture == VIT


def test_optimizer_of_a_cn_clip_file_is_left_out(
    model: ChineseClip, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = {"epoch": 1, "step": 2, "name": "x", "state_dict": to_official(model.state_dict())}
    torch.save({**content, "optimizer": {"state": {0: torch.zeros(1000)}}}, tmp_path / "epoch1.pt")
    run(convert, tmp_path / "epoch1.pt", tmp_path / "slim.pt", "--to", "cn_clip")
    assert "optimizer (4.0 kB)" in capsys.readouterr().out
    assert read_official_facts(tmp_path / "slim.pt") == OfficialFacts(name="x", epoch=1, step=2)


@pytest.mark.parametrize(
    ("words", "kind", "message"),
    [
        (["m.pt"], RecipeError, "is a folder, and this is a file's name"),
        (["m", "--to", "cn_clip"], RecipeError, "ends in .pt"),
        (["m.pt", "--to", "cn_clip", "--dtype", "bf16"], RecipeError, "not bf16"),
        (["there"], ArtifactError, "exists already"),
        (["there", "--replace", "true"], ArtifactError, "is no checkpoint folder"),
        (["m", "--to", "onnx"], RecipeError, "to"),
    ],
)
def test_a_target_that_cannot_be_is_refused_first(
    folder: Path, tmp_path: Path, words: list[str], kind: type[CnclipError], message: str
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "照片.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(kind, match=message):
        run(convert, folder, tmp_path / words[0], *words[1:])
    assert {path.name for path in tmp_path.iterdir()} == {"微调", "there"}


def test_a_failure_leaves_nothing_under_the_name(tmp_path: Path) -> None:
    save_checkpoint(ChineseClip(ARCHITECTURES["tiny-RN"]).eval(), tmp_path / "rn")
    with pytest.raises(CheckpointError, match="RN50"):
        run(convert, tmp_path / "rn", tmp_path / "hf", "--to", "hf")
    large = ChineseClip(VIT).eval()
    with torch.no_grad():
        large.visual.proj[0, 0] = 1e6
    save_checkpoint(large, tmp_path / "large")
    with pytest.raises(CheckpointError, match="larger than fp16 can hold"):
        run(convert, tmp_path / "large", tmp_path / "half", "--dtype", "fp16")
    assert {path.name for path in tmp_path.iterdir()} == {"rn", "large"}


def test_replace_swaps_a_checkpoint_even_the_source(folder: Path, model: ChineseClip, tmp_path: Path) -> None:
    run(convert, folder, folder, "--strip", "true", "--replace", "true")
    assert same(load_checkpoint(folder), model) and not (folder / "trainer").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["微调"]


def test_show_says_what_a_checkpoint_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(show, folder)
    shown = capsys.readouterr().out
    for part in (
        "layers=2",
        "pictures: 32 x 32",
        "captions: 52 tokens, at most 512",
        "whole model, image tower, text tower",
        "trained on muge-train",
        "validation at step 45: mean_recall 28.74",
        "model.safetensors",
    ):
        assert part in shown
    run(show, folder, "--json", "true")
    told = json.loads(capsys.readouterr().out)
    count = sum(parameter.numel() for parameter in ChineseClip(VIT).parameters())
    assert told["parameters"]["total"] == count == sum(told["types"].values())
    assert told["history"]["recipe"]["seed"] == 7 and told["history"]["manifest"]["global_batch_size"] == 256
    assert told["files"]["recipe.yaml"]["sha256"] == verify_dir(folder).files["recipe.yaml"][1]


def test_show_of_files_and_single_towers(
    model: ChineseClip, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_official(model, tmp_path / "m.pt", facts=OfficialFacts(name="实验", epoch=15, step=3))
    run(show, tmp_path / "m.pt")
    assert "实验, epoch 15, step 3" in capsys.readouterr().out
    state = to_official(model.state_dict())
    torch.save(
        {name: tensor for name, tensor in state.items() if name.startswith("visual.")}, tmp_path / "v.pt"
    )
    run(show, tmp_path / "v.pt", "--json", "true")
    told = json.loads(capsys.readouterr().out)
    assert told["uses"] == ["image tower"] and told["architecture"]["image"]["width"] == 64


def test_show_of_a_damaged_folder_is_an_error(folder: Path) -> None:
    (folder / "recipe.yaml").write_text(RECIPE.replace("7", "8"), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"recipe\.yaml differs"):
        run(show, folder)


def test_official_names_are_known_without_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    run(show, "ViT-H-14")
    shown = capsys.readouterr().out
    assert "957598209" in shown and "cnclip model download ViT-H-14" in shown
    with pytest.raises(UnknownNameError, match="did you mean ViT-H-14"):
        run(show, "vit-h-14")


def test_diff_tells_which_layers_moved(
    folder: Path, model: ChineseClip, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = load_checkpoint(folder)
    with torch.no_grad():
        moved.visual.transformer.resblocks[1].ln_1.weight.mul_(1.5)
    save_checkpoint(moved, tmp_path / "moved")
    run(diff, folder, folder)
    assert "identical: all" in capsys.readouterr().out
    run(diff, folder, tmp_path / "moved")
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    moves = {row[0]: float(row[2]) for row in rows if len(row) == 5 and row[1].isdigit()}
    assert moves["visual.transformer.resblocks.1"] > 0 and moves["visual.transformer.resblocks.0"] == 0
    assert moves["bert.embeddings"] == 0


def test_diff_of_other_architectures(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deeper = ClipArchitecture(24, VitArchitecture(64, 3, 1, 8, 48), TEXT)
    save_checkpoint(ChineseClip(deeper), tmp_path / "deeper")
    run(diff, folder, tmp_path / "deeper")
    shown = capsys.readouterr().out
    assert "architecture: image.layers: 2 -> 3" in shown
    assert f"only in {tmp_path / 'deeper'}: visual.transformer.resblocks.2" in shown
    assert "visual.positional_embedding: [17, 64] -> [37, 64]" in shown


def test_list_shows_official_names_and_a_folders_checkpoints(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "clip_cn_rn50.pt").write_bytes(b"")
    (tmp_path / "坏").mkdir()
    (tmp_path / "坏" / "architecture.json").write_text("{}", encoding="utf-8")
    run(list_models, "--root", tmp_path)
    shown = capsys.readouterr().out
    assert "OFA-Sys/chinese-clip-vit-base-patch16" in shown and "188.3 M" in shown
    assert "微调" in shown and "unreadable" in shown
    run(list_models, "--root", tmp_path, "--json", "true")
    told = json.loads(capsys.readouterr().out)
    assert told["official"]["RN50"]["local"] == str(tmp_path / "clip_cn_rn50.pt")
    assert told["official"]["ViT-B-16"]["local"] is None
    assert told["checkpoints"]["微调"]["pixels"] == 32


def test_download_takes_official_names_only(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="no official model"):
        run(download, tmp_path)


def test_download_of_what_is_here_says_what_it_is(
    model: ChineseClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    write_official(model, tmp_path / "clip_cn_rn50.pt")
    run(download, "RN50", "--root", tmp_path)
    path, size, digest = capsys.readouterr().out.splitlines()
    assert path == str(tmp_path / "clip_cn_rn50.pt") and "bytes" in size
    assert digest == f"sha256 {sha256_file(tmp_path / 'clip_cn_rn50.pt')}"


def test_what_is_pushed_has_a_card_and_no_training_state(folder: Path, tmp_path: Path) -> None:
    write_json(folder / "results.json", RESULTS)
    before = sorted(path.name for path in folder.iterdir())
    staged = stage_for_push(folder, tmp_path / "staged", "me/表情", license_name="mit")
    assert set(verify_dir(staged).files) == {  # not the card, which people edit on the hub
        "architecture.json",
        "metrics.json",
        "model.safetensors",
        "recipe.yaml",
        "results.json",
    }
    card = (staged / "README.md").read_text(encoding="utf-8")
    _, front, body = card.split("---\n", 2)
    told = yaml.safe_load(front)
    assert told["license"] == "mit" and told["language"] == ["zh"] and told["library_name"] == "cnclip"
    assert told["pipeline_tag"] == "zero-shot-image-classification"
    for part in ('load_from_name("me/表情")', "trained on muge-train", "| 12.1 |", "中文 CLIP 模型", "28.9"):
        assert part in body
    assert "/home/" not in card and "/data/" not in card
    assert sorted(path.name for path in folder.iterdir()) == before
    assert load_checkpoint(staged).architecture == VIT


def test_the_code_on_the_card_runs(folder: Path, tmp_path: Path) -> None:
    card = model_card(describe_checkpoint(folder), {}, str(folder), license_name="mit")
    (code,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    Image.new("RGB", (40, 30), "red").save(tmp_path / "图片.jpg")
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and done.stdout.startswith("tensor([["), done.stderr


def test_a_hugging_face_folder_is_pushed_as_one(folder: Path, tmp_path: Path) -> None:
    run(convert, folder, tmp_path / "hf", "--to", "hf")
    staged = stage_for_push(tmp_path / "hf", tmp_path / "staged", "me/m", license_name="mit")
    card = (staged / "README.md").read_text(encoding="utf-8")
    assert "library_name: transformers" in card and "ChineseCLIPModel" in card
    assert "tokenizer.json" in verify_dir(staged).files and load_checkpoint(staged).architecture == VIT


def test_a_card_that_somebody_wrote_stays(folder: Path, tmp_path: Path) -> None:
    (folder / "README.md").write_text("# 我的模型\n", encoding="utf-8")
    staged = stage_for_push(folder, tmp_path / "staged", "me/m", license_name="mit")
    assert (staged / "README.md").read_text(encoding="utf-8") == "# 我的模型\n"


def test_results_of_both_kinds_become_tables() -> None:
    (retrieval,) = results_tables(RESULTS)
    assert retrieval.rows[0][1:] == ["12.1", "32.1", "42.6", "28.9", "1.4"]
    assert retrieval.note.endswith("muge|valid")
    (zeroshot,) = results_tables({"top1": 51.0, "top5": 80.25, "mean_per_class": 50.0})
    assert zeroshot.rows == [["51.0", "80.2", "50.0"]]
    assert results_tables({"some": "file"}) == []


def test_push_refuses_what_is_no_repository_and_no_checkpoint(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="owner/name"):
        run(push, folder, "表情")
    with pytest.raises(CheckpointError, match="not a checkpoint folder"):
        run(push, tmp_path / "none", "me/m")
    (tmp_path / "photos").mkdir()
    with pytest.raises(CnclipError):
        run(push, tmp_path / "photos", "me/m")
    assert {path.name for path in tmp_path.iterdir()} == {"微调", "photos"}
