"""One optimizer step: forward, loss, backward, clip, update; and the dummy steps that warm DDP up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer

from cnclip.batches import PairBatch
from cnclip.errors import CnclipError
from cnclip.images.transform import normalize_pixels
from cnclip.losses.contrastive import in_batch_accuracy, info_nce
from cnclip.model import ChineseClip, PairEmbeddings
from cnclip.text.wordpiece import CLS_ID, SEP_ID
from cnclip.training.optimizer import gradient_norm

RowsAre = Literal["features", "embeddings"]
MAX_LOGIT_SCALE = math.log(100.0)  # CLIP, section 2.5: never scale logits by more than 100


@dataclass(frozen=True)
class StepSettings:
    """What a step needs besides model and batch.

    Attributes:
        seed: of dropout.
        clip_norm: largest gradient norm; 0 = no clipping.
        mask_duplicates: leave pairs with the same picture or caption out of the negatives.
        rows_are: what `PairBatch.image_rows` are: input of a features tower, or finished unit embeddings.
        patch_dropout: share of patches left out of a vision transformer (FLIP).
    """

    seed: int
    clip_norm: float
    mask_duplicates: bool
    rows_are: RowsAre = "embeddings"
    patch_dropout: float = 0.0


@dataclass(frozen=True)
class StepResult:
    """What one step measured, as means over the processes.

    Attributes:
        loss: InfoNCE.
        image_to_text: in-batch accuracy of the process's own batch, never recall.
        text_to_image: the same the other way.
        gradient_norm: before clipping.
        updated: False where a non-finite fp16 gradient made the scaler skip the update.
        stop_asked: some process was asked to stop.
    """

    loss: float
    image_to_text: float
    text_to_image: float
    gradient_norm: float
    updated: bool
    stop_asked: bool


def train_step(
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: Optimizer,
    batch: PairBatch,
    settings: StepSettings,
    *,
    step: int,
    stop_asked: bool,
) -> StepResult:
    """Learn from one global batch; every process takes the same decision.

    Raises:
        CnclipError: loss or gradient is not finite (fp32, bf16): no weight was changed.
    """
    embeddings = _embed(accelerator, model, batch, settings, step)
    assert embeddings.image is not None and embeddings.text is not None
    image, text = embeddings.image.float(), embeddings.text.float()
    groups = batch.groups.to(image.device) if settings.mask_duplicates else None
    loss = info_nce(image, text, embeddings.logit_scale.float(), groups)
    accelerator.backward(loss)
    scaler = accelerator.scaler
    if scaler is not None:
        accelerator.unscale_gradients(optimizer)
    norm = gradient_norm([p for p in model.parameters() if p.grad is not None], settings.clip_norm)
    measured = torch.cat((loss.detach()[None], in_batch_accuracy(image, text), norm.detach()[None].float()))
    bad = not bool(torch.isfinite(measured).all())
    values, any_bad, any_stop = _agree(accelerator, measured, bad=bad, stop_asked=stop_asked)
    if any_bad and scaler is None:
        optimizer.zero_grad(set_to_none=True)
        raise _not_finite(values, batch, step, accelerator.process_index, guilty=bad)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    _clamp_logit_scale(accelerator.unwrap_model(model))
    loss_value, image_to_text, text_to_image, norm_value = values
    return StepResult(
        loss=loss_value,
        image_to_text=image_to_text,
        text_to_image=text_to_image,
        gradient_norm=norm_value,
        updated=not any_bad,
        stop_asked=any_stop,
    )


def warm_up(accelerator: Accelerator, model: nn.Module, batch: PairBatch, settings: StepSettings) -> None:
    """Two forward and backward passes that leave no trace, at every start of a run with several processes.

    DistributedDataParallel regroups its buckets after the first backward pass, and with three processes or
    more the order of a sum decides its last bits. Without this a resumed run would add up its first step in
    another order than the uninterrupted one did.
    """
    if accelerator.num_processes == 1:
        return
    inner = accelerator.unwrap_model(model)
    buffers = {name: buffer.clone() for name, buffer in inner.named_buffers()}
    for _ in range(2):
        embeddings = _embed(accelerator, model, batch, settings, step=-1)
        assert embeddings.image is not None and embeddings.text is not None
        loss = info_nce(embeddings.image.float(), embeddings.text.float(), embeddings.logit_scale.float())
        accelerator.backward(loss * 0.0)
        model.zero_grad(set_to_none=True)
    with torch.no_grad():
        for name, buffer in inner.named_buffers():
            buffer.copy_(buffers[name])


def blank_batch(*, resolution: int, rows_width: int | None) -> PairBatch:
    """Two pairs of zeros in the shape that the run will see, for `warm_up`.

    Args:
        resolution: pixels of the square pictures.
        rows_width: length of a ready-made image row, or None where pictures are trained on.
    """
    pixels = None
    if rows_width is None:
        pixels = torch.zeros(2, 3, resolution, resolution, dtype=torch.uint8)
    return PairBatch(
        pixels=pixels,
        image_rows=None if rows_width is None else torch.full((2, rows_width), rows_width**-0.5),
        token_ids=torch.tensor([[CLS_ID, SEP_ID]] * 2),
        attention_mask=torch.ones(2, 2, dtype=torch.bool),
        groups=torch.zeros(2, 2, dtype=torch.int64),
        image_ids=("", ""),
        text_ids=("", ""),
    )


def _embed(
    accelerator: Accelerator, model: nn.Module, batch: PairBatch, settings: StepSettings, step: int
) -> PairEmbeddings:
    """Both unit embeddings of a batch, through `model(...)`, which the engine wraps."""
    batch = batch.to(accelerator.device)
    seed = _dropout_seed(settings.seed, step, accelerator.process_index)
    torch.manual_seed(seed)
    inputs: dict[str, Any] = {"token_ids": batch.token_ids, "attention_mask": batch.attention_mask}
    if batch.pixels is not None:
        inputs["pixel_values"] = normalize_pixels(batch.pixels)
    elif settings.rows_are == "features":
        inputs["pixel_values"] = batch.image_rows
    else:
        inputs["image_embeddings"] = batch.image_rows
    if settings.patch_dropout > 0.0:
        inputs["patch_dropout"] = settings.patch_dropout
        inputs["generator"] = torch.Generator(accelerator.device).manual_seed(seed)
    result: PairEmbeddings = model(**inputs)
    return result


def _agree(
    accelerator: Accelerator, measured: Tensor, *, bad: bool, stop_asked: bool
) -> tuple[list[float], bool, bool]:
    """Means of the measurements, and whether any process met a bad value or was asked to stop."""
    flags = torch.tensor([float(bad), float(stop_asked)], device=measured.device)
    everything: Tensor = torch.cat((measured, flags))
    if accelerator.num_processes > 1:
        everything = accelerator.reduce(everything, reduction="sum")
    *sums, bad_count, stop_count = everything.tolist()
    means = [value / accelerator.num_processes for value in sums]
    return means, bad_count > 0, stop_count > 0


def _clamp_logit_scale(model: ChineseClip) -> None:
    with torch.no_grad():
        model.logit_scale.clamp_(0.0, MAX_LOGIT_SCALE)


def _not_finite(values: list[float], batch: PairBatch, step: int, rank: int, *, guilty: bool) -> CnclipError:
    who = f"process {rank}" if guilty else "another process"
    pairs = ", ".join(batch.text_ids[:8]) if guilty else "see that process"
    return CnclipError(
        f"loss or gradient is not finite on {who}: loss {values[0]}, gradient norm {values[3]}",
        where=f"step {step}; text ids {pairs} …",
        fix="the weights are unchanged and the last checkpoint is good: lower optimizer.lr, lengthen "
        "schedule.warmup_steps, or use precision=bf16 instead of fp16",
    )


def _dropout_seed(seed: int, step: int, rank: int) -> int:
    return ((seed * 1_000_003 + step + 1) * 65_537 + rank) % 2**63
