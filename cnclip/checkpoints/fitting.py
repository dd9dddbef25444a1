"""Put tensors into a model, strictly: all names, all shapes, all types, no NaN, or nothing at all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from cnclip.checkpoints.detect import detect_architecture, official_name_of
from cnclip.checkpoints.mapping import NoPages, Pages
from cnclip.checkpoints.names import to_memory, to_official
from cnclip.checkpoints.precision import Precision, round_as_cn_clip, set_precision
from cnclip.errors import CheckpointError
from cnclip.model import ChineseClip, ClipArchitecture

LISTED = 8  # of each kind of difference
_logger = logging.getLogger(__name__)


def build_model(
    official: Mapping[str, Tensor],
    architecture: ClipArchitecture,
    *,
    where: Path,
    precision: Precision = "fp32",
    release: Pages | None = None,
    lasting: bool = True,
) -> ChineseClip:
    """A model in evaluation mode that holds these very tensors, without a second copy of all of them.

    Args:
        official: official name -> tensor.
        architecture: of the model.
        where: the file, for errors.
        precision: the types of the weights.
        release: gives back the memory of a tensor that was converted or joined; None = none is mapped.
        lasting: the mapped file never changes, so that the model may live in its pages.

    Raises:
        CheckpointError: anything missing, left over, of another shape or type, or not finite.
    """
    with torch.device("meta"):
        model = ChineseClip(architecture)
    set_precision(model, precision)
    release = release or NoPages()
    fitted = fit(official, to_official(model.state_dict()), where=where, release=release)
    if precision == "cn_clip":
        fitted = {name: _rounded(name, tensor, where, release) for name, tensor in fitted.items()}
    state = to_memory(fitted, release=release)
    if not lasting:  # one tensor at a time: the pages of each are given back before the next is copied
        del fitted, official
        for name, tensor in state.items():
            if release.holds(tensor):
                state[name] = tensor.clone()
                release(tensor)
    model.load_state_dict(state, strict=True, assign=True)
    return model.eval()


def fit(
    found: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    *,
    where: Path,
    release: Callable[[Tensor], None] = lambda tensor: None,
) -> dict[str, Tensor]:
    """The found tensors in the expected types, in the expected order.

    Args:
        found: official name -> tensor of the file.
        expected: official name -> tensor of the model; only its shape and type are looked at.
        where: the file, for errors.
        release: gives the memory of a tensor back that was converted.

    Raises:
        CheckpointError: anything missing, left over, of another shape or type, or not finite.
    """
    _check_names_and_shapes(found, expected, where=where)
    fitted = {}
    for name, like in expected.items():
        check_finite({name: found[name]}, where=where)
        fitted[name] = _as_type(name, found[name], like, where)
        if fitted[name] is not found[name]:
            _check_fits(name, fitted[name], where)
            release(found[name])
    changed = [name for name in expected if found[name].dtype != fitted[name].dtype]
    if changed:
        _logger.info("%s: %d tensors read as %s", where, len(changed), fitted[changed[0]].dtype)
    return fitted


def _rounded(name: str, tensor: Tensor, where: Path, release: Callable[[Tensor], None]) -> Tensor:
    rounded = round_as_cn_clip(name, tensor)
    if rounded is not tensor:
        _check_fits(name, rounded, where)
        release(tensor)
    return rounded


def _check_fits(name: str, narrowed: Tensor, where: Path) -> None:
    """A finite value that became infinite was too large for the narrower type."""
    if narrowed.is_floating_point() and not bool(torch.isfinite(narrowed).all()):
        raise CheckpointError(
            "the tensor holds values that are too large for the precision asked for",
            where=f"{where}: {name}",
            fix='precision="bf16" or "fp32"',
        )


def check_finite(tensors: Mapping[str, Tensor], *, where: Path) -> None:
    """Refuse NaN and infinity.

    Raises:
        CheckpointError: names the first tensor that has one.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.numel():
            low, high = torch.aminmax(tensor)  # one pass without a temporary; NaN wins both
            if not (torch.isfinite(low) and torch.isfinite(high)):
                raise CheckpointError(
                    "the tensor holds NaN or infinity",
                    where=f"{where}: {name}",
                    fix="use an earlier checkpoint",
                )


def _check_names_and_shapes(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], *, where: Path
) -> None:
    shapes = [
        f"{name}: file {list(found[name].shape)}, model {list(like.shape)}"
        for name, like in expected.items()
        if name in found and found[name].shape != like.shape
    ]
    missing = [
        f"{name}: not in the file, model {list(like.shape)}"
        for name, like in expected.items()
        if name not in found
    ]
    extra = [
        f"{name}: file {list(tensor.shape)}, not in the model"
        for name, tensor in found.items()
        if name not in expected
    ]
    if not (shapes or missing or extra):
        return
    total = len(shapes) + len(missing) + len(extra)
    lines = [line for kind in (shapes, missing, extra) for line in _some(kind)]
    raise CheckpointError(
        "\n    ".join([f"{total} tensors do not fit the model", *lines]),
        where=str(where),
        fix=_likely_cause(found),
    )


def _some(lines: list[str]) -> list[str]:
    return (
        lines if len(lines) <= LISTED else [*lines[:LISTED], f"… and {len(lines) - LISTED} more like these"]
    )


def _likely_cause(found: Mapping[str, Tensor]) -> str:
    try:
        name = official_name_of(detect_architecture(found, where=""))
    except CheckpointError:
        name = None
    if name is None:
        return "leave out the model's name, so that the shape is taken from the file"
    return f"the file looks like {name}: ask for that, or leave out the model's name"


def _as_type(name: str, tensor: Tensor, like: Tensor, where: Path) -> Tensor:
    if tensor.dtype == like.dtype:
        return tensor
    if tensor.is_floating_point() and like.is_floating_point():
        return tensor.to(like.dtype)
    raise CheckpointError(
        f"the tensor is {tensor.dtype}, the model's is {like.dtype}", where=f"{where}: {name}"
    )
