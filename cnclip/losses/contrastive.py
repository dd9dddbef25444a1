"""Symmetric InfoNCE over the global batch (CLIP, Radford et al. 2021, figure 3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cnclip.losses.gather import gather_plain, gather_with_gradient, own_slice, world_size


def info_nce(image: Tensor, text: Tensor, logit_scale: Tensor, groups: Tensor | None = None) -> Tensor:
    """Mean over this process's pairs of (image->text + text->image cross-entropy) / 2.

    Negatives are the pairs of all processes. The mean over processes of the returned value is the loss of
    one process that sees the whole batch, and so is the gradient after DistributedDataParallel's mean.

    Args:
        image: float [B, D], unit rows.
        text: float [B, D], unit rows; row i belongs to image row i.
        logit_scale: float scalar, already exponentiated.
        groups: int64 [B, 2] or None; two pairs that share a picture number (column 0) or a caption
            number (column 1) say the same, and so are left out of each other's negatives.

    Returns:
        float32 scalar.
    """
    same = None if groups is None else _others_of_the_same(groups)
    if world_size() == 1:
        logits = (logit_scale * image @ text.T).float()  # float32 [B, B]: one product serves both directions
        targets = torch.arange(len(image), device=image.device)
        if same is not None:
            logits = logits.masked_fill(same, float("-inf"))
        return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2
    all_image, all_text = gather_with_gradient(image), gather_with_gradient(text)
    own = own_slice(len(image))
    targets = torch.arange(own.start, own.stop, device=image.device)
    image_logits = (logit_scale * image @ all_text.T).float()  # float32 [B, W·B]
    text_logits = (logit_scale * text @ all_image.T).float()  # float32 [B, W·B]
    if same is not None:
        image_logits = image_logits.masked_fill(same, float("-inf"))
        text_logits = text_logits.masked_fill(same, float("-inf"))
    return (F.cross_entropy(image_logits, targets) + F.cross_entropy(text_logits, targets)) / 2


@torch.no_grad()
def in_batch_accuracy(image: Tensor, text: Tensor) -> Tensor:
    """Share of this process's pairs that win within its own batch: float32 [2] = image->text, text->image.

    This is a training signal of a small gallery, never recall@K.
    """
    similarity = image @ text.T  # [B, B]
    targets = torch.arange(len(image), device=image.device)
    hits = torch.stack((similarity.argmax(1) == targets, similarity.argmax(0) == targets))
    return hits.float().mean(1)


def _others_of_the_same(groups: Tensor) -> Tensor:
    """bool [B, W·B]: the other pairs that share a picture or a caption with this process's pairs."""
    everyone = gather_plain(groups)
    same = (groups[:, None, :] == everyone[None, :, :]).any(-1)
    own = own_slice(len(groups))
    positions = torch.arange(len(groups), device=groups.device)
    same[positions, positions + own.start] = False
    return same
