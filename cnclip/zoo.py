"""Models by name: the five official ones, repositories of a hub, and any checkpoint folder or file."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from cnclip.checkpoints import Interpolation, Precision, load_checkpoint, read_architecture
from cnclip.errors import CheckpointError, UnknownNameError
from cnclip.finding import MODELS, available_models, find_checkpoint, unknown_name
from cnclip.images.transform import ImageTransform, image_transform
from cnclip.model import ARCHITECTURES, TEXT_ARCHITECTURES, ChineseClip, ClipArchitecture, FeatureArchitecture

__all__ = ["MODELS", "available_models", "find_checkpoint", "load_from_name"]


def load_from_name(
    name: str | Path,
    device: str | torch.device | None = None,
    download_root: str | Path | None = None,
    vision_model_name: str | None = None,
    text_model_name: str | None = None,
    input_resolution: int | None = None,
    use_modelscope: bool = False,
    *,
    precision: Precision = "fp32",
    interpolation: Interpolation = "cn_clip",
) -> tuple[ChineseClip, ImageTransform]:
    """A model in evaluation mode and the transform that makes its pixels.

    Args:
        name: one of `available_models()`, the path of a checkpoint folder or weight file, or owner/name of a
            repository on the hub; a path that exists is never taken for a repository.
        device: where the model goes; None = the GPU where there is one, else the CPU.
        download_root: folder of downloads, a repository's in a folder owner--name; None = the hub's cache,
            and for official names `checkpoints/` where there is such a folder. What lies in either is used.
        vision_model_name: what the image tower must be (ViT-B-16 …); never needed, checked where given.
        text_model_name: what the text tower must be (RoBERTa-wwm-ext-base-chinese …); likewise.
        input_resolution: pixels; another one than the model's stretches the image tower's positions.
        use_modelscope: download from ModelScope in place of the Hugging Face hub.
        precision: "fp32", "bf16", "fp16"; "cn_clip" = float32 with the rounding to half that the original
            puts every weight through, for features equal to the original's on a CPU.
        interpolation: how positions are stretched, the original's way or "antialias".

    Returns:
        the model in evaluation mode, and a callable PIL.Image -> float32 [3, R, R].

    Raises:
        UnknownNameError: no such model, device, repository or path; the nearest name is shown.
        CheckpointError: the weights are damaged or of another architecture, or the repository holds no model,
            or several; the message says which.
        ArtifactError: bytes differ from their sha256.
        RefusedError: the file wants code to be run.
        ResourceError: no network, disk full, no permission.
    """
    place = chosen_device(device)
    path = find_checkpoint(name, download_root, use_modelscope=use_modelscope)
    expected = ARCHITECTURES[str(name)] if name in MODELS else None
    expected = _with_asked_towers(path, expected, vision_model_name, text_model_name)
    model = load_checkpoint(
        path,
        device=place,
        architecture=expected,
        resolution=input_resolution,
        interpolation=interpolation,
        precision=precision,
    )
    image = model.architecture.image
    if isinstance(image, FeatureArchitecture):
        raise CheckpointError(
            "this model takes ready-made image features, so there is no picture transform for it",
            where=str(path),
            fix="use cnclip.checkpoints.load_checkpoint",
        )
    return model, image_transform(image.resolution)


def _with_asked_towers(
    path: Path, expected: ClipArchitecture | None, vision_model_name: str | None, text_model_name: str | None
) -> ClipArchitecture | None:
    """The architecture that the file must have: its own, with the towers that were asked for by name."""
    if vision_model_name is None and text_model_name is None:
        return expected
    asked = expected or read_architecture(path)
    if vision_model_name is not None:
        if vision_model_name not in ARCHITECTURES:
            raise unknown_name(vision_model_name, ARCHITECTURES, "image tower")
        known = ARCHITECTURES[vision_model_name]
        asked = dataclasses.replace(asked, embed_dim=known.embed_dim, image=known.image)
    if text_model_name is not None:
        if text_model_name not in TEXT_ARCHITECTURES:
            raise unknown_name(text_model_name, TEXT_ARCHITECTURES, "text tower")
        asked = dataclasses.replace(asked, text=TEXT_ARCHITECTURES[text_model_name])
    return asked


def chosen_device(device: str | torch.device | None) -> torch.device:
    """The device of that name, tried; None = the GPU where there is one, else the CPU.

    Raises:
        UnknownNameError: not on this machine; the message lists what is.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UnknownNameError(
            f"device {device!r} is not on this machine", fix="choose " + " or ".join(_devices())
        ) from None
    return place


def _devices() -> list[str]:
    return ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
