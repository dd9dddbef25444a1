"""From a name to files on this machine: official names, paths, repositories of a hub."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from cnclip.checkpoints.huggingface import WEIGHT_FILES
from cnclip.errors import CheckpointError, UnknownNameError
from cnclip.hub import HubName, check_whole, fetch_file, fetch_repository
from cnclip.hub.huggingface import cached_snapshot
from cnclip.hub.settings import DEFAULT_REVISIONS, modelscope_cache

DEFAULT_ROOT = Path("checkpoints")
OWNERS: dict[HubName, str] = {"huggingface": "OFA-Sys", "modelscope": "AI-ModelScope"}
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_SHARD = re.compile(r"(model|pytorch_model)-\d+-of-\d+\.(safetensors|bin)")
_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
_OF_A_TRAINER = re.compile(r"(training_args|optimizer|scheduler|scaler|rng_state.*)\.\w+")
_OPEN_CLIP_CONFIG, _OPEN_CLIP = "open_clip_config.json", "open_clip_"
_LISTED = 20  # names of a repository's files in an error


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
        download_root: folder of downloads, a repository's in a folder owner--name; None = the hub's cache,
            and for official names `checkpoints/` where there is such a folder.
        use_modelscope: download from ModelScope.

    Returns:
        a checkpoint folder or a weight file.

    Raises:
        UnknownNameError: neither an official name, nor a path that exists, nor a repository of the hub.
        CheckpointError: the repository holds no model, or several; the message says what it holds.
        ResourceError, ArtifactError: the download failed.
    """
    if not isinstance(name, str | Path):
        raise UnknownNameError(
            f"a model's name is a str or a Path, not {name!r}", fix=f"choose one of {', '.join(MODELS)}"
        )
    hub: HubName = "modelscope" if use_modelscope else "huggingface"
    if name in MODELS:
        return _official_file(MODELS[str(name)], download_root, hub)
    if _exists(name):
        if Path(name).is_file():
            check_whole(Path(name))
        return Path(name)
    if isinstance(name, Path) or not is_repository(name):
        raise _nowhere(name)
    chosen: list[str] = []

    def choose(files: list[str]) -> list[str]:
        chosen[:] = wanted_files(files)
        if not chosen:
            raise _unusable(name, files)
        return chosen

    folder = None if download_root is None else Path(download_root) / name.replace("/", "--")
    try:
        folder = fetch_repository(name, choose=choose, hub=hub, folder=folder)
    except UnknownNameError as error:
        raise UnknownNameError(
            f"{name!r} is neither a path that exists nor a repository: {error.what}",
            where=error.where,
            fix=f"{error.fix}; or choose one of {', '.join(MODELS)}, or a folder or file that exists",
        ) from error
    return folder / chosen[0] if len(chosen) == 1 else folder


def local_checkpoint(name: str | Path, root: str | Path = DEFAULT_ROOT) -> Path | None:
    """Where an official model or a path lies on this machine; None where it would have to be downloaded.

    Args:
        name: an official name, or a path.
        root: where an official file is looked for, before the hubs' own caches.
    """
    if name not in MODELS:
        return Path(name) if _exists(name) else None
    entry = MODELS[str(name)]
    here = [Path(root) / entry.file, *_cached(entry).values()]
    return next((path for path in here if path.is_file()), None)


def _official_file(entry: ModelEntry, download_root: str | Path | None, hub: HubName) -> Path:
    """What lies in `checkpoints/`, or in the cache of either hub, is not downloaded again."""
    folder = None if download_root is None else Path(download_root)
    if folder is None:
        cached = _cached(entry)
        if (DEFAULT_ROOT / entry.file).is_file() or (DEFAULT_ROOT.is_dir() and not cached):
            folder = DEFAULT_ROOT
        elif cached and hub not in cached:
            hub = next(iter(cached))
    return fetch_file(f"{OWNERS[hub]}/{entry.repository}", entry.file, hub=hub, folder=folder)


def _cached(entry: ModelEntry) -> dict[HubName, Path]:
    """Where the hubs' own caches hold an official file."""
    names = {hub: f"{owner}/{entry.repository}" for hub, owner in OWNERS.items()}
    places: dict[HubName, Path | None] = {
        "huggingface": cached_snapshot(names["huggingface"], DEFAULT_REVISIONS["huggingface"]),
        "modelscope": modelscope_cache(names["modelscope"], DEFAULT_REVISIONS["modelscope"]),
    }
    files = {hub: place / entry.file for hub, place in places.items() if place is not None}
    return {hub: file for hub, file in files.items() if file.is_file()}


