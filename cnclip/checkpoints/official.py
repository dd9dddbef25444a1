"""Write a model as a cn_clip `.pt`, and read what such a file says besides its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cnclip.artifacts import atomic_file
from cnclip.checkpoints.detect import detect_architecture
from cnclip.checkpoints.fitting import check_finite
from cnclip.checkpoints.names import to_official
from cnclip.checkpoints.reading import STATED, read_tensors
from cnclip.checkpoints.torchscript import is_torchscript
from cnclip.errors import CheckpointError, RefusedError
from cnclip.model import ChineseClip, ClipArchitecture, FeatureArchitecture, VitArchitecture

_PREFIX = "module."  # cn_clip saves the model inside its DistributedDataParallel wrapper
_READABLE = (torch.float32, torch.float16)


@dataclass(frozen=True)
class OfficialFacts:
    """What a cn_clip file says about its training.

    Attributes:
        name: of the experiment.
        epoch: epochs done.
        step: steps done.
        optimizer_bytes: size of the optimizer's tensors; 0 where there is none. Nothing here reads them.
    """

    name: str = ""
    epoch: int = 0
    step: int = 0
    optimizer_bytes: int = 0


def write_official(model: ChineseClip, path: Path, *, facts: OfficialFacts | None = None) -> None:
    """Write a file that cn_clip loads strictly, by `--resume` or `load_from_name`; whole or not at all.

    Args:
        model: with float32 or float16 weights; they are written as they are (`set_precision` changes them).
        path: the file; one that is there is replaced.
        facts: its `epoch`, `step` and `name`; no optimizer is written.

    Raises:
        CheckpointError: cn_clip has no such architecture, or a weight is NaN, infinite or of another type.
        ResourceError: disk full, no permission.
    """
    check_official(model.architecture, where=str(path))
    official = to_official({name: tensor.detach().cpu() for name, tensor in model.state_dict().items()})
    check_finite(official, where=path)
    wrong = next(
        (t.dtype for t in official.values() if t.is_floating_point() and t.dtype not in _READABLE), None
    )
    if wrong is not None:
        raise CheckpointError(
            f"cn_clip files hold float32 or float16, not {wrong}", where=str(path), fix="--dtype fp32 or fp16"
        )
    facts = facts or OfficialFacts()
    content = {
        "epoch": facts.epoch,
        "step": facts.step,
        "name": facts.name,
        "state_dict": {_PREFIX + name: _with_own_storage(tensor) for name, tensor in official.items()},
    }
    if not _tensors_tell(official, model.architecture):
        content[STATED] = model.architecture.to_dict()
    with atomic_file(path) as temporary:
        _save(content, temporary)


def _tensors_tell(official: Mapping[str, Tensor], architecture: ClipArchitecture) -> bool:
    """Whether a reader finds the architecture from the tensors alone, as in every official file."""
    try:
        return detect_architecture(official, where="") == architecture
    except CheckpointError:  # a width whose heads nobody can guess
        return False


def read_official_facts(path: Path) -> OfficialFacts | None:
    """Epoch, step and name of a cn_clip file; None for any other file.

    Raises:
        CheckpointError: damaged.
    """
    try:
        read_tensors(path)
    except RefusedError:  # no plain table of tensors: `open_checkpoint` knows whether it is anything else
        return None
    with open(path, "rb") as file:
        if path.suffix == ".safetensors" or file.read(2) != b"PK" or is_torchscript(path):
            return None
    content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    if not isinstance(content, dict) or "state_dict" not in content:
        return None
    numbers = {key: content[key] for key in ("epoch", "step") if type(content.get(key)) is int}
    name = content.get("name")
    return OfficialFacts(
        name=name if isinstance(name, str) else "",
        optimizer_bytes=_tensor_bytes(content.get("optimizer")),
        **numbers,
    )


def check_official(architecture: ClipArchitecture, *, where: str) -> None:
    """Refuse what cn_clip cannot compute.

    Raises:
        CheckpointError: ready-made features, or another activation than its own.
    """
    image = architecture.image
    if isinstance(image, FeatureArchitecture):
        raise CheckpointError(
            "cn_clip has no model of ready-made image features", where=where, fix="--to native"
        )
    if isinstance(image, VitArchitecture) and image.activation != "quick_gelu":
        raise CheckpointError(
            f"cn_clip computes every vision transformer with QuickGELU; this one needs {image.activation}, "
            "and would give other features there",
            where=where,
            fix="--to hf or --to native",
        )


def _save(content: dict[str, Any], path: Path) -> None:
    """`torch.save`, which hides what the operating system said of a full disk behind a RuntimeError."""
    try:
        with open(path, "wb") as file:
            torch.save(content, file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def _with_own_storage(tensor: Tensor) -> Tensor:
    """The same memory as a tensor of its own: `torch.save` writes all of what a view was cut from.

    Nothing is copied but what is not contiguous.
    """
    octets = tensor.contiguous().reshape(-1).view(torch.uint8).numpy()
    return torch.from_numpy(octets).view(tensor.dtype).reshape(tensor.shape)


def _tensor_bytes(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, dict):
        return sum(_tensor_bytes(part) for part in value.values())
    if isinstance(value, list | tuple):
        return sum(_tensor_bytes(part) for part in value)
    return 0
