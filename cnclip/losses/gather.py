"""Gather rows of all processes so that gradients flow back to where the rows were made.

`torch.distributed.all_gather` cuts the graph: every process would learn only through its own rows, with
1/W of the true gradient in the towers but the whole one in `logit_scale`. Here the backward pass sums, for
each row, the gradients of all processes; DistributedDataParallel's mean then gives exactly the gradient of
one process that sees the whole global batch.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function


class _Gather(Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.row_count = rows.shape[0]
        return _all_gather(rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].contiguous()
        dist.all_reduce(gradient, op=dist.ReduceOp.SUM)
        start = dist.get_rank() * ctx.row_count
        return gradient[start : start + ctx.row_count]


def world_size() -> int:
    """Number of processes of this run; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather_with_gradient(rows: Tensor) -> Tensor:
    """Rows of all processes in rank order.

    Args:
        rows: float [B, D], the same B on every process.

    Returns:
        float [W·B, D]; the input itself where there is one process.
    """
    if world_size() == 1:
        return rows
    gathered: Tensor = _Gather.apply(rows)  # type: ignore[no-untyped-call]
    return gathered


def gather_plain(rows: Tensor) -> Tensor:
    """Rows of all processes in rank order, without a gradient (ids, hashes): [B, …] -> [W·B, …]."""
    return rows if world_size() == 1 else _all_gather(rows)


def own_slice(row_count: int) -> slice:
    """Where this process's rows stand among the gathered ones."""
    rank = dist.get_rank() if world_size() > 1 else 0
    return slice(rank * row_count, (rank + 1) * row_count)


def _all_gather(rows: Tensor) -> Tensor:
    rows = rows.contiguous()
    parts = [torch.empty_like(rows) for _ in range(world_size())]
    dist.all_gather(parts, rows)
    return torch.cat(parts)
