"""Write a model as a folder that the transformers library reads: `ChineseCLIPModel`, tokenizer, processor.

Nothing of that library is needed to write it. The settings are those under which it computes what we do: it
squashes pictures to the model's square (its own default would crop them), and pads captions with id 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from cnclip.artifacts import write_json
from cnclip.checkpoints.fitting import check_finite
from cnclip.checkpoints.hugging_config import VISION_EPS
from cnclip.checkpoints.hugging_tokenizer import write_tokenizer
from cnclip.checkpoints.huggingface import CONFIG_FILE
from cnclip.checkpoints.names import to_official
from cnclip.checkpoints.opened import MODEL_FILE
from cnclip.checkpoints.writing import write_safetensors
from cnclip.errors import CheckpointError
from cnclip.images.transform import IMAGE_MEAN, IMAGE_STD
from cnclip.model import BertArchitecture, ChineseClip, ClipArchitecture, FeatureArchitecture, VitArchitecture
from cnclip.text.wordpiece import CONTEXT_LENGTH, PAD_ID, VOCAB_SIZE
from cnclip.towers.bert import INITIALIZER_STD, LAYER_NORM_EPS
from cnclip.towers.vit import MLP_RATIO

MODEL_TYPE = "chinese_clip"
PREPROCESSOR_FILE = "preprocessor_config.json"
_TRANSPOSED = {"text_projection": "text_projection.weight", "visual.proj": "visual_projection.weight"}
_NAMES = {
    "logit_scale": "logit_scale",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
}
_RENAMES = (  # "layrnorm" is how the library spells it
    (re.compile(r"^bert\."), "text_model."),
    (re.compile(r"^visual\.ln_pre\."), "vision_model.pre_layrnorm."),
    (re.compile(r"^visual\.ln_post\."), "vision_model.post_layernorm."),
    (re.compile(r"^visual\.transformer\.resblocks\.(\d+)\."), r"vision_model.encoder.layers.\1."),
    (re.compile(r"^(vision_model\..*)\.ln_([12])\."), r"\1.layer_norm\2."),
    (re.compile(r"^(vision_model\..*)\.mlp\.c_fc\."), r"\1.mlp.fc1."),
    (re.compile(r"^(vision_model\..*)\.mlp\.c_proj\."), r"\1.mlp.fc2."),
    (re.compile(r"^(vision_model\..*)\.attn\.out_proj\."), r"\1.self_attn.out_proj."),
)
_JOINED = re.compile(r"^visual\.transformer\.resblocks\.(\d+)\.attn\.in_proj_(weight|bias)$")


def write_hugging_face(model: ChineseClip, folder: Path) -> None:
    """Write weights, configuration, tokenizer and picture settings into a folder the caller makes final.

    Args:
        model: with any type of weights; they are written as they are (`set_precision` changes them).
        folder: there already.

    Raises:
        CheckpointError: the library has no such architecture, or a weight is NaN or infinite.
        ArtifactError: our own vocabulary file is damaged.
        ResourceError: disk full, no permission.
    """
    image = check_hugging_face(model.architecture, where=str(folder))
    official = to_official({name: tensor.detach().cpu() for name, tensor in model.state_dict().items()})
    check_finite(official, where=folder)
    write_safetensors(hugging_face_tensors(official), folder / MODEL_FILE)
    write_json(folder / CONFIG_FILE, hugging_face_config(model.architecture, model.dtype))
    write_json(folder / PREPROCESSOR_FILE, _preprocessor(image.resolution))
    write_tokenizer(folder, min(CONTEXT_LENGTH, model.architecture.text.max_positions))


def hugging_face_tensors(official: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Official names -> names of `ChineseCLIPModel`, as views: nothing is copied.

    Args:
        official: tensors of a model with a vision transformer.
    """
    named: dict[str, Tensor] = {}
    for name, tensor in official.items():
        joined = _JOINED.match(name)
        if joined is not None:
            layer, kind = joined.groups()
            prefix = f"vision_model.encoder.layers.{layer}.self_attn."
            for part, rows in zip("qkv", tensor.chunk(3), strict=True):
                named[f"{prefix}{part}_proj.{kind}"] = rows
        elif name in _TRANSPOSED:
            named[_TRANSPOSED[name]] = tensor.T
        else:
            named[_renamed(name)] = tensor
    return named


