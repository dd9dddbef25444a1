"""The type of a model's weights: float32, either half type, or float32 rounded as cn_clip rounds."""

from __future__ import annotations

import re
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from cnclip.errors import UnknownNameError

Precision = Literal["fp32", "bf16", "fp16", "cn_clip"]
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
# What cn_clip leaves in float32 when it halves a model: norms, tables and classes of the image tower.
_NOT_ROUNDED = re.compile(
    r"^logit_scale$|^visual\.(?:.*\.)?(?:class_embedding$|positional_embedding$|ln_\w+\.|bn\d\.|downsample\.1\.)"
)


def check_precision(precision: str) -> None:
    """Refuse a word that is no precision.

    Raises:
        UnknownNameError: with the known ones.
    """
    if precision not in get_args(Precision):
        known = ", ".join(get_args(Precision))
        raise UnknownNameError(f"precision={precision!r} is unknown", fix=f"one of: {known}")


def set_precision(model: nn.Module, precision: Precision) -> None:
    """Give a model the types of a precision, in place.

    In half precision `logit_scale` and BatchNorm stay float32: exp(logit_scale) has no digits to lose, and
    running statistics lie outside what float16 can hold. LayerNorm and softmax count in float32 inside.
    """
    kind = _TYPES.get(precision, torch.float32)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            continue
        for name, parameter in module.named_parameters(recurse=False):
            if name != "logit_scale":
                parameter.data = parameter.data.to(kind)


def round_as_cn_clip(name: str, tensor: Tensor) -> Tensor:
    """A float32 tensor with the values that it has after cn_clip's detour through float16.

    Args:
        name: official name; some tensors are not rounded.
        tensor: float32.
    """
    if _NOT_ROUNDED.search(name) or not tensor.is_floating_point():
        return tensor
    return tensor.half().to(tensor.dtype)
