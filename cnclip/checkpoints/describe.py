"""What a checkpoint is, without building its model: shape, sizes, types, and what it can be used for."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnclip.architecture import IMAGE_KINDS
from cnclip.artifacts import MANIFEST_NAME, sha256_file, verify_dir
from cnclip.checkpoints.compare import IMAGE, TEXT, is_statistic, tower_of
from cnclip.checkpoints.detect import detect_architecture, official_name_of
from cnclip.checkpoints.opened import OpenedCheckpoint, image_architecture, open_checkpoint, text_architecture
from cnclip.errors import CheckpointError
from cnclip.model import ClipArchitecture

WHOLE = "whole model"


@dataclass(frozen=True)
class CheckpointFacts:
    """What a checkpoint is.

    Attributes:
        path: folder or file.
        kind: "checkpoint folder", "weight file" …
        name: of its architecture, where that has one.
        architecture: of what is there, as in `architecture.json`; an absent tower is missing.
        is_stated: whether something beside the tensors says so; they do not tell heads, for one.
        parameters: "total", IMAGE and TEXT -> how many numbers are trained.
        types: type in the file -> how many numbers.
        bytes: of all files.
        resolution: pixels of its pictures; None without an image tower, or for ready-made features.
        max_positions: tokens of the longest caption; None without a text tower.
        uses: of "whole model", "image tower", "text tower".
        dropped: name in the file -> why nothing is set from it.
    """

    path: str
    kind: str
    name: str | None
    architecture: dict[str, Any]
    is_stated: bool
    parameters: dict[str, int]
    types: dict[str, int]
    bytes: int
    resolution: int | None
    max_positions: int | None
    uses: tuple[str, ...]
    dropped: dict[str, str]


def describe_checkpoint(path: Path) -> CheckpointFacts:
    """Read a checkpoint's facts; its tensors are mapped, not read.

    Raises:
        CheckpointError: no checkpoint, damaged, or neither tower is there.
        ArtifactError: a file of the folder differs from its manifest.
        RefusedError: the file wants code to be run.
    """
    opened = open_checkpoint(path, shapes_only=True)
    uses = _uses(opened)
    whole = _whole_architecture(opened, uses)
    architecture = whole.to_dict() if whole is not None else _partial(opened, uses)
    parameters: Counter[str] = Counter({"total": 0, IMAGE: 0, TEXT: 0})
    types: Counter[str] = Counter()
    for name, tensor in opened.tensors.items():
        types[str(tensor.dtype).removeprefix("torch.")] += tensor.numel()
        if not is_statistic(name):
            parameters["total"] += tensor.numel()
            parameters[tower_of(name)] += tensor.numel()
    return CheckpointFacts(
        path=str(path),
        kind=opened.kind,
        name=None if whole is None else official_name_of(whole),
        architecture=architecture,
        is_stated=(opened.image or opened.text) is not None,
        parameters={key: parameters[key] for key in ("total", IMAGE, TEXT)},
        types=dict(types.most_common()),
        bytes=path_bytes(path),
        resolution=architecture.get("image", {}).get("resolution"),
        max_positions=architecture.get("text", {}).get("max_positions"),
        uses=uses,
        dropped=dict(opened.dropped),
    )


def file_hashes(path: Path) -> dict[str, tuple[int, str]]:
    """Relative name -> (bytes, sha256) of a file, or of every file of a folder.

    Raises:
        ArtifactError: a file differs from the folder's manifest.
    """
    if path.is_file():
        return {path.name: (path.stat().st_size, sha256_file(path))}
    listed = verify_dir(path).files if (path / MANIFEST_NAME).is_file() else {}
    files = {file.relative_to(path).as_posix(): file for file in sorted(path.rglob("*")) if file.is_file()}
    return {
        name: listed.get(name) or (file.stat().st_size, sha256_file(file)) for name, file in files.items()
    }


def path_bytes(path: Path) -> int:
    """Size of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _uses(opened: OpenedCheckpoint) -> tuple[str, ...]:
    image = any(name.startswith("visual.") for name in opened.tensors)
    text = any(name.startswith("bert.") for name in opened.tensors)
    if not (image or text):
        raise CheckpointError("neither an image tower nor a text tower is in it", where=str(opened.path))
    whole = image and text and "logit_scale" in opened.tensors and "text_projection" in opened.tensors
    return tuple(use for use, there in ((WHOLE, whole), (IMAGE, image), (TEXT, text)) if there)


def _whole_architecture(opened: OpenedCheckpoint, uses: tuple[str, ...]) -> ClipArchitecture | None:
    if WHOLE not in uses:
        return None
    return opened.architecture or detect_architecture(opened.tensors, where=str(opened.path))


def _partial(opened: OpenedCheckpoint, uses: tuple[str, ...]) -> dict[str, Any]:
    """The towers that are there, in the form of `architecture.json`."""
    found: dict[str, Any] = {} if opened.embed_dim is None else {"embed_dim": opened.embed_dim}
    if IMAGE in uses:
        image = image_architecture(opened)
        kind = next(name for name, cls in IMAGE_KINDS.items() if type(image) is cls)
        found["image"] = {"kind": kind, **dataclasses.asdict(image)}
    if TEXT in uses:
        found["text"] = dataclasses.asdict(text_architecture(opened))
    return found
