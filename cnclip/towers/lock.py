"""Lock a tower (LiT, Zhai et al. 2022), list what trains, and say which parameters take no weight decay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Protocol

from torch import Tensor, nn

from cnclip.towers.tower import Tower

NO_DECAY_TABLES = ("class_embedding", "positional_embedding", "position_embeddings", "token_type_embeddings")


class TwoTowers(Protocol):
    """What locking needs to know of a model."""

    training: bool
    text_projection: nn.Parameter

    @property
    def visual(self) -> Tower: ...

    @property
    def bert(self) -> Tower: ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...


def lock_tower(model: TwoTowers, which: Literal["image", "text", "none"]) -> None:
    """Lock one tower with its projection; "none" unlocks both.

    A locked tower has no trainable parameter, stays in evaluation mode after `model.train()`, and its
    outputs carry no autograd graph. A tower that was locked before stays locked; `logit_scale` always trains.
    """
    if which == "none":
        for tower in (model.visual, model.bert):
            tower.locked = False
            tower.requires_grad_(True)
            tower.train(model.training)
        model.text_projection.requires_grad_(True)
        return
    tower = model.visual if which == "image" else model.bert
    tower.locked = True
    tower.requires_grad_(False)
    tower.eval()
    if which == "text":
        model.text_projection.requires_grad_(False)


def trainable_parameters(model: TwoTowers) -> dict[str, nn.Parameter]:
    """Name -> parameter of everything that an optimizer should see, in the model's order."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def no_decay_names(model: TwoTowers) -> set[str]:
    """Names of the parameters without weight decay.

    These are all vectors and scalars (biases, LayerNorm and BatchNorm of either tower, `logit_scale`) and
    the tables of class, position and token type; every other matrix, the word table included, decays.
    """
    return {name for name, parameter in model.named_parameters() if _is_exempt(name, parameter)}


def _is_exempt(name: str, parameter: Tensor) -> bool:
    return parameter.ndim < 2 or any(part in NO_DECAY_TABLES for part in name.split("."))
