"""AdamW's groups and its state by name."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cnclip.errors import CheckpointError
from cnclip.training.optimizer import (
    build_optimizer,
    gradient_norm,
    load_optimizer_tensors,
    optimizer_tensors,
    set_learning_rate,
)


def make(no_decay: set[str] = frozenset({"visual.bias", "head.bias"})) -> tuple[nn.Module, torch.optim.AdamW]:  # type: ignore[assignment]
    torch.manual_seed(0)
    model = nn.ModuleDict({"visual": nn.Linear(3, 2), "head": nn.Linear(2, 2)})
    optimizer = build_optimizer(
        model, no_decay=no_decay, weight_decay=0.1, betas=(0.9, 0.98), eps=1e-6, image_lr_factor=0.5
    )
    return model, optimizer


def step(model: nn.ModuleDict, optimizer: torch.optim.AdamW) -> None:
    set_learning_rate(optimizer, 0.01)
    model["head"](model["visual"](torch.arange(6.0).view(2, 3))).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def test_each_parameter_is_in_the_group_of_its_decay_and_tower() -> None:
    model, optimizer = make()
    set_learning_rate(optimizer, 1.0)
    found = {
        name: (group["weight_decay"], group["lr"])
        for group in optimizer.param_groups
        for name, parameter in model.named_parameters()
        if any(parameter is member for member in group["params"])
    }
    assert found == {
        "visual.weight": (0.1, 0.5),
        "visual.bias": (0.0, 0.5),
        "head.weight": (0.1, 1.0),
        "head.bias": (0.0, 1.0),
    }


def test_restored_state_goes_on_bit_for_bit() -> None:
    model, optimizer = make()
    for _ in range(3):
        step(model, optimizer)
    other, fresh = make()
    other.load_state_dict(model.state_dict())
    load_optimizer_tensors(fresh, other, optimizer_tensors(optimizer, model))
    for _ in range(3):
        step(model, optimizer)
        step(other, fresh)
    for (name, one), two in zip(model.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two), name


def test_state_of_another_model_is_refused() -> None:
    model, optimizer = make()
    step(model, optimizer)
    tensors = optimizer_tensors(optimizer, model)
    tensors["exp_avg/stranger"] = tensors.pop("exp_avg/head.weight")
    with pytest.raises(CheckpointError, match=r"head\.weight.*stranger"):
        load_optimizer_tensors(optimizer, model, tensors)


def test_gradients_are_clipped_to_the_norm_and_only_where_asked() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([3.0, 4.0])
    assert gradient_norm([parameter], 0.0).item() == 5.0
    assert parameter.grad.tolist() == [3.0, 4.0]
    assert gradient_norm([parameter], 1.0).item() == 5.0
    torch.testing.assert_close(parameter.grad, torch.tensor([0.6, 0.8]), rtol=1e-5, atol=1e-6)
