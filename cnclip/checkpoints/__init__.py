"""Checkpoints: our folders, cn_clip's files, Chinese BERT files; read safely and strictly."""

from cnclip.checkpoints.account import LoadAccount
from cnclip.checkpoints.interpolate import Interpolation, resize_positions
from cnclip.checkpoints.native import (
    load_checkpoint,
    load_with_account,
    read_architecture,
    save_checkpoint,
    write_model,
)
from cnclip.checkpoints.precision import Precision
from cnclip.checkpoints.publish import publish_checkpoint
from cnclip.checkpoints.towers import (
    load_image_tower,
    load_text_tower,
    read_image_architecture,
    read_text_architecture,
)

__all__ = [
    "Interpolation",
    "LoadAccount",
    "Precision",
    "load_checkpoint",
    "load_image_tower",
    "load_text_tower",
    "load_with_account",
    "publish_checkpoint",
    "read_architecture",
    "read_image_architecture",
    "read_text_architecture",
    "resize_positions",
    "save_checkpoint",
    "write_model",
]
