"""An estimate of what float16 on a GPU does to features: torch in float32, each result rounded to float16.

onnxruntime on a CPU computes float16 files in float32 and rounds only here and there: a run of the file
there shows neither overflow nor all of the rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cnclip.errors import CnclipError
from cnclip.model import ChineseClip

LARGEST_HALF = 65504.0


class _RoundedResults(TorchDispatchMode):  # type: ignore[no-untyped-call, unused-ignore]
    """Round what every operation returns; sums inside an operation stay float32, as on a GPU."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        given = set() if func._schema.is_mutable else _memory((args, kwargs))
        for tensor in _floats(result):
            if tensor.untyped_storage().data_ptr() not in given:  # else a view, perhaps of a weight
                _check_range(tensor, str(func))
                tensor.copy_(tensor.half())
        return result


def half_features(model: ChineseClip, batch: Tensor) -> Tensor:
    """Features float32 [B, D] of pictures (float) or captions (int64), computed as if in float16.

    Raises:
        CnclipError: a value leaves the range of float16.
    """
    encode = model.encode_image if batch.is_floating_point() else model.encode_text
    rounded = _RoundedResults()  # type: ignore[no-untyped-call, unused-ignore]
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), rounded:
        return encode(batch)


def _floats(tree: Any) -> list[Tensor]:
    leaves = (leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))
    return [leaf for leaf in leaves if leaf.dtype == torch.float32 and leaf.numel()]


def _memory(tree: Any) -> set[int]:
    return {tensor.untyped_storage().data_ptr() for tensor in _floats(tree)}


def _check_range(tensor: Tensor, operation: str) -> None:
    largest = float(tensor.masked_fill(tensor.isinf(), 0.0).abs().max())  # the mask of attention is -inf
    if not largest <= LARGEST_HALF:
        raise CnclipError(
            f"fp16 ends at 65504, and the model computes {largest:.6g}",
            where=operation,
            fix="--precision fp32",
        )