def wanted_files(files: list[str]) -> list[str]:
    """Of a repository's files those of a model: our folder, a Hugging Face folder, or one weight file."""
    flat = [file for file in files if "/" not in file]
    if "architecture.json" in flat and WEIGHT_FILES[0] in flat:
        return [file for file in files if not file.startswith(("trainer/", ".git"))]
    if "config.json" in flat:
        weights = next((name for name in WEIGHT_FILES if name in flat), None)
        if weights is not None:
            shards = [file for file in flat if weights.endswith(".json") and _SHARD.fullmatch(file)]
            sides = [file for file in flat if file.endswith((".json", ".txt")) and file not in WEIGHT_FILES]
            return [weights, *(shard for shard in shards if shard.startswith(weights.split(".")[0])), *sides]
    single = _weight_files(flat)
    if _OPEN_CLIP_CONFIG in flat and any(file.startswith(_OPEN_CLIP) for file in single):
        return [next(file for file in single if file.startswith(_OPEN_CLIP)), _OPEN_CLIP_CONFIG]
    formats = len({Path(file).stem for file in single}) == 1  # one model, in one format or in several
    return single[:1] if formats else []


def _weight_files(files: list[str]) -> list[str]:
    """Those that may hold weights, safetensors first."""
    found = [file for file in files if file.endswith(_SUFFIXES) and not _OF_A_TRAINER.fullmatch(file)]
    return sorted(found, key=lambda file: _SUFFIXES.index(Path(file).suffix))


def _unusable(repository: str, files: list[str]) -> CheckpointError:
    """The error for a repository without a model that can be told."""
    listed = ", ".join(files[:_LISTED]) or "no files at all"
    more = f" … and {len(files) - _LISTED} more" if len(files) > _LISTED else ""
    several = len(_weight_files([file for file in files if "/" not in file])) > 1
    fix = "download the weight file that you want, and give its path"
    return CheckpointError(
        f"{'more than one model' if several else 'no model'} in this repository; it has {listed}{more}",
        where=repository,
        fix=fix if several else "choose a repository with architecture.json, config.json or one weight file",
    )


def is_repository(name: str) -> bool:
    """Whether a name reads like owner/name, and is no slip in an official name and no path into a folder."""
    if not _REPOSITORY.fullmatch(name) or Path(name).suffix in _SUFFIXES:
        return False
    return not _is_slip(name) and not _is_in_a_folder(name)


def _exists(name: str | Path) -> bool:
    """Whether there is such a file or folder; what cannot be the name of one is none."""
    try:
        return str(name) != "" and Path(name).exists()
    except OSError:  # too long, or in a folder that we may not look into
        return False


def _is_in_a_folder(name: str) -> bool:
    owner = Path(name).parent
    return _exists(owner) and owner.is_dir()


def _is_slip(name: str) -> bool:
    """Whether a name with a slash is an official name written wrong, as OpenAI's ViT-B/16 is.

    A repository that is called like an official model, me/ViT-B-16, is none: what comes after the slash is
    nearer to the official name than the whole.
    """
    last = name.rsplit("/", 1)[-1]
    near = _nearest(name, MODELS, cutoff=0.8)
    return near is not None and (last == name or _likeness(last, near) < _likeness(name, near))


def _nowhere(name: str | Path) -> UnknownNameError:
    text = str(name)
    like_a_path = isinstance(name, Path) or "/" in text or Path(text).suffix != ""
    if not like_a_path or _is_slip(text):
        return unknown_name(text, MODELS, "model", also=", or owner/name of a repository, or a path")
    fix = "give a folder or a file that exists, or owner/name of a repository"
    if _REPOSITORY.fullmatch(text) and _is_in_a_folder(text):
        fix += f"; as there is a folder {Path(text).parent} here, this is taken for a path into it"
    return UnknownNameError(f"no such checkpoint: {name}", where=str(Path(text).absolute()), fix=fix)


def unknown_name(name: str, known: Collection[str], kind: str, *, also: str = "") -> UnknownNameError:
    """The error for a name that is not known; it shows the nearest one, or all and what else is a name."""
    near = _nearest(name, known, cutoff=0.5)
    hint = f"choose one of {', '.join(known)}{also}" if near is None else f"did you mean {near}?"
    return UnknownNameError(f"unknown {kind} {name!r}; known: {', '.join(known)}", fix=hint)


def _nearest(name: str, known: Collection[str], *, cutoff: float) -> str | None:
    near = max(known, key=lambda entry: _likeness(name, entry))
    return near if _likeness(name, near) >= cutoff else None


def _likeness(name: str, known: str) -> float:
    """0 to 1, whatever the capitals, and a slash as good as a hyphen."""
    return difflib.SequenceMatcher(None, name.lower().replace("/", "-"), known.lower()).ratio()
