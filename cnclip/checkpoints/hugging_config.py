"""Read `config.json` of a Hugging Face folder: which towers are there, and what their tensors do not show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from torch import Tensor

from cnclip.architecture import Activation
from cnclip.checkpoints.described import Claim, DescribedTowers, check_claims
from cnclip.checkpoints.detect import detect_embed_dim, detect_image_tower, detect_text
from cnclip.errors import CheckpointError
from cnclip.model import BertArchitecture, ClipArchitecture, VitArchitecture
from cnclip.towers.bert import LAYER_NORM_EPS
from cnclip.towers.vit import MLP_RATIO

VISION_EPS = 1e-5  # torch's default, which our image tower uses
_PROJECTION_DIM, _HEADS = 512, 12  # what the library takes where a configuration is silent
_WHOLE, _ENGLISH = "chinese_clip", "clip"
_IMAGE = ("clip_vision_model", "chinese_clip_vision_model")
_TEXT = ("bert", "chinese_clip_text_model")
_TENSORS, _TOWER = "tensors", "our tower"
_REFUSALS = {
    "clip_text_model": "an English text tower of CLIP, with another vocabulary and tokenizer",
    "roberta": "a RoBERTa: it counts positions from 2 and has another vocabulary (the Chinese RoBERTa-wwm "
    'models are BERTs, and their config.json says "bert")',
    "xlm-roberta": "an XLM-R: it counts positions from 2 and has another vocabulary and tokenizer",
}


def describe_towers(config: Mapping[str, Any], official: Mapping[str, Tensor], file: Path) -> DescribedTowers:
    """The towers that a folder describes, after comparing every number with the tensors.

    Args:
        config: content of `config.json`; {} where the folder has none.
        official: tensors under their official names.
        file: path of `config.json`, for errors.

    Raises:
        CheckpointError: a model that cannot be read here, or a contradiction: key, both values, file.
    """
    kind = f"Hugging Face folder ({_class_name(config)})"
    if not config:
        return DescribedTowers(kind="Hugging Face folder without config.json")
    model_type = config.get("model_type")
    if model_type is None and "bert.embeddings.word_embeddings.weight" in official:
        model_type = "bert"  # configurations of 2019 do not say it
    if model_type == _WHOLE:
        image = _vision(_section(config, "vision_config", file), "vision_config.", official, file)
        text = _text(_section(config, "text_config", file), "text_config.", official, file)
        embed_dim = _projection_dim(config, official, file)
        whole = ClipArchitecture(embed_dim=embed_dim, image=image, text=text)
        return DescribedTowers(kind, whole, image, text, embed_dim)
    if model_type == _ENGLISH or model_type in _IMAGE:
        _refuse_other(model_type, official, "bert.", "text", file)
        nested = model_type == _ENGLISH
        section = _section(config, "vision_config", file) if nested else config
        image = _vision(section, "vision_config." if nested else "", official, file)
        return DescribedTowers(kind, image=image, embed_dim=_projection_dim(config, official, file))
    if model_type in _TEXT:
        _refuse_other(model_type, official, "visual.", "image", file)
        return DescribedTowers(kind, text=_text(config, "", official, file))
    raise _refusal(model_type, file)


def _refuse_other(
    model_type: object, official: Mapping[str, Tensor], prefix: str, tower: str, file: Path
) -> None:
    """A configuration of one tower beside weights of both would leave the other one unexplained."""
    if any(name.startswith(prefix) for name in official):
        raise CheckpointError(
            f"model_type {model_type!r} has no {tower} tower, the weights hold one", where=str(file)
        )


def _refusal(model_type: object, file: Path) -> CheckpointError:
    what = _REFUSALS.get(str(model_type), "not a kind of model that can be read here")
    known = ", ".join((_WHOLE, _ENGLISH, *_IMAGE, *_TEXT))
    return CheckpointError(
        f"model_type {model_type!r} is {what}", where=str(file), fix=f"give a folder of type {known}"
    )


def _class_name(config: Mapping[str, Any]) -> str:
    names = config.get("architectures")
    if isinstance(names, list) and names and isinstance(names[0], str):
        return names[0]
    return str(config.get("model_type"))


def _section(config: Mapping[str, Any], key: str, file: Path) -> Mapping[str, Any]:
    """A tower's part; old folders say some of it a second time under `…_dict`, which then prevails."""
    section: dict[str, Any] = {}
    for name in (key, f"{key}_dict"):
        part = config.get(name) or {}
        if not isinstance(part, dict):
            raise CheckpointError(f"{name} is not a table", where=str(file))
        section.update(part)
    return section


