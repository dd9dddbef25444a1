"""Read `open_clip_config.json`: what an open_clip image tower computes that its tensors do not show."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from cnclip.checkpoints.described import Claim, DescribedTowers, check_claims
from cnclip.checkpoints.detect import detect_embed_dim, detect_image_tower
from cnclip.checkpoints.huggingface import read_table
from cnclip.errors import CheckpointError
from cnclip.images.transform import IMAGE_MEAN
from cnclip.model import ImageArchitecture, ResNetArchitecture, VitArchitecture
from cnclip.towers.resnet import TOTAL_STRIDE

CONFIG_FILE = "open_clip_config.json"
WEIGHT_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_HEAD_WIDTH = 64  # open_clip's own default
_PLAIN = {  # a tower like OpenAI's has these values, written or not
    "timm_model_name": None, "attentional_pool": False, "ls_init_value": None, "no_ln_pre": False,
    "input_patchnorm": False, "global_average_pool": False, "pool_type": "tok", "mlp_ratio": 4.0,
    "pos_embed_type": "learnable", "final_ln_after_pool": False, "act_kwargs": None, "norm_kwargs": None,
}  # fmt: skip
_logger = logging.getLogger(__name__)


def find_open_clip(folder: Path) -> Path | None:
    """The weight file of an open_clip folder; None where the folder is none."""
    return next((folder / name for name in WEIGHT_FILES if (folder / name).is_file()), None)


def describe_open_clip(folder: Path, official: Mapping[str, Tensor]) -> DescribedTowers:
    """The image tower of an open_clip folder, compared with its tensors.

    Args:
        folder: with or without a configuration.
        official: tensors under their official names.

    Raises:
        CheckpointError: a tower of another kind than OpenAI's, or a contradiction: key, both values, file.
    """
    file = folder / CONFIG_FILE
    if not file.is_file():
        return DescribedTowers(kind=f"open_clip folder without {CONFIG_FILE}")
    config = read_table(file)
    model = _table(config.get("model_cfg"), "model_cfg", file)
    vision = _table(model.get("vision_cfg"), "model_cfg.vision_cfg", file)
    prefix = "model_cfg.vision_cfg."
    check_claims(
        [
            Claim(prefix + key, vision[key], plain, "our tower")
            for key, plain in _PLAIN.items()
            if key in vision
        ],
        file=file,
    )
    image = detect_image_tower(
        official,
        where=str(folder),
        heads=_heads(official, vision, file),
        activation="quick_gelu" if model.get("quick_gelu", False) is True else "gelu",
    )
    claims = [(prefix + key, _one(vision.get(key)), truth) for key, truth in _sizes(image).items()]
    claims.append(("model_cfg.embed_dim", model.get("embed_dim"), detect_embed_dim(official)))
    check_claims((Claim(*claim, "tensors") for claim in claims if claim[1] is not None), file=file)
    mean = _table(config.get("preprocess_cfg") or {}, "preprocess_cfg", file).get("mean", list(IMAGE_MEAN))
    if mean != list(IMAGE_MEAN):
        _logger.warning("%s: trained on pixels of mean %s, ours have %s", file, mean, list(IMAGE_MEAN))
    return DescribedTowers("open_clip folder", image=image, embed_dim=detect_embed_dim(official))


def _one(size: Any) -> Any:
    """A side of a square that is written as height and width."""
    return size[0] if isinstance(size, list) and len(size) == 2 and size[0] == size[1] else size


def _sizes(image: ImageArchitecture) -> dict[str, Any]:
    if isinstance(image, VitArchitecture):
        return {
            "width": image.width,
            "layers": image.layers,
            "patch_size": image.patch_size,
            "image_size": image.resolution,
        }
    if isinstance(image, ResNetArchitecture):
        return {"width": image.width, "layers": list(image.layers), "image_size": image.resolution}
    return {}


def _heads(official: Mapping[str, Tensor], vision: Mapping[str, Any], file: Path) -> int | None:
    head_width = vision.get("head_width", _HEAD_WIDTH)
    if "visual.conv3.weight" in official:
        width = len(official["visual.conv3.weight"]) * TOTAL_STRIDE
    elif "visual.conv1.weight" in official:
        width = len(official["visual.conv1.weight"])
    else:
        return None
    if isinstance(head_width, bool) or not isinstance(head_width, int) or not 0 < head_width <= width:
        raise CheckpointError(f"model_cfg.vision_cfg.head_width cannot be {head_width!r}", where=str(file))
    return width // head_width


def _table(value: object, key: str, file: Path) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise CheckpointError(f"{key} is not a table", where=str(file))
    return value
