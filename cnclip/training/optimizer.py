"""AdamW with weight decay on matrices only, and its state by parameter name."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from cnclip.errors import CheckpointError

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def build_optimizer(
    model: nn.Module,
    *,
    no_decay: set[str],
    weight_decay: float,
    betas: tuple[float, float],
    eps: float,
    image_lr_factor: float = 1.0,
) -> AdamW:
    """AdamW over the parameters that learn, in groups by decay and by tower.

    Each group carries `lr_factor`; `set_learning_rate` multiplies the schedule's value by it.

    Args:
        no_decay: names of parameters without weight decay.
        image_lr_factor: of the parameters under `visual.`.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decay = 0.0 if name in no_decay else weight_decay
            factor = image_lr_factor if name.startswith("visual.") else 1.0
            groups.setdefault((decay, factor), []).append(parameter)
    return AdamW(
        [
            {"params": parameters, "weight_decay": decay, "lr_factor": factor}
            for (decay, factor), parameters in groups.items()
        ],
        lr=0.0,
        betas=betas,
        eps=eps,
        fused=True,
    )


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Give every group its share of the schedule's rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_factor"]


def optimizer_tensors(optimizer: Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """The moments of every parameter as `exp_avg/NAME`, `exp_avg_sq/NAME`, `step/NAME`."""
    tensors = {}
    for name, parameter in model.named_parameters():
        state = optimizer.state.get(parameter)
        if state:
            for moment in _MOMENTS:
                tensors[f"{moment}/{name}"] = state[moment].detach().cpu().contiguous()
    return tensors


def load_optimizer_tensors(optimizer: Optimizer, model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put saved moments back.

    Raises:
        CheckpointError: the saved names are not exactly those of the parameters that learn.
    """
    learning = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    expected = {f"{moment}/{name}" for moment in _MOMENTS for name in learning}
    if tensors and set(tensors) != expected:
        missing, extra = sorted(expected - set(tensors)), sorted(set(tensors) - expected)
        raise CheckpointError(
            f"the optimizer's state does not fit the model: missing {missing[:3]}, extra {extra[:3]}",
            fix="start a new run (resume=fresh) from the checkpoint's weights (model.checkpoint=…)",
        )
    for name, parameter in learning.items():
        if not tensors:
            break
        optimizer.state[parameter] = {
            "step": tensors[f"step/{name}"].to(parameter.device).clone(),
            **{
                moment: torch.empty_like(parameter).copy_(
                    tensors[f"{moment}/{name}"]
                )  # in the parameter's layout
                for moment in ("exp_avg", "exp_avg_sq")
            },
        }


def gradient_norm(parameters: list[nn.Parameter], clip_norm: float) -> Tensor:
    """Global L2 norm before clipping; gradients are scaled down to `clip_norm` where it is above 0."""
    limit = clip_norm if clip_norm > 0 else float("inf")
    return nn.utils.clip_grad_norm_(parameters, limit, error_if_nonfinite=False, foreach=True)


def float_tensors_are_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Names of float tensors that hold NaN or Inf."""
    return [
        name
        for name, tensor in tensors.items()
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())
    ]
