"""Start one tower from a file: ours, cn_clip's, or for text a Hugging Face BERT or RoBERTa-wwm."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cnclip.artifacts import read_json
from cnclip.checkpoints.account import LoadAccount
from cnclip.checkpoints.detect import detect_image, detect_text
from cnclip.checkpoints.fitting import fit
from cnclip.checkpoints.names import official_tensors, to_memory, to_official
from cnclip.checkpoints.opened import OpenedCheckpoint, is_native, open_checkpoint
from cnclip.checkpoints.reading import map_tensors
from cnclip.errors import CheckpointError
from cnclip.model import BertArchitecture, ChineseClip, ImageArchitecture

_IMAGE, _TEXT, _TEXT_PROJECTION = "visual.", "bert.", "text_projection"
_OTHER_PART = "not a part of this tower, or asked to be skipped"
_BERT_FILES = ("model.safetensors", "pytorch_model.bin")
_BERT_MEANING = {"hidden_act": "gelu", "layer_norm_eps": 1e-12, "position_embedding_type": "absolute"}


def load_image_tower(model: ChineseClip, path: str | Path, *, skip: Collection[str] = ()) -> LoadAccount:
    """Set the image tower with its projection from a checkpoint folder or file.

    Args:
        model: changed in place; the text tower and `logit_scale` stay.
        path: a checkpoint folder of ours, or a file with `visual.*` names (cn_clip's, OpenAI's state dict).
        skip: official names that keep their values, an intended gap (`visual.proj`).

    Raises:
        CheckpointError: anything of the tower is missing, left over, or of another shape.
    """
    return _load(model, open_checkpoint(path), prefixes=(_IMAGE,), skip=skip)


def load_text_tower(model: ChineseClip, path: str | Path, *, skip: Collection[str] = ()) -> LoadAccount:
    """Set the text tower from a checkpoint folder or file, or from a Hugging Face BERT.

    A BERT has no text projection: that one keeps its values, and the account says so.

    Args:
        model: changed in place; the image tower and `logit_scale` stay.
        path: a checkpoint folder of ours, a file with `bert.*` names, or a Hugging Face folder.
        skip: official names that keep their values, an intended gap (`text_projection`).

    Raises:
        CheckpointError: anything of the tower is missing, left over, or of another shape.
    """
    opened = _open_text(Path(path))
    _check_bert_config(_bert_config(Path(path)), model.architecture.text, where=str(path))
    if _TEXT_PROJECTION not in opened.tensors:
        skip = {*skip, _TEXT_PROJECTION}
    return _load(model, opened, prefixes=(_TEXT, _TEXT_PROJECTION), skip=skip)


def read_image_architecture(path: str | Path) -> tuple[ImageArchitecture, int]:
    """The image tower in a checkpoint folder or file, and the length of its embeddings.

    Raises:
        CheckpointError: no image tower there.
    """
    opened = open_checkpoint(path)
    if opened.architecture is not None:
        return opened.architecture.image, opened.architecture.embed_dim
    return detect_image(opened.tensors, where=str(path))


def read_text_architecture(path: str | Path) -> BertArchitecture:
    """The text tower in a checkpoint folder or file, or in a Hugging Face BERT folder.

    Raises:
        CheckpointError: no text tower there.
    """
    opened = _open_text(Path(path))
    if opened.architecture is not None:
        return opened.architecture.text
    heads = _bert_config(Path(path)).get("num_attention_heads")
    return detect_text(opened.tensors, where=str(path), heads=heads if isinstance(heads, int) else None)


def _open_text(path: Path) -> OpenedCheckpoint:
    if not path.is_dir() or is_native(path):
        return open_checkpoint(path)
    file = next((path / name for name in _BERT_FILES if (path / name).is_file()), None)
    if file is None:
        raise CheckpointError(f"the folder has none of {', '.join(_BERT_FILES)}", where=str(path))
    mapped = map_tensors(file)
    official = official_tensors(mapped.tensors, where=str(file))
    return OpenedCheckpoint(
        path=path,
        kind="Hugging Face folder",
        tensors=official.tensors,
        origins=official.origins,
        dropped=official.dropped,
        architecture=None,
        release=mapped.release,
    )


def _bert_config(path: Path) -> Mapping[str, Any]:
    file = path / "config.json"
    value = read_json(file) if path.is_dir() and not is_native(path) and file.is_file() else {}
    if not isinstance(value, dict):
        raise CheckpointError("not a model configuration", where=str(file))
    return value


def _check_bert_config(config: Mapping[str, Any], text: BertArchitecture, *, where: str) -> None:
    """What the tensors do not show must agree too: heads, activation, norm, positions."""
    wanted = {"num_attention_heads": text.heads, **_BERT_MEANING}
    wrong = [
        f"{key}: file {config[key]}, model {value}"
        for key, value in wanted.items()
        if config.get(key, value) != value
    ]
    if wrong:
        raise CheckpointError(
            "\n    ".join(["the folder's config.json describes another kind of text tower", *wrong]),
            where=where,
        )


def _load(
    model: ChineseClip, opened: OpenedCheckpoint, *, prefixes: tuple[str, ...], skip: Collection[str]
) -> LoadAccount:
    state = model.state_dict()
    tower = {name: tensor for name, tensor in to_official(state).items() if name.startswith(prefixes)}
    unknown = sorted(set(skip) - set(tower))
    assert not unknown, f"{unknown} are not tensors of this tower"
    found = {n: t for n, t in opened.tensors.items() if n.startswith(prefixes) and n not in skip}
    expected = {name: tensor for name, tensor in tower.items() if name not in skip}
    fitted = fit(found, expected, where=opened.path)
    _copy(state, to_memory(fitted))
    return LoadAccount(
        source=str(opened.path),
        kind=opened.kind,
        loaded={name: opened.origins[name] for name in fitted},
        new=tuple(name for name in tower if name in skip),
        dropped={
            **opened.dropped,
            **{opened.origins[name]: _OTHER_PART for name in opened.tensors if name not in fitted},
        },
    )


@torch.no_grad()
def _copy(state: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Write into the model's own tensors, so that optimizers and wrappers that know them stay right."""
    for name, value in values.items():
        state[name].copy_(value)
