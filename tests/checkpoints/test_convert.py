"""What besides the weights comes through a conversion, and what is said of the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from cnclip.artifacts import read_manifest
from cnclip.checkpoints import save_checkpoint
from cnclip.checkpoints.convert import Conversion, convert_checkpoint
from cnclip.checkpoints.official import OfficialFacts, read_official_facts, write_official
from cnclip.checkpoints.plan import Format, Wanted
from cnclip.checkpoints.to_huggingface import write_hugging_face
from cnclip.errors import ArtifactError
from cnclip.model import BertArchitecture, ChineseClip, ClipArchitecture, VitArchitecture

FACTS = OfficialFacts(name="表情实验", epoch=7, step=1234)
TEXT = BertArchitecture(hidden=64, layers=1, heads=1, intermediate=64)  # the vocabulary of the tokenizer
SHAPE = ClipArchitecture(24, VitArchitecture(width=64, layers=1, heads=1, patch_size=8, resolution=32), TEXT)
PAPERS = {"README.md": "# 卡片", "LICENSE.txt": "MIT", "NOTICE": "n"}


@pytest.fixture(scope="module")
def model() -> ChineseClip:
    return ChineseClip(SHAPE, seed=4).eval()


@pytest.fixture
def foreign(model: ChineseClip, tmp_path: Path) -> Path:
    """A Hugging Face folder as it lies on the hub, written by somebody else."""
    (tmp_path / "别人的").mkdir()
    write_hugging_face(model, tmp_path / "别人的")
    others = {"special_tokens_map.json": "{}", "tf_model.h5": "once more", ".git/a": "1", ".git/b": "22"}
    for name, text in {**PAPERS, **others}.items():
        file = tmp_path / "别人的" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return tmp_path / "别人的"


def convert(source: Path, target: Path, to: Format = "native", *, strip: bool = False) -> Conversion:
    return convert_checkpoint(source, target, Wanted(format=to, strip=strip, replace=target.exists()))


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("between", ["native", "hf"])
def test_name_epoch_and_step_of_a_cn_clip_file_come_back(
    model: ChineseClip, tmp_path: Path, between: Format
) -> None:
    write_official(model, tmp_path / "a.pt", facts=FACTS)
    convert(tmp_path / "a.pt", tmp_path / "folder", between)
    facts = read_manifest(tmp_path / "folder").facts
    assert (facts["name"], facts["epoch"], facts["step"]) == ("表情实验", 7, 1234)
    convert(tmp_path / "folder", tmp_path / "second")
    convert(tmp_path / "second", tmp_path / "b.pt", "cn_clip")
    assert read_official_facts(tmp_path / "b.pt") == FACTS


@pytest.mark.parametrize(
    ("facts", "files", "step"),
    [
        ({"step": 55}, {"metrics.json": '{"published_step": 44}'}, 55),
        ({"step": "no number"}, {"metrics.json": '{"published_step": 44}'}, 44),
        ({}, {"trainer/state.json": '{"step": 33}'}, 33),
        ({}, {"metrics.json": "[]"}, 0),
    ],
)
def test_step_of_a_folder_is_the_manifests_else_what_training_wrote(
    model: ChineseClip, tmp_path: Path, facts: dict[str, object], files: dict[str, str], step: int
) -> None:
    save_checkpoint(model, tmp_path / "微调", facts=facts, extra_files=files)
    convert(tmp_path / "微调", tmp_path / "m.pt", "cn_clip")
    assert read_official_facts(tmp_path / "m.pt") == OfficialFacts(name="微调", step=step)


def test_terms_and_card_of_a_foreign_folder_go_along_and_the_rest_is_named(
    foreign: Path, tmp_path: Path
) -> None:
    done = convert(foreign, tmp_path / "ours")
    assert names(tmp_path / "ours") == {*PAPERS, "MANIFEST.json", "architecture.json", "model.safetensors"}
    assert (tmp_path / "ours" / "README.md").read_text(encoding="utf-8") == "# 卡片"
    reader, other, records = "cnclip has its own", "does not need it", "records of git"
    reasons = {
        "preprocessor_config.json": reader,
        "special_tokens_map.json": reader,
        "tokenizer.json": reader,
        "tokenizer_config.json": reader,
        "vocab.txt": reader,
        "tf_model.h5": other,
        ".git": records,
    }
    assert done.left_out.keys() == reasons.keys()
    assert all(reason in done.left_out[name][1] for name, reason in reasons.items())
    assert done.left_out[".git"][0] == 3 and done.left_out["tf_model.h5"][0] == len("once more")


def test_each_format_keeps_what_it_has_a_place_for(foreign: Path, tmp_path: Path) -> None:
    rewritten = convert(foreign, tmp_path / "hf", "hf")
    assert rewritten.left_out.keys() == {"special_tokens_map.json", "tf_model.h5", ".git"}
    assert set(PAPERS) < names(tmp_path / "hf")
    convert(foreign, tmp_path / "ours")
    assert convert(tmp_path / "ours", tmp_path / "there", "hf").left_out == {}
    assert set(PAPERS) < names(tmp_path / "there")
    file = convert(tmp_path / "ours", tmp_path / "m.pt", "cn_clip")
    assert file.left_out.keys() == {*PAPERS, "MANIFEST.json"}
    assert all("no place" in reason for _, reason in file.left_out.values())


def test_facts_of_our_own_hugging_face_folder_come_back(model: ChineseClip, tmp_path: Path) -> None:
    save_checkpoint(model, tmp_path / "a", facts={"step": 55, "global_batch_size": 256})
    convert(tmp_path / "a", tmp_path / "hf", "hf")
    convert(tmp_path / "hf", tmp_path / "b")
    facts = read_manifest(tmp_path / "b").facts
    assert (facts["step"], facts["global_batch_size"], facts["converted_from"]) == (55, 256, "hf")
    (tmp_path / "hf" / "tokenizer_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"tokenizer_config\.json"):
        convert(tmp_path / "hf", tmp_path / "b")


def test_a_source_that_is_replaced_is_measured_before(model: ChineseClip, tmp_path: Path) -> None:
    state = json.dumps({"filling": "x" * 50_000})
    save_checkpoint(model, tmp_path / "a", extra_files={"trainer/state.json": state})
    before = sum(path.stat().st_size for path in (tmp_path / "a").rglob("*") if path.is_file())
    done = convert(tmp_path / "a", tmp_path / "a", strip=True)
    after = sum(path.stat().st_size for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert (done.source_bytes, done.target_bytes) == (before, after) and before - after > 50_000


def test_a_torchscript_archive_has_no_facts_and_is_no_error(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.trace(torch.nn.Linear(3, 2), torch.zeros(1, 3)), tmp_path / "openai.pt")
    assert read_official_facts(tmp_path / "openai.pt") is None
