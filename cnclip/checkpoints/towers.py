"""Start one tower from a folder or a file: ours, cn_clip's, OpenAI's, open_clip's or Hugging Face's."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from torch import Tensor

from cnclip.checkpoints.account import LoadAccount
from cnclip.checkpoints.fitting import fit
from cnclip.checkpoints.names import to_memory, to_official
from cnclip.checkpoints.opened import (
    OpenedCheckpoint,
    image_architecture,
    is_native,
    open_checkpoint,
    require_tower,
    text_architecture,
)
from cnclip.checkpoints.vocabulary import check_words
from cnclip.errors import CheckpointError
from cnclip.model import BertArchitecture, ChineseClip, ImageArchitecture, VitArchitecture

_IMAGE, _TEXT = ("visual.",), ("bert.", "text_projection")
_TEXT_PROJECTION, _VISUAL_PROJECTION = "text_projection", "visual.proj"
_PARTS = (
    (("visual.",), "the image tower, which was not asked for"),
    (("bert.", "text_projection"), "the text tower, which was not asked for"),
    (("logit_scale",), "of the whole model, not of one tower"),
)
_SKIPPED = "asked to be skipped"
_LISTED = 6  # unplanned tensors in an error
_logger = logging.getLogger(__name__)


def load_image_tower(model: ChineseClip, path: str | Path, *, skip: Collection[str] = ()) -> LoadAccount:
    """Set the image tower with its projection from a folder or a file.

    A Hugging Face `CLIPVisionModel` has no projection: that one keeps its values, and the account says so.

    Args:
        model: changed in place; the text tower and `logit_scale` stay.
        path: a checkpoint folder of ours, a Hugging Face or open_clip folder, or a file with `visual.*` names
            (cn_clip's, open_clip's, OpenAI's archive or state dict).
        skip: official names that keep their values, an intended gap (`visual.proj`).

    Raises:
        CheckpointError: anything of the tower is missing, left over, of another shape, or computed otherwise.
        RefusedError: the file wants code to be run.
    """
    opened = open_checkpoint(path)
    require_tower(opened, "image")
    image = model.architecture.image
    if opened.image is not None:
        _check_same(opened, opened.image, image, ("heads", "activation"))
    elif not opened.layout.says_activation:
        _warn_of_activation(opened, image)
    if opened.image is not None and not is_native(opened.path) and _VISUAL_PROJECTION not in opened.tensors:
        skip = {*skip, _VISUAL_PROJECTION} if isinstance(image, VitArchitecture) else skip
    return _load(model, opened, prefixes=_IMAGE, skip=skip)


def load_text_tower(model: ChineseClip, path: str | Path, *, skip: Collection[str] = ()) -> LoadAccount:
    """Set the text tower from a folder or a file.

    A BERT has no text projection: that one keeps its values, and the account says so.

    Args:
        model: changed in place; the image tower and `logit_scale` stay.
        path: a checkpoint folder of ours, a Hugging Face folder of a Chinese BERT or of Chinese CLIP, or a
            file with names of these.
        skip: official names that keep their values, an intended gap (`text_projection`).

    Raises:
        CheckpointError: anything of the tower is missing, left over, of another shape, computed otherwise, or
            learned with another vocabulary.
        RefusedError: the file wants code to be run.
    """
    opened = open_checkpoint(path)
    require_tower(opened, "text")
    check_words(opened)
    if opened.text is not None:
        _check_same(opened, opened.text, model.architecture.text, ("heads",))
    if _TEXT_PROJECTION not in opened.tensors:
        skip = {*skip, _TEXT_PROJECTION}
    return _load(model, opened, prefixes=_TEXT, skip=skip)


def read_image_architecture(path: str | Path) -> tuple[ImageArchitecture, int]:
    """The image tower in a folder or a file, and the length of its embeddings.

    A bare file of an English CLIP does not say whether its tower was trained with QuickGELU (OpenAI) or with
    the exact GELU (LAION's of open_clip): QuickGELU is taken, with a warning.

    Raises:
        CheckpointError: no image tower there, or it has no projection and nothing says its length.
    """
    opened = open_checkpoint(path, shapes_only=True)
    image = image_architecture(opened)
    if opened.image is None and not opened.layout.says_activation:
        _warn_of_activation(opened, image)
    if opened.embed_dim is None:
        raise CheckpointError("the image tower has no projection to embeddings", where=str(path))
    return image, opened.embed_dim


def read_text_architecture(path: str | Path) -> BertArchitecture:
    """The text tower in a folder or a file.

    Raises:
        CheckpointError: no text tower there, or one of another vocabulary than the tokenizer's.
    """
    opened = open_checkpoint(path, shapes_only=True)
    check_words(opened)
    return text_architecture(opened)


def _warn_of_activation(opened: OpenedCheckpoint, image: ImageArchitecture) -> None:
    if isinstance(image, VitArchitecture):
        _logger.warning(
            "%s (%s) does not say its activation; %s is taken. OpenAI's towers need quick_gelu, those that "
            "open_clip trained on LAION gelu: give the folder with its configuration to be sure",
            opened.path,
            opened.kind,
            image.activation,
        )


def _check_same(opened: OpenedCheckpoint, stored: object, model: object, keys: tuple[str, ...]) -> None:
    """What the tensors do not show must agree too."""
    wrong = [
        f"{key}: file {getattr(stored, key)}, model {getattr(model, key)}"
        for key in keys
        if hasattr(stored, key) and hasattr(model, key) and getattr(stored, key) != getattr(model, key)
    ]
    if wrong:
        raise CheckpointError(
            "\n    ".join([f"{opened.kind}: another tower than the model's", *wrong]),
            where=str(opened.path),
            fix="leave out the tower's settings, so that they are taken from there",
        )


def _load(
    model: ChineseClip, opened: OpenedCheckpoint, *, prefixes: tuple[str, ...], skip: Collection[str]
) -> LoadAccount:
    state = model.state_dict()
    tower = {name: tensor for name, tensor in to_official(state).items() if name.startswith(prefixes)}
    unknown = sorted(set(skip) - set(tower))
    assert not unknown, f"{unknown} are not tensors of this tower"
    _check_planned(opened)
    found = {n: t for n, t in opened.tensors.items() if n.startswith(prefixes) and n not in skip}
    expected = {name: tensor for name, tensor in tower.items() if name not in skip}
    fitted = fit(found, expected, where=opened.path, release=opened.release)
    _copy(state, to_memory(fitted, release=opened.release))
    left = {
        opened.origins[name]: _SKIPPED
        if name in skip
        else next(why for part, why in _PARTS if name.startswith(part))
        for name in opened.tensors
        if name not in fitted
    }
    return LoadAccount(
        source=str(opened.path),
        kind=opened.kind,
        loaded={name: opened.origins[name] for name in fitted},
        new=tuple(name for name in tower if name in skip),
        dropped={**opened.dropped, **left},
    )


def _check_planned(opened: OpenedCheckpoint) -> None:
    """Every tensor is of a known part, or was dropped for a reason."""
    known = tuple(prefix for prefixes, _ in _PARTS for prefix in prefixes)
    strange = [name for name in opened.tensors if not name.startswith(known)]
    if strange:
        lines = [
            f"{opened.origins[name]}: file {list(opened.tensors[name].shape)}" for name in strange[:_LISTED]
        ]
        if len(strange) > _LISTED:
            lines.append(f"… and {len(strange) - _LISTED} more like these")
        raise CheckpointError(
            "\n    ".join([f"{opened.kind}: {len(strange)} tensors belong to no known part", *lines]),
            where=str(opened.path),
            fix="this is another kind of model; give one with a plain CLIP or BERT tower",
        )


@torch.no_grad()
def _copy(state: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Write into the model's own tensors, so that optimizers and wrappers that know them stay right."""
    for name, value in values.items():
        state[name].copy_(value)
