"""Models by name: the five official ones, and any checkpoint folder or file by its path."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import torch

from cnclip.checkpoints import load_checkpoint, read_architecture
from cnclip.errors import CheckpointError, ResourceError, UnknownNameError
from cnclip.images.transform import ImageTransform, image_transform
from cnclip.model import ARCHITECTURES, TEXT_ARCHITECTURES, ChineseClip, ClipArchitecture, FeatureArchitecture

DEFAULT_ROOT = Path("checkpoints")


@dataclass(frozen=True)
class ModelEntry:
    """Where an official model lies; its architecture is ARCHITECTURES[name].

    Attributes:
        repository: name of the repository on the hub, without its owner.
        file: name of the weight file there.
    """

    repository: str
    file: str


MODELS: dict[str, ModelEntry] = {
    "ViT-B-16": ModelEntry("chinese-clip-vit-base-patch16", "clip_cn_vit-b-16.pt"),
    "ViT-L-14": ModelEntry("chinese-clip-vit-large-patch14", "clip_cn_vit-l-14.pt"),
    "ViT-L-14-336": ModelEntry("chinese-clip-vit-large-patch14-336px", "clip_cn_vit-l-14-336.pt"),
    "ViT-H-14": ModelEntry("chinese-clip-vit-huge-patch14", "clip_cn_vit-h-14.pt"),
    "RN50": ModelEntry("chinese-clip-rn50", "clip_cn_rn50.pt"),
}


def available_models() -> list[str]:
    """Names of the official models with released weights."""
    return list(MODELS)


def load_from_name(
    name: str | Path,
    device: str | torch.device | None = None,
    download_root: str | Path | None = None,
    vision_model_name: str | None = None,
    text_model_name: str | None = None,
    input_resolution: int | None = None,
    use_modelscope: bool = False,
) -> tuple[ChineseClip, ImageTransform]:
    """A model in evaluation mode and the transform that makes its pixels.

    Args:
        name: one of `available_models()`, or the path of a checkpoint folder or weight file.
        device: where the model goes; None = the GPU where there is one, else the CPU.
        download_root: folder of official weight files; None = `checkpoints/`, then the hub's own cache.
        vision_model_name: what the image tower must be (ViT-B-16 …); never needed, checked where given.
        text_model_name: what the text tower must be (RoBERTa-wwm-ext-base-chinese …); likewise.
        input_resolution: pixels; another one than the model's stretches a vision transformer's positions.
        use_modelscope: download from ModelScope in place of the Hugging Face hub.

    Returns:
        the float32 model, and a callable PIL.Image -> float32 [3, R, R].

    Raises:
        UnknownNameError: no such model, device or path; the nearest name is shown.
        CheckpointError: the weights are damaged or of another architecture.
        RefusedError: the file wants code to be run.
        ResourceError: the download failed, or what it needs is not installed.
    """
    place = _device(device)
    expected: ClipArchitecture | None = None
    if name in MODELS:
        path = _official_file(MODELS[str(name)], download_root, use_modelscope=use_modelscope)
        expected = ARCHITECTURES[str(name)]
    else:
        path = _existing(name)
    expected = _with_asked_towers(path, expected, vision_model_name, text_model_name)
    model = load_checkpoint(path, device=place, architecture=expected, resolution=input_resolution)
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
            raise _unknown(vision_model_name, ARCHITECTURES, "image tower")
        known = ARCHITECTURES[vision_model_name]
        asked = dataclasses.replace(asked, embed_dim=known.embed_dim, image=known.image)
    if text_model_name is not None:
        if text_model_name not in TEXT_ARCHITECTURES:
            raise _unknown(text_model_name, TEXT_ARCHITECTURES, "text tower")
        asked = dataclasses.replace(asked, text=TEXT_ARCHITECTURES[text_model_name])
    return asked


def _existing(name: str | Path) -> Path:
    path = Path(name)
    if path.exists():
        return path
    like_a_path = isinstance(name, Path) or path.suffix != "" or len(path.parts) > 1
    if like_a_path and _nearest(str(name), MODELS, cutoff=0.8) is None:
        raise UnknownNameError(
            f"no such checkpoint: {name}",
            where=str(path.absolute()),
            fix="give a folder or a file that exists",
        )
    raise _unknown(str(name), MODELS, "model")


def _unknown(name: str, known: Collection[str], kind: str) -> UnknownNameError:
    near = _nearest(name, known, cutoff=0.5)
    hint = f"choose one of {', '.join(known)}" if near is None else f"did you mean {near}?"
    return UnknownNameError(f"unknown {kind} {name!r}; known: {', '.join(known)}", fix=hint)


def _nearest(name: str, known: Collection[str], *, cutoff: float) -> str | None:
    lower = {entry.lower(): entry for entry in known}
    near = difflib.get_close_matches(name.lower().replace("/", "-"), lower, n=1, cutoff=cutoff)
    return lower[near[0]] if near else None


def _device(device: str | torch.device | None) -> torch.device:
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


def _official_file(entry: ModelEntry, download_root: str | Path | None, *, use_modelscope: bool) -> Path:
    """The weight file of an official model: as it lies in the folder, else from the hub."""
    root = Path(download_root) if download_root is not None else DEFAULT_ROOT
    if (root / entry.file).is_file():
        return root / entry.file
    folder = None if download_root is None else str(root)
    fetch = _from_modelscope if use_modelscope else _from_hugging_face
    try:
        return Path(fetch(entry, folder))
    except ImportError as error:
        package = "modelscope" if use_modelscope else "huggingface_hub"
        raise ResourceError(f"{package} is not installed", fix=f"pip install {package}") from error
    except Exception as error:  # each hub has its own tree of errors, and all of them mean: not here
        reason = next(iter(str(error).strip().splitlines()), repr(error))
        raise ResourceError(
            f"cannot fetch {entry.file}: {reason}",
            where=f"{entry.repository} on {'ModelScope' if use_modelscope else 'the Hugging Face hub'}",
            fix=f"put the file into {root}/ yourself, or set HF_ENDPOINT to a mirror",
        ) from error


def _from_hugging_face(entry: ModelEntry, folder: str | None) -> str:
    from huggingface_hub import hf_hub_download

    return hf_hub_download(f"OFA-Sys/{entry.repository}", entry.file, local_dir=folder)


def _from_modelscope(entry: ModelEntry, folder: str | None) -> str:
    from modelscope.hub.file_download import model_file_download  # type: ignore[import-not-found, unused-ignore]

    path: str = model_file_download(f"AI-ModelScope/{entry.repository}", entry.file, local_dir=folder)
    return path
