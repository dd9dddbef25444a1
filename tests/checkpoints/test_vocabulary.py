"""A text tower must have learned with the tokenizer's own ids."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cnclip.checkpoints import load_text_tower, read_text_architecture
from cnclip.checkpoints.names import to_official
from cnclip.checkpoints.vocabulary import check_vocabulary, check_word_table
from cnclip.errors import CheckpointError
from cnclip.model import BertArchitecture, ChineseClip, ClipArchitecture, FeatureArchitecture


def our_lines() -> list[str]:
    text = resources.files("cnclip.text").joinpath("vocab.txt").read_bytes().decode("utf-8")
    return text.removesuffix("\n").split("\n")


def write_lines(folder: Path, lines: list[str], end: str = "\n") -> None:
    (folder / "vocab.txt").write_bytes((end.join(lines) + end).encode("utf-8"))


def write_json(folder: Path, lines: list[str]) -> None:
    vocab = {piece: token_id for token_id, piece in enumerate(lines)}
    content = {"model": {"type": "WordPiece", "vocab": vocab}}
    (folder / "tokenizer.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_our_own_vocabulary_is_accepted(tmp_path: Path, end: str) -> None:
    assert len(our_lines()) == 21128
    check_vocabulary(tmp_path)
    write_json(tmp_path, our_lines())
    check_vocabulary(tmp_path)
    write_lines(tmp_path, our_lines(), end)
    check_vocabulary(tmp_path)
    (tmp_path / "vocab.txt").write_bytes("\n".join(our_lines()).encode("utf-8"))
    check_vocabulary(tmp_path)


def test_first_line_that_differs_is_shown(tmp_path: Path) -> None:
    lines = our_lines()
    lines[8000], lines[9000] = lines[9000], lines[8000]
    message = f"id 8000 is {lines[8000]!r} there, {lines[9000]!r} here"
    write_json(tmp_path, lines)
    with pytest.raises(CheckpointError, match=message):
        check_vocabulary(tmp_path)
    write_lines(tmp_path, lines)
    with pytest.raises(CheckpointError, match=message) as caught:
        check_vocabulary(tmp_path)
    assert caught.value.where == f"{tmp_path / 'vocab.txt'}:8001"


def test_shorter_and_longer_vocabularies_are_refused(tmp_path: Path) -> None:
    write_lines(tmp_path, our_lines()[:-1])
    with pytest.raises(CheckpointError, match="id 21127 is nothing there"):
        check_vocabulary(tmp_path)
    write_lines(tmp_path, [*our_lines(), "[新词]"])
    with pytest.raises(CheckpointError, match=r"id 21128 is '\[新词\]' there, nothing here"):
        check_vocabulary(tmp_path)


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"model": {"vocab": [["▁", -1.0]]}}', '{"model": {"vocab": {"a": -1}}}']
)
def test_tokenizers_of_another_kind_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError):
        check_vocabulary(tmp_path)
    (tmp_path / "vocab.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(CheckpointError, match="cannot be read"):
        check_vocabulary(tmp_path)


@pytest.mark.parametrize(
    ("rows", "which"), [(30522, "English"), (250002, "XLM-R"), (49408, "CLIP"), (21127, "21127 rows; our")]
)
def test_length_of_the_word_table_tells_which_vocabulary_it_is(rows: int, which: str) -> None:
    check_word_table(21128, where="x")
    with pytest.raises(CheckpointError, match=which):
        check_word_table(rows, where="x")


def test_folders_are_checked_before_anything_is_loaded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = BertArchitecture(hidden=64, layers=1, heads=1, intermediate=8, max_positions=8)
    model = ChineseClip(ClipArchitecture(4, FeatureArchitecture(4), text))
    tensors = {n: t.clone() for n, t in to_official(model.state_dict()).items() if n.startswith("bert.")}
    save_file(tensors, tmp_path / "model.safetensors")
    with caplog.at_level("INFO"):
        assert read_text_architecture(tmp_path) == text
    assert "only the size of the vocabulary is checked" in caplog.text
    write_lines(tmp_path, our_lines()[::-1])
    for read in (read_text_architecture, lambda folder: load_text_tower(model, folder)):
        with pytest.raises(CheckpointError, match="another vocabulary: id 0"):
            read(tmp_path)
    (tmp_path / "vocab.txt").unlink()
    name = "bert.embeddings.word_embeddings.weight"
    save_file({**tensors, name: torch.zeros(30522, 64)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="30522 rows, BERT's English one; our tokenizer has 21128 ids"):
        read_text_architecture(tmp_path)