def hugging_face_config(architecture: ClipArchitecture, dtype: torch.dtype) -> dict[str, Any]:
    """The content of `config.json`.

    Args:
        architecture: with a vision transformer.
        dtype: of the weights in the file; the library loads them in this type.
    """
    image, text = architecture.image, architecture.text
    assert isinstance(image, VitArchitecture), "only a vision transformer has a class there"
    return {
        "architectures": ["ChineseCLIPModel"],
        "model_type": MODEL_TYPE,
        "dtype": str(dtype).removeprefix("torch."),
        "projection_dim": architecture.embed_dim,
        "logit_scale_init_value": 2.6592,
        "initializer_factor": 1.0,
        "text_config": _text_config(text),
        "vision_config": {
            "model_type": f"{MODEL_TYPE}_vision_model",
            "hidden_size": image.width,
            "intermediate_size": MLP_RATIO * image.width,
            "num_hidden_layers": image.layers,
            "num_attention_heads": image.heads,
            "num_channels": 3,
            "image_size": image.resolution,
            "patch_size": image.patch_size,
            "projection_dim": architecture.embed_dim,
            "hidden_act": image.activation,
            "layer_norm_eps": VISION_EPS,
            "attention_dropout": 0.0,
        },
    }


def _text_config(text: BertArchitecture) -> dict[str, Any]:
    return {
        "model_type": f"{MODEL_TYPE}_text_model",
        "vocab_size": text.vocab_size,
        "hidden_size": text.hidden,
        "intermediate_size": text.intermediate,
        "num_hidden_layers": text.layers,
        "num_attention_heads": text.heads,
        "max_position_embeddings": text.max_positions,
        "type_vocab_size": text.type_vocab_size,
        "hidden_act": "gelu",
        "hidden_dropout_prob": text.dropout,
        "attention_probs_dropout_prob": text.attention_dropout,
        "layer_norm_eps": LAYER_NORM_EPS,
        "initializer_range": INITIALIZER_STD,
        "pad_token_id": PAD_ID,
    }


def check_hugging_face(architecture: ClipArchitecture, *, where: str) -> VitArchitecture:
    """The image tower, where the library can hold this model at all.

    Raises:
        CheckpointError: no vision transformer, or a vocabulary that the tokenizer does not fit.
    """
    image, text = architecture.image, architecture.text
    if not isinstance(image, VitArchitecture):
        kind = "ready-made features" if isinstance(image, FeatureArchitecture) else "a ResNet (RN50)"
        raise CheckpointError(
            f"ChineseCLIPModel of transformers has vision transformers only; this image tower is {kind}",
            where=where,
            fix="--to native or --to cn_clip",
        )
    if text.vocab_size < VOCAB_SIZE:
        raise CheckpointError(
            f"the text tower knows {text.vocab_size} tokens, the tokenizer that goes with it {VOCAB_SIZE}",
            where=where,
            fix="--to native",
        )
    return image


def _renamed(name: str) -> str:
    if name in _NAMES:
        return _NAMES[name]
    for pattern, replacement in _RENAMES:
        name = pattern.sub(replacement, name)
    return name


def _preprocessor(resolution: int) -> dict[str, Any]:
    square = {"height": resolution, "width": resolution}
    return {
        "image_processor_type": "ChineseCLIPImageProcessor",
        "processor_class": "ChineseCLIPProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": square,
        "resample": int(Image.Resampling.BICUBIC),
        "do_center_crop": False,
        "crop_size": square,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(IMAGE_MEAN),
        "image_std": list(IMAGE_STD),
    }
