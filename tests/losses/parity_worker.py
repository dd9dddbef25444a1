"""One process of a gradient-parity run: `parity_worker.py RANK WORLD STORE_FILE OUT DTYPE`.

Rank 0 writes loss and gradients, with duplicates kept and masked, to OUT.
"""

from __future__ import annotations

import os
import sys

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

from cnclip.losses.contrastive import info_nce

GLOBAL_BATCH = 12


class TwoTowers(nn.Module):
    """A pair of small towers with a temperature, enough to see every factor that may be wrong."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.image = nn.Parameter(torch.randn(10, 6, generator=generator, dtype=torch.float64).to(dtype))
        self.text = nn.Parameter(torch.randn(7, 6, generator=generator, dtype=torch.float64).to(dtype))
        self.logit_scale = nn.Parameter(torch.tensor(2.0, dtype=dtype))

    def forward(self, image: torch.Tensor, text: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (
            F.normalize(torch.tanh(image @ self.image), dim=-1),
            F.normalize(torch.tanh(text @ self.text), dim=-1),
            self.logit_scale.exp(),
        )


def batch(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(GLOBAL_BATCH, 10, generator=generator, dtype=torch.float64).to(dtype)
    text = torch.randn(GLOBAL_BATCH, 7, generator=generator, dtype=torch.float64).to(dtype)
    groups = torch.stack((torch.arange(GLOBAL_BATCH) % 9, torch.arange(GLOBAL_BATCH) % 7), 1)
    return image, text, groups


def main(rank: int, world: int, store: str, out: str, dtype: torch.dtype) -> None:
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    image, text, groups = batch(dtype)
    own = slice(rank * GLOBAL_BATCH // world, (rank + 1) * GLOBAL_BATCH // world)
    found = {}
    for name, masked_groups in (("keep", None), ("mask", groups[own])):
        model = nn.parallel.DistributedDataParallel(TwoTowers(dtype))
        loss = info_nce(*model(image[own], text[own]), masked_groups)
        loss.backward()
        mean = loss.detach().clone()
        dist.all_reduce(mean)
        gradients = {name: parameter.grad for name, parameter in model.module.named_parameters()}
        found[name] = {"loss": mean / world, "gradients": gradients}
    if rank == 0:
        torch.save(found, out)
    dist.barrier()
    sys.stderr.flush()
    os._exit(0)  # gloo's teardown was seen to abort a process that had done its work


if __name__ == "__main__":
    rank, world, store, out, dtype = sys.argv[1:]
    main(int(rank), int(world), store, out, getattr(torch, dtype))
