"""The model at the start of a run: its shape, its first weights, its locks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from cnclip.checkpoints import (
    LoadAccount,
    load_checkpoint,
    load_image_tower,
    load_text_tower,
    read_image_architecture,
    read_text_architecture,
)
from cnclip.config.recipe import ImageTowerConfig, ModelConfig, TextTowerConfig, TrainRecipe
from cnclip.errors import RecipeError, UnknownNameError
from cnclip.finding import find_checkpoint
from cnclip.model import (
    ARCHITECTURES,
    BertArchitecture,
    ChineseClip,
    ClipArchitecture,
    FeatureArchitecture,
    ImageArchitecture,
    ResNetArchitecture,
    VitArchitecture,
)
from cnclip.towers.features import FeatureProjection
from cnclip.towers.lock import lock_tower


def build_model(recipe: TrainRecipe, resume_from: Path | None) -> tuple[ChineseClip, list[str]]:
    """The model at the start of the run, locked as the recipe says, and a line on each tower's origin.

    Weights come from the run's checkpoint, else from `model.checkpoint`, else from the seed and the towers'
    own checkpoints.

    Raises:
        RecipeError: sections that contradict each other, or a tower that is locked before it has learned.
    """
    _refuse_contradictions(recipe.model)
    config = recipe.model if resume_from is not None else _with_local_files(recipe.model)
    notes: list[str] = []
    if resume_from is not None:
        model = load_checkpoint(resume_from)
    elif config.checkpoint is not None:
        model = load_checkpoint(config.checkpoint)
        notes.append(f"both towers: from {config.checkpoint}")
    else:
        model = _new_model(config, recipe.seed, notes)
    for tower in ("image", "text"):
        if getattr(config, tower).locked:
            lock_tower(model, tower)
    model.set_grad_checkpointing(config.activation_checkpointing)
    _into_own_memory(model)
    return model, notes


def _with_local_files(config: ModelConfig) -> ModelConfig:
    """Official names and repositories of the hub become files on this machine, downloaded where need be."""
    return replace(
        config,
        checkpoint=_local_file(config.checkpoint),
        image=replace(config.image, checkpoint=_local_file(config.image.checkpoint)),
        text=replace(config.text, checkpoint=_local_file(config.text.checkpoint)),
    )


def _local_file(name: str | None) -> str | None:
    return None if name is None else str(find_checkpoint(name))


def _refuse_contradictions(config: ModelConfig) -> None:
    for name in ("image", "text"):
        tower = getattr(config, name)
        if config.checkpoint is not None and tower.checkpoint is not None:
            raise RecipeError(
                f"model.checkpoint and model.{name}.checkpoint both name weights", fix="leave one of them out"
            )
        has_weights = config.checkpoint is not None or tower.checkpoint is not None
        if tower.locked and not has_weights and not (name == "image" and _is_identity(config)):
            raise RecipeError(
                f"the {name} tower would be locked with random weights",
                where=f"model.{name}.locked",
                fix=f"model.{name}.checkpoint=FOLDER_OR_FILE, or model.{name}.locked=false",
            )


def _is_identity(config: ModelConfig) -> bool:
    """Ready-made features that are the embeddings themselves: locked, and as long as an embedding."""
    image = config.image
    return image.kind == "features" and image.locked and image.width == config.embed_dim


def _new_model(config: ModelConfig, seed: int, notes: list[str]) -> ChineseClip:
    model = ChineseClip(_architecture(config), seed=seed)
    with torch.no_grad():
        model.logit_scale.fill_(float(np.log(config.logit_scale)))
        if isinstance(model.visual, FeatureProjection) and _is_identity(config):
            model.visual.proj.copy_(torch.eye(config.embed_dim))
    if config.image.checkpoint is not None:
        notes.append(_origin("image tower", load_image_tower(model, config.image.checkpoint)))
    if config.text.checkpoint is not None:
        notes.append(_origin("text tower", load_text_tower(model, config.text.checkpoint)))
    return model


def _origin(tower: str, account: LoadAccount) -> str:
    new = f", new: {', '.join(account.new)}" if account.new else ""
    return f"{tower}: {len(account.loaded)} tensors from {account.source}{new}"


def _into_own_memory(model: ChineseClip) -> None:
    """Copy every weight out of the mapped file, which training must not share with other processes.

    Convolutions get the channels-last layout, with which a ModifiedResNet trains 1.5 times as fast on a CPU.
    """
    convolutional = isinstance(model.architecture.image, ResNetArchitecture)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            channels_last = convolutional and tensor.ndim == 4
            layout = torch.channels_last if channels_last else torch.contiguous_format
            tensor.data = tensor.data.clone(memory_format=layout)


def _architecture(config: ModelConfig) -> ClipArchitecture:
    if config.name is not None:
        if config.name not in ARCHITECTURES:
            raise UnknownNameError(f"model.name={config.name}", fix=f"one of: {', '.join(ARCHITECTURES)}")
        return ARCHITECTURES[config.name]
    if config.image.checkpoint is None:
        image, embed_dim = _image_architecture(config.image), config.embed_dim
    else:
        image, embed_dim = read_image_architecture(config.image.checkpoint)
    text = _text_architecture(config.text)
    if config.text.checkpoint is not None:
        text = replace(
            read_text_architecture(config.text.checkpoint),
            dropout=text.dropout,
            attention_dropout=text.dropout,
        )
    return ClipArchitecture(embed_dim=embed_dim, image=image, text=text)


def _image_architecture(config: ImageTowerConfig) -> ImageArchitecture:
    if config.kind == "features":
        return FeatureArchitecture(width=config.width)
    if config.kind == "vit":
        if len(config.layers) != 1:
            raise RecipeError(
                f"a vit has one number of layers, not {config.layers}", fix="model.image.layers=[12]"
            )
        heads = config.heads or config.width // 64
        return VitArchitecture(config.width, config.layers[0], heads, config.patch_size, config.resolution)
    if len(config.layers) != 4:
        raise RecipeError(
            f"a resnet has four stages, not {config.layers}", fix="model.image.layers=[3,4,6,3]"
        )
    a, b, c, d = config.layers
    heads = config.heads or config.width * 32 // 64
    return ResNetArchitecture((a, b, c, d), config.width, heads, config.resolution)


def _text_architecture(config: TextTowerConfig) -> BertArchitecture:
    return BertArchitecture(
        hidden=config.hidden,
        layers=config.layers,
        heads=config.heads,
        intermediate=config.intermediate,
        dropout=config.dropout,
        attention_dropout=config.dropout,
    )
