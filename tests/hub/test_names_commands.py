"""The programs take names of a hub: training recipes, `cnclip model …`, `cnclip eval …`, push and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from cnclip import load_from_name
from cnclip.artifacts import sha256_file
from cnclip.checkpoints import load_checkpoint, save_checkpoint
from cnclip.commands import main
from cnclip.commands.train_model import build_model
from cnclip.config import TrainRecipe, read_recipe
from cnclip.errors import CheckpointError, RecipeError, UnknownNameError
from cnclip.hub.settings import hugging_face_cache
from cnclip.model import ChineseClip
from cnclip.text.wordpiece import vocabulary

NAME, BERT = "me/emoji-clip", "hfl/tiny-bert"
Formats = dict[str, dict[str, bytes]]
Same = Callable[[ChineseClip, ChineseClip], bool]


@pytest.fixture
def bert(hub: Any, tiny: ChineseClip, tmp_path: Path) -> dict[str, bytes]:
    """A Hugging Face BERT of our vocabulary, served as a repository."""
    text = tiny.architecture.text
    config = {
        "model_type": "bert", "architectures": ["BertModel"], "hidden_act": "gelu",
        "hidden_size": text.hidden, "num_hidden_layers": text.layers, "num_attention_heads": text.heads,
        "vocab_size": text.vocab_size,
        "intermediate_size": text.intermediate, "max_position_embeddings": text.max_positions,
        "type_vocab_size": 2, "layer_norm_eps": 1e-12, "position_embedding_type": "absolute",
    }  # fmt: skip
    pieces = sorted(vocabulary(), key=vocabulary().__getitem__)
    tensors = {name: 2 * tensor.detach().clone() for name, tensor in tiny.bert.state_dict().items()}
    save_file(tensors, tmp_path / "weights")
    files = {
        "config.json": json.dumps(config).encode(),
        "vocab.txt": ("\n".join(pieces) + "\n").encode(),
        "model.safetensors": (tmp_path / "weights").read_bytes(),
        "README.md": b"",
    }
    hub.files[BERT] = files
    return files


def recipe(*changes: str) -> TrainRecipe:
    return read_recipe(TrainRecipe, ["output=out", "data.train=store", *changes])


@pytest.mark.parametrize("kind", ["native", "hf", "pt"])
def test_a_recipe_starts_from_a_repository(
    hub: Any, formats: Formats, tiny: ChineseClip, same: Same, kind: str
) -> None:
    hub.files[NAME] = formats[kind]
    model, notes = build_model(recipe(f"model.checkpoint={NAME}"), None)
    assert same(model.eval(), tiny)
    assert len(notes) == 1 and str(hugging_face_cache()) in notes[0]


def test_each_tower_of_a_recipe_comes_from_its_own_repository(
    hub: Any, formats: Formats, bert: dict[str, bytes], tiny: ChineseClip
) -> None:
    hub.files[NAME] = formats["pt"]
    changes = [f"model.image.checkpoint={NAME}", f"model.text.checkpoint={BERT}", "model.image.locked=true"]
    model, notes = build_model(recipe(*changes), None)
    assert model.architecture.embed_dim == 16 and len(notes) == 2
    for name, tensor in tiny.visual.state_dict().items():
        assert torch.equal(model.visual.state_dict()[name], tensor)
    for name, tensor in tiny.bert.state_dict().items():
        assert torch.equal(model.bert.state_dict()[name], 2 * tensor)
    assert not any(parameter.requires_grad for parameter in model.visual.parameters())


def test_another_vocabulary_is_refused_with_the_piece_that_differs(hub: Any, bert: dict[str, bytes]) -> None:
    lines = bert["vocab.txt"].decode().split("\n")
    lines[700], lines[701] = lines[701], lines[700]
    bert["vocab.txt"] = "\n".join(lines).encode()
    with pytest.raises(CheckpointError, match="another vocabulary: id 700"):
        build_model(recipe(f"model.text.checkpoint={BERT}"), None)


def test_a_recipes_wrong_names_are_errors_that_help(
    hub: Any, formats: Formats, bert: dict[str, bytes]
) -> None:
    with pytest.raises(CheckpointError, match=r"model\.text\.checkpoint="):
        build_model(recipe(f"model.checkpoint={BERT}"), None)
    with pytest.raises(CheckpointError, match="it holds no image tower"):
        build_model(recipe(f"model.image.checkpoint={BERT}"), None)
    with pytest.raises(UnknownNameError, match="nobody/nothing"):
        build_model(recipe("model.text.checkpoint=nobody/nothing"), None)
    with pytest.raises(RecipeError, match="both name weights"):
        build_model(recipe(f"model.checkpoint={NAME}", f"model.text.checkpoint={BERT}"), None)


def test_going_on_with_a_run_asks_no_hub(hub: Any, tiny: ChineseClip, tmp_path: Path, same: Same) -> None:
    save_checkpoint(tiny, tmp_path / "step-000000005")
    model, _ = build_model(recipe("model.checkpoint=me/gone-by-now"), tmp_path / "step-000000005")
    assert same(model.eval(), tiny) and hub.asked == []


def test_training_and_measuring_take_a_repository(
    hub: Any, formats: Formats, shapes_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.files[NAME] = formats["hf"]
    words = [f"output={tmp_path}/模型", f"run={tmp_path}/run", f"data.train={shapes_store}"]
    words += [
        f"model.checkpoint={NAME}",
        "schedule.steps=2",
        "data.batch_size=4",
        "data.workers=0",
        "threads=1",
    ]
    assert main(["train", *words]) == 0
    assert load_checkpoint(tmp_path / "模型").architecture.embed_dim == 16
    capsys.readouterr()
    assert main(["eval", "retrieval", NAME, str(shapes_store), "--device", "cpu"]) == 0
    assert "emoji-clip" in capsys.readouterr().out
    assert len(hub.bodies()) == len({ask.path for ask in hub.bodies()})


@pytest.mark.parametrize("modelscope", [False, True])
def test_download_show_and_list_tell_the_same_of_an_official_name(
    hub: Any,
    formats: Formats,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    modelscope: bool,
) -> None:
    owner = "AI-ModelScope" if modelscope else "OFA-Sys"
    hub.files[f"{owner}/chinese-clip-rn50"] = {"clip_cn_rn50.pt": formats["pt"]["clip_cn_tiny.pt"]}
    monkeypatch.chdir(tmp_path)
    assert main(["model", "show", "RN50"]) == 0
    assert "not on this machine; cnclip model download RN50" in capsys.readouterr().out
    assert hub.asked == []
    assert main(["model", "download", "RN50", "--modelscope", str(modelscope).lower()]) == 0
    path, size, digest = capsys.readouterr().out.splitlines()
    assert digest == f"sha256 {sha256_file(Path(path))}" and size.endswith("MB)")
    hub.asked.clear()
    assert main(["model", "show", "RN50"]) == 0
    assert digest.split()[1] in capsys.readouterr().out
    assert main(["model", "list", "--json", "true"]) == 0
    assert json.loads(capsys.readouterr().out)["official"]["RN50"]["local"] == path
    assert main(["model", "download", "RN50"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == path and hub.asked == []


def test_download_show_and_diff_take_a_repository(
    hub: Any, formats: Formats, bert: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.files[NAME] = formats["native"]
    assert main(["model", "download", NAME, "--root", str(tmp_path)]) == 0
    place, *lines = capsys.readouterr().out.splitlines()
    assert Path(place) == tmp_path / "me--emoji-clip"
    assert len(lines) == len(formats["native"]) - 1 and not any(".cache" in line for line in lines)
    assert f"sha256: {hub.sha256(NAME, 'model.safetensors')}  model.safetensors" in "\n".join(lines)
    assert main(["model", "show", BERT]) == 0
    assert "can be used as: text tower" in capsys.readouterr().out
    assert main(["model", "diff", NAME, place]) == 0
    assert "identical" in capsys.readouterr().out
    assert main(["model", "list", "--root", str(tmp_path)]) == 0
    assert "me--emoji-clip" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["native", "hf"])
def test_what_is_pushed_is_a_name_again(
    hub: Any, formats: Formats, tiny: ChineseClip, same: Same, kind: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    hub.files["me/first"] = formats[kind]
    assert main(["model", "download", "me/first"]) == 0
    snapshot = capsys.readouterr().out.splitlines()[0]  # full of relative links into the cache
    assert main(["model", "push", snapshot, "me/second", "--message", "第一版"]) == 0
    assert f"/me/second/commit/{hub.commit}" in capsys.readouterr().out
    assert same(load_from_name("me/second", "cpu", tmp_path / "下载")[0], tiny)
    hub.files["me/second"]["README.md"] += "\n在网页上改过\n".encode()
    assert same(load_from_name("me/second", "cpu", tmp_path / "下载二")[0], tiny)
    assert main(["model", "push", str(tmp_path / "下载" / "me--second"), "me/third"]) == 0
    assert same(load_from_name("me/third", "cpu", tmp_path / "下载")[0], tiny)
    assert not any(name.startswith(".cache") for name in hub.files["me/third"])


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["download", "ViT-B/16"], 2, "no official model"),
        (["download", "nobody/nothing"], 2, "no repository nobody/nothing"),
        (["download", "me/readme-only"], 4, "no model in this repository; it has README.md"),
        (["show", "nobody/nothing"], 2, "neither a path that exists nor a repository"),
        (["convert", "nobody/nothing", "out"], 2, "neither a path that exists nor a repository"),
        (["push", "none", "me/m"], 4, "not a checkpoint folder"),
    ],
)
def test_refusals_come_with_their_exit_code(
    hub: Any, words: list[str], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    hub.files["me/readme-only"] = {"README.md": b""}
    assert main(["model", *words]) == code
    shown = capsys.readouterr()
    assert said in shown.err and "fix:" in shown.err and "Traceback" not in shown.err and shown.out == ""
