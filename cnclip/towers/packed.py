"""Linear layers in the blocked layout of the CPU's matrix library: inference only, at equal output.

An ordinary product brings the weight matrix into that layout each time it is called; for the few rows of one
caption that costs as much as a third of the product. The operators are those that torch.compile itself emits.
"""

from __future__ import annotations

from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from cnclip.errors import CnclipError
from cnclip.towers.bert import Intermediate
from cnclip.towers.vit import QUICK_GELU, Mlp

TYPES = (torch.float32, torch.bfloat16)


class PackedLinear(nn.Module):
    """activation(scale·rows·Wᵀ + bias_scale·bias) in one call.

    Args:
        linear: where the weights come from; they are copied.
        activation: "swish" is x·sigmoid(x), "gelu" the exact GELU.
        scale: factor on the weight.
        bias_scale: factor on the bias.
    """

    def __init__(
        self,
        linear: nn.Linear,
        *,
        activation: Literal["none", "swish", "gelu"] = "none",
        scale: float = 1.0,
        bias_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.activation = activation
        weight, bias = linear.weight.detach(), linear.bias.detach()
        if scale != 1.0:
            weight = weight * scale
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight)
        self.packed_bias = bias * bias_scale if bias_scale != 1.0 else bias

    def forward(self, rows: Tensor) -> Tensor:
        """Float [..., inputs] -> [..., outputs]."""
        algorithm = "none" if self.activation == "gelu" else ""
        outputs: Tensor = torch.ops.mkldnn._linear_pointwise(
            rows, self.packed, self.packed_bias, self.activation, [], algorithm
        )
        return outputs

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        raise _fixed("saved")

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        raise _fixed("moved or converted")

    def __deepcopy__(self, memo: Any) -> Self:
        raise _fixed("copied")


def _fixed(deed: str) -> CnclipError:
    return CnclipError(
        f"a model that was packed for inference cannot be {deed}",
        fix="load the model again; choose device and precision then, and pack it last",
    )


class PackedMlp(nn.Module):
    """`vit.Mlp`, with QuickGELU as swish(1.702x) / 1.702 and both factors in the weights."""

    def __init__(self, mlp: Mlp) -> None:
        super().__init__()
        if mlp.activation == "gelu":
            self.c_fc = PackedLinear(mlp.c_fc, activation="gelu")
            self.c_proj = PackedLinear(mlp.c_proj)
        else:
            self.c_fc = PackedLinear(mlp.c_fc, activation="swish", scale=QUICK_GELU, bias_scale=QUICK_GELU)
            self.c_proj = PackedLinear(mlp.c_proj, scale=1 / QUICK_GELU)

    def forward(self, hidden: Tensor) -> Tensor:
        """[B, L, W] -> [B, L, W]."""
        projected: Tensor = self.c_proj(self.c_fc(hidden))
        return projected


def can_pack(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether this build of torch packs weights of that type, and whether they lie on the CPU."""
    mkldnn: Any = torch.ops.mkldnn
    if device.type != "cpu" or dtype not in TYPES or not hasattr(mkldnn, "_linear_pointwise"):
        return False
    return hasattr(mkldnn, "_reorder_linear_weight") and (
        dtype == torch.float32 or bool(mkldnn._is_mkldnn_bf16_supported())
    )


def pack_linears(module: nn.Module) -> None:
    """Replace every linear layer below a module, one at a time, so that no second model comes to be."""
    for name, child in list(module.named_children()):
        if isinstance(child, Mlp):
            setattr(module, name, PackedMlp(child))
        elif isinstance(child, Intermediate):
            setattr(module, name, PackedLinear(child.dense, activation="gelu"))
        elif type(child) is nn.Linear:
            setattr(module, name, PackedLinear(child))
        else:
            pack_linears(child)