def _projection_dim(config: Mapping[str, Any], official: Mapping[str, Tensor], file: Path) -> int:
    value = config.get("projection_dim", _PROJECTION_DIM)
    held = detect_embed_dim(official)
    check_claims([Claim("projection_dim", value, value if held is None else held, _TENSORS)], file=file)
    return _count(value, "projection_dim", file)


def _vision(
    section: Mapping[str, Any], prefix: str, official: Mapping[str, Tensor], file: Path
) -> VitArchitecture:
    heads = _count(section.get("num_attention_heads", _HEADS), f"{prefix}num_attention_heads", file)
    activation = section.get("hidden_act", "quick_gelu")
    if activation not in get_args(Activation):
        known = " or ".join(get_args(Activation))
        check_claims([Claim(f"{prefix}hidden_act", activation, known, _TOWER)], file=file)
    image = detect_image_tower(official, where=str(file), heads=heads, activation=activation)
    if not isinstance(image, VitArchitecture):
        raise CheckpointError(
            "config.json describes a vision transformer, the weights another tower", where=str(file)
        )
    inner = official.get("visual.transformer.resblocks.0.mlp.c_fc.bias")
    sizes = {
        "hidden_size": image.width,
        "num_hidden_layers": image.layers,
        "image_size": image.resolution,
        "patch_size": image.patch_size,
        **({} if inner is None else {"intermediate_size": len(inner)}),
    }
    computed = {
        "intermediate_size": MLP_RATIO * image.width,
        "layer_norm_eps": VISION_EPS,
        "num_channels": 3,
    }
    check_claims(_claims(section, prefix, sizes, _TENSORS), file=file)
    check_claims(_claims(section, prefix, computed, _TOWER), file=file)
    return image


def _text(
    section: Mapping[str, Any], prefix: str, official: Mapping[str, Tensor], file: Path
) -> BertArchitecture:
    computed = {
        "hidden_act": "gelu",
        "layer_norm_eps": LAYER_NORM_EPS,
        "position_embedding_type": "absolute",
        "is_decoder": False,
        "embedding_size": section.get("hidden_size"),  # of other sizes in ELECTRA and ALBERT
    }
    check_claims(_claims(section, prefix, computed, _TOWER), file=file)
    text = detect_text(
        official,
        where=str(file),
        heads=_count(section.get("num_attention_heads", _HEADS), f"{prefix}num_attention_heads", file),
        dropout=section.get("hidden_dropout_prob", 0.1),
        attention_dropout=section.get("attention_probs_dropout_prob", 0.1),
    )
    sizes = {
        "hidden_size": text.hidden,
        "num_hidden_layers": text.layers,
        "intermediate_size": text.intermediate,
        "vocab_size": text.vocab_size,
        "max_position_embeddings": text.max_positions,
        "type_vocab_size": text.type_vocab_size,
    }
    check_claims(_claims(section, prefix, sizes, _TENSORS), file=file)
    return text


def _claims(
    section: Mapping[str, Any], prefix: str, truths: Mapping[str, Any], source: str
) -> Iterator[Claim]:
    """Claims of the keys that are written; another claims nothing."""
    return (
        Claim(prefix + key, section[key], truth, source) for key, truth in truths.items() if key in section
    )


def _count(value: object, key: str, file: Path) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise CheckpointError(f"{key} cannot be {value!r}", where=str(file))
    return value
