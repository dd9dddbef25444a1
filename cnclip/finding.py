"""From a name to files on this machine: official names, paths, repositories of a hub."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from cnclip.errors import UnknownNameError
from cnclip.hub import HubName, fetch_file, fetch_repository
from cnclip.hub.huggingface import cached_snapshot

DEFAULT_ROOT = Path("checkpoints")
OWNERS: dict[HubName, str] = {"huggingface": "OFA-Sys", "modelscope": "AI-ModelScope"}
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_SHARD = re.compile(r"(model|pytorch_model)-\d+-of-\d+\.(safetensors|bin)")


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


def find_checkpoint(
    name: str | Path, download_root: str | Path | None = None, *, use_modelscope: bool = False
) -> Path:
    """Where a model's weights lie on this machine; what is not here is downloaded and verified.

    Args:
        name: an official name, a path that exists, or owner/name of a repository, of one tower only perhaps.
        download_root: folder of downloads; None = `checkpoints/` where there is one, else the hub's cache.
        use_modelscope: download from ModelScope.

    Returns:
        a checkpoint folder or a weight file.

    Raises:
        UnknownNameError: neither an official name, nor a path that exists, nor a repository of the hub.
        ResourceError, ArtifactError: the download failed.
    """
    hub: HubName = "modelscope" if use_modelscope else "huggingface"
    if name in MODELS:
        entry = MODELS[str(name)]
        repository = f"{OWNERS[hub]}/{entry.repository}"
        return fetch_file(
            repository, entry.file, hub=hub, folder=_root(download_root, repository, entry.file)
        )
    path = Path(name)
    if path.exists():
        return path
    if isinstance(name, Path) or not _is_repository(name):
        raise _nowhere(name)
    chosen: list[str] = []

    def choose(files: list[str]) -> list[str]:
        chosen[:] = wanted_files(files)
        return chosen

    folder = None if download_root is None else Path(download_root) / name.replace("/", "--")
    try:
        folder = fetch_repository(name, choose=choose, hub=hub, folder=folder)
    except UnknownNameError as error:
        raise UnknownNameError(
            f"{name!r} is neither a path that exists nor a repository with a model: {error.what}",
            where=error.where,
            fix=f"choose one of {', '.join(MODELS)}, or a folder or file that exists",
        ) from error
    return folder / chosen[0] if len(chosen) == 1 else folder


def local_checkpoint(name: str | Path, download_root: str | Path | None = None) -> Path | None:
    """Where an official model or a path lies on this machine; None where it would have to be downloaded."""
    if name not in MODELS:
        return Path(name) if Path(name).exists() else None
    entry = MODELS[str(name)]
    roots = [Path(download_root) if download_root is not None else DEFAULT_ROOT]
    if download_root is None:
        snapshot = cached_snapshot(f"{OWNERS['huggingface']}/{entry.repository}", "main")
        roots += [] if snapshot is None else [snapshot]
    return next((root / entry.file for root in roots if (root / entry.file).is_file()), None)


def _root(download_root: str | Path | None, repository: str, file: str) -> Path | None:
    """The folder of an official file; None for the hub's own cache."""
    if download_root is not None:
        return Path(download_root)
    snapshot = cached_snapshot(repository, "main")
    cached = snapshot is not None and (snapshot / file).is_file()
    return DEFAULT_ROOT if (DEFAULT_ROOT / file).is_file() or (DEFAULT_ROOT.is_dir() and not cached) else None


def wanted_files(files: list[str]) -> list[str]:
    """Of a repository's files those of a model: our folder, a Hugging Face folder, or one weight file."""
    flat = [file for file in files if "/" not in file]
    if "architecture.json" in flat:
        return [file for file in files if not file.startswith(("trainer/", ".git"))]
    if "config.json" in flat:
        weights = next((name for name in _WEIGHTS if name in flat), None)
        if weights is not None:
            shards = [file for file in flat if weights.endswith(".json") and _SHARD.fullmatch(file)]
            sides = [file for file in flat if file.endswith((".json", ".txt")) and file not in _WEIGHTS]
            return [weights, *(shard for shard in shards if shard.startswith(weights.split(".")[0])), *sides]
    single = [file for file in flat if file.endswith((".safetensors", ".pt", ".bin"))]
    configs = [file for file in flat if file == "open_clip_config.json"]
    return [single[0], *configs] if len(single) == 1 or (configs and single) else []


def _is_repository(name: str) -> bool:
    """owner/name, unless it looks like a slip in an official name, or like a path into a folder here."""
    if not _REPOSITORY.fullmatch(name) or Path(name).suffix in (".pt", ".safetensors", ".bin"):
        return False
    return _nearest(name, MODELS, cutoff=0.8) is None and not Path(name).parent.is_dir()


def _nowhere(name: str | Path) -> UnknownNameError:
    path = Path(name)
    like_a_path = isinstance(name, Path) or path.suffix != "" or len(path.parts) > 1
    if like_a_path and _nearest(str(name), MODELS, cutoff=0.8) is None:
        return UnknownNameError(
            f"no such checkpoint: {name}",
            where=str(path.absolute()),
            fix="give a folder or a file that exists, or owner/name of a repository",
        )
    return unknown_name(str(name), MODELS, "model")


def unknown_name(name: str, known: Collection[str], kind: str) -> UnknownNameError:
    """The error for a name that is not known; it shows the nearest one."""
    near = _nearest(name, known, cutoff=0.5)
    hint = f"choose one of {', '.join(known)}" if near is None else f"did you mean {near}?"
    return UnknownNameError(f"unknown {kind} {name!r}; known: {', '.join(known)}", fix=hint)


def _nearest(name: str, known: Collection[str], *, cutoff: float) -> str | None:
    lower = {entry.lower(): entry for entry in known}
    near = difflib.get_close_matches(name.lower().replace("/", "-"), lower, n=1, cutoff=cutoff)
    return lower[near[0]] if near else None
