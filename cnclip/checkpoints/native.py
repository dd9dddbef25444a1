"""Checkpoints as folders: written atomically with hashes, read strictly; official files are read too.

A folder holds `model.safetensors` (official names, query, key and value apart), `architecture.json`,
`MANIFEST.json` with sha256 of every file, and whatever training adds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from cnclip.artifacts import MANIFEST_NAME, atomic_dir, read_json, sha256_file, verify_dir, write_json
from cnclip.checkpoints.detect import detect_architecture
from cnclip.checkpoints.fitting import build_model, check_finite
from cnclip.checkpoints.interpolate import resize_positions
from cnclip.checkpoints.names import official_tensors, to_official
from cnclip.checkpoints.reading import read_tensors
from cnclip.checkpoints.writing import write_safetensors
from cnclip.errors import ArtifactError, CheckpointError, RecipeError
from cnclip.model import ChineseClip, ClipArchitecture, VitArchitecture

MODEL_FILE = "model.safetensors"
ARCHITECTURE_FILE = "architecture.json"
FORMAT = 1
_POSITIONS = "visual.positional_embedding"


@dataclass(frozen=True)
class OpenedCheckpoint:
    """What a folder or a file holds, before it is put into a model.

    Attributes:
        path: as it was given.
        tensors: official name -> tensor, mapped.
        origins: official name -> name in the file.
        ignored: names in the file that no tower uses.
        architecture: what the folder says; None for a bare file.
    """

    path: Path
    tensors: dict[str, Tensor]
    origins: dict[str, str]
    ignored: tuple[str, ...]
    architecture: ClipArchitecture | None


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
) -> ChineseClip:
    """Load a whole model from a checkpoint folder, or from a cn_clip `.pt` or `.safetensors` file.

    Args:
        path: folder or file.
        device: where the model goes.
        architecture: what the model must be; None = what the folder or the tensors say.
        resolution: pixels; another one than the checkpoint's stretches the position table of a
            vision transformer.

    Returns:
        a float32 model in evaluation mode.

    Raises:
        CheckpointError: damaged, incomplete, or not of that architecture; every difference is listed.
        ArtifactError: a file of the folder differs from its manifest.
        RefusedError: the file wants code to be run.
    """
    opened = open_checkpoint(path)
    if not any(name.startswith("bert.") for name in opened.tensors):
        raise CheckpointError(
            "the checkpoint holds no text tower",
            where=str(path),
            fix="model.image.checkpoint=… takes an image tower",
        )
    stored = opened.architecture
    if stored is None:
        stored = architecture or detect_architecture(opened.tensors, where=str(path))
    elif architecture is not None and architecture != stored:
        raise CheckpointError(
            "\n    ".join(["the folder holds another model", *_differences(stored, architecture)]),
            where=str(path),
            fix="leave out the model's name, so that the shape is taken from the folder",
        )
    tensors = opened.tensors
    if resolution is not None:
        stored, tensors = _at_resolution(stored, tensors, resolution, where=str(path))
    return build_model(tensors, stored, where=opened.path).to(device)


def read_architecture(path: str | Path) -> ClipArchitecture:
    """The architecture of a checkpoint folder or file.

    Raises:
        CheckpointError: not a checkpoint of a whole model.
        ArtifactError: a file of the folder differs from its manifest.
        RefusedError: the file wants code to be run.
    """
    if is_native(Path(path)):
        return _read_architecture_file(Path(path))
    opened = open_checkpoint(path)
    return detect_architecture(opened.tensors, where=str(path))


def is_native(path: Path) -> bool:
    """Whether a path is a checkpoint folder of ours."""
    return (path / ARCHITECTURE_FILE).is_file() or (path / MANIFEST_NAME).is_file()


def open_checkpoint(path: str | Path) -> OpenedCheckpoint:
    """Open a checkpoint folder of ours (its hashes are checked) or a weight file of any known naming.

    Raises:
        CheckpointError: neither of both, or damaged.
        ArtifactError: a file of the folder differs from its manifest.
        RefusedError: the file wants code to be run.
    """
    path = Path(path)
    if not path.exists():
        raise CheckpointError("no such checkpoint", where=str(path))
    if path.is_dir() and not is_native(path):
        raise CheckpointError(
            f"the folder has no {ARCHITECTURE_FILE}",
            where=str(path),
            fix="give a checkpoint folder, or a weight file",
        )
    architecture, file = None, path
    if path.is_dir():
        architecture = _read_architecture_file(path)
        file = path / MODEL_FILE
        _verify(path, MODEL_FILE)
    official = official_tensors(read_tensors(file), where=str(file))
    return OpenedCheckpoint(path, official.tensors, official.origins, official.ignored, architecture)


def _read_architecture_file(folder: Path) -> ClipArchitecture:
    _verify(folder, ARCHITECTURE_FILE)
    file = folder / ARCHITECTURE_FILE
    value = read_json(file)
    if not isinstance(value, dict) or value.pop("format", None) != FORMAT:
        raise CheckpointError("unknown checkpoint format", where=str(file), fix="upgrade cnclip")
    try:
        return ClipArchitecture.from_dict(value)
    except RecipeError as error:
        raise CheckpointError(f"not an architecture: {error.what}", where=str(file)) from None


def _verify(folder: Path, name: str) -> None:
    """Names and sizes of all files, and the hash of one: the optimizer's need not be read to load a model."""
    manifest = verify_dir(folder, deep=False)
    if name not in manifest.files:
        raise ArtifactError(f"{name} is not in the manifest", where=str(folder))
    if sha256_file(folder / name) != manifest.files[name][1]:
        raise ArtifactError(f"{name} differs from its sha256", where=str(folder), fix="copy the folder again")


def _differences(stored: ClipArchitecture, asked: ClipArchitecture) -> list[str]:
    held, wanted = _flat(stored.to_dict()), _flat(asked.to_dict())
    return [
        f"{key}: folder {held.get(key)}, asked for {wanted.get(key)}"
        for key in {**held, **wanted}
        if held.get(key) != wanted.get(key)
    ]


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, part in value.items():
        flat.update(_flat(part, f"{prefix}{key}.") if isinstance(part, Mapping) else {prefix + key: part})
    return flat


def _at_resolution(
    architecture: ClipArchitecture, tensors: Mapping[str, Tensor], resolution: int, *, where: str
) -> tuple[ClipArchitecture, dict[str, Tensor]]:
    image = architecture.image
    if resolution == getattr(image, "resolution", None):
        return architecture, dict(tensors)
    if not isinstance(image, VitArchitecture) or _POSITIONS not in tensors:
        raise CheckpointError(
            f"input_resolution {resolution}: only a vision transformer can change its picture size",
            where=where,
        )
    stretched = dataclasses.replace(image, resolution=resolution)
    tokens = 1 + (resolution // image.patch_size) ** 2
    table = resize_positions(tensors[_POSITIONS], tokens)
    return dataclasses.replace(architecture, image=stretched), {**tensors, _POSITIONS: table}
