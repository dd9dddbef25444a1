"""Checkpoints as folders: written atomically with hashes, read strictly; official files are read too.

A folder holds `model.safetensors` (official names, query, key and value apart), `architecture.json`,
`MANIFEST.json` with sha256 of every file, and whatever training adds.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from cnclip.architecture import differing_keys
from cnclip.artifacts import atomic_dir, write_json
from cnclip.checkpoints.account import LoadAccount
from cnclip.checkpoints.detect import detect_architecture, official_name_of
from cnclip.checkpoints.fitting import build_model, check_finite
from cnclip.checkpoints.interpolate import Interpolation, check_interpolation, resize_positions
from cnclip.checkpoints.names import to_official
from cnclip.checkpoints.opened import (
    ARCHITECTURE_FILE,
    FORMAT,
    MODEL_FILE,
    OpenedCheckpoint,
    check_whole,
    is_native,
    open_checkpoint,
    read_architecture_file,
)
from cnclip.checkpoints.precision import Precision, check_precision
from cnclip.checkpoints.vocabulary import check_words
from cnclip.checkpoints.writing import write_safetensors
from cnclip.errors import CheckpointError, RecipeError
from cnclip.model import ChineseClip, ClipArchitecture, FeatureArchitecture, VitArchitecture
from cnclip.towers.resnet import TOTAL_STRIDE

_VIT_POSITIONS = "visual.positional_embedding"
_POOL_POSITIONS = "visual.attnpool.positional_embedding"
_logger = logging.getLogger(__name__)


def save_checkpoint(
    model: ChineseClip,
    folder: Path,
    *,
    facts: Mapping[str, Any] | None = None,
    extra_files: Mapping[str, str] | None = None,
    replace: bool = False,
) -> None:
    """Write a model as a checkpoint folder; a crash leaves the folder whole or absent.

    Args:
        model: with any type of weights; they are written as they are.
        folder: the final name.
        facts: JSON values for the manifest (step, metrics, fingerprints).
        extra_files: relative name -> text, such as `recipe.yaml`.
        replace: swap out a folder that is there already.

    Raises:
        CheckpointError: a weight is NaN or infinite; nothing is written.
        ArtifactError: the folder exists and `replace` is False.
        ResourceError: disk full, no permission.
    """
    for name in extra_files or {}:
        parts = PurePosixPath(name).parts
        assert parts and ".." not in parts and not name.startswith("/"), f"{name!r} leaves the folder"
    with atomic_dir(Path(folder), facts=facts, replace=replace) as temporary:
        write_model(model, temporary)
        for name, text in (extra_files or {}).items():
            target = temporary / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")


def write_model(model: ChineseClip, folder: Path) -> None:
    """Write the weights and the architecture into a folder that the caller makes final.

    Raises:
        CheckpointError: a weight is NaN or infinite; nothing is written.
    """
    official = to_official({name: tensor.detach().cpu() for name, tensor in model.state_dict().items()})
    check_finite(official, where=folder)
    write_safetensors(official, folder / MODEL_FILE)
    write_json(folder / ARCHITECTURE_FILE, {"format": FORMAT, **model.architecture.to_dict()})


def load_checkpoint(
    path: str | Path,
    *,
    device: str | torch.device = "cpu",
    architecture: ClipArchitecture | None = None,
    resolution: int | None = None,
    interpolation: Interpolation = "cn_clip",
    precision: Precision = "fp32",
) -> ChineseClip:
    """Load a whole model from a checkpoint folder of ours or of Hugging Face, or from a weight file.

    Args:
        path: folder or file.
        device: where the model goes.
        architecture: what the model must be; None = what the folder or the tensors say.
        resolution: pixels; another one than the checkpoint's stretches the image tower's position table.
        interpolation: how it is stretched, see `resize_positions`.
        precision: the type of the weights; "cn_clip" = float32 with the original's rounding to half.

    Returns:
        a model in evaluation mode.

    Raises:
        CheckpointError: damaged, incomplete, or not of that architecture; every difference is listed.
        ArtifactError: a file of the folder differs from its manifest.
        RefusedError: the file wants code to be run.
        UnknownNameError: no such precision or interpolation.
    """
    return load_with_account(
        path,
        device=device,
        architecture=architecture,
        resolution=resolution,
        interpolation=interpolation,
        precision=precision,
    )[0]


def load_with_account(
    path: str | Path,
    *,
    device: str | torch.device = "cpu",
    architecture: ClipArchitecture | None = None,
    resolution: int | None = None,
    interpolation: Interpolation = "cn_clip",
    precision: Precision = "fp32",
) -> tuple[ChineseClip, LoadAccount]:
    """`load_checkpoint`, and what came from where."""
    check_precision(precision)
    check_interpolation(interpolation)
    opened = open_checkpoint(path)
    check_whole(opened)
    check_words(opened)
    stored = opened.architecture
    if stored is None:
        stored = architecture or _detected(opened)
    elif architecture is not None and _without_dropout(architecture) != _without_dropout(stored):
        keys = differing_keys(_without_dropout(stored), _without_dropout(architecture))
        differences = [f"{key}: checkpoint {held}, asked for {asked}" for key, held, asked in keys]
        raise CheckpointError(
            "\n    ".join(["the checkpoint holds another model", *differences]),
            where=str(path),
            fix="leave out the model's name, so that the shape is taken from there",
        )
    tensors, changed = opened.tensors, {}
    if resolution is not None:
        asked, tensors = _at_resolution(stored, tensors, resolution, interpolation, where=str(path))
        if asked != stored:
            name = _VIT_POSITIONS if _VIT_POSITIONS in tensors else _POOL_POSITIONS
            changed[name] = f"stretched to {resolution} pixels a side ({interpolation})"
        stored = asked
    model = build_model(
        tensors,
        stored,
        where=opened.path,
        precision=precision,
        release=opened.release,
        lasting=opened.lasting,
    )
    account = LoadAccount(
        source=str(path),
        kind=opened.kind,
        loaded={name: opened.origins[name] for name in tensors},
        new=(),
        dropped=opened.dropped,
        changed=changed,
    )
    _logger.info("%s", account)
    return model.to(device), account


def read_architecture(path: str | Path) -> ClipArchitecture:
    """The architecture of a checkpoint folder or file.

    Raises:
        CheckpointError: not a checkpoint of a whole model.
        ArtifactError: a file of the folder differs from its manifest.
        RefusedError: the file wants code to be run.
    """
    if is_native(Path(path)):
        return read_architecture_file(Path(path))
    opened = open_checkpoint(path, shapes_only=True)
    check_whole(opened)
    return opened.architecture or detect_architecture(opened.tensors, where=str(path))


def _detected(opened: OpenedCheckpoint) -> ClipArchitecture:
    architecture = detect_architecture(opened.tensors, where=str(opened.path))
    if official_name_of(architecture) is None:
        _logger.warning(
            "%s is of no official size and does not say its attention heads; they are taken to be 64 wide",
            opened.path,
        )
    return architecture


def _without_dropout(architecture: ClipArchitecture) -> ClipArchitecture:
    """Dropout belongs to a training run, not to what the weights are."""
    text = dataclasses.replace(architecture.text, dropout=0.0, attention_dropout=0.0)
    return dataclasses.replace(architecture, text=text)


def _at_resolution(
    architecture: ClipArchitecture,
    tensors: Mapping[str, Tensor],
    resolution: int,
    interpolation: Interpolation,
    *,
    where: str,
) -> tuple[ClipArchitecture, dict[str, Tensor]]:
    image = architecture.image
    if isinstance(image, FeatureArchitecture):
        raise CheckpointError(
            f"input_resolution {resolution}: this model takes ready-made features, not pictures", where=where
        )
    if isinstance(image, VitArchitecture):
        name, cell = _VIT_POSITIONS, image.patch_size
    else:
        name, cell = _POOL_POSITIONS, TOTAL_STRIDE
    if name not in tensors or resolution == image.resolution:
        return architecture, dict(tensors)
    try:
        stretched = dataclasses.replace(image, resolution=resolution)
    except RecipeError as error:
        raise CheckpointError(f"input_resolution {resolution}: {error.what}", where=where) from None
    table = resize_positions(tensors[name], 1 + (resolution // cell) ** 2, interpolation)
    return dataclasses.replace(architecture, image=stretched), {**tensors, name: table}
