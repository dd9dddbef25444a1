"""Open whatever holds weights: a checkpoint folder of ours, or a weight file of any known naming."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from cnclip.artifacts import MANIFEST_NAME, read_json, sha256_file, verify_dir
from cnclip.checkpoints.names import official_tensors
from cnclip.checkpoints.reading import map_tensors
from cnclip.errors import ArtifactError, CheckpointError, RecipeError
from cnclip.model import ClipArchitecture
from cnclip.stamps import is_stamped, stamp

MODEL_FILE = "model.safetensors"
ARCHITECTURE_FILE = "architecture.json"
FORMAT = 1


@dataclass(frozen=True)
class OpenedCheckpoint:
    """What a folder or a file holds, before it is put into a model.

    Attributes:
        path: as it was given.
        kind: what it is, for people: "checkpoint folder", "weight file" …
        tensors: official name -> tensor, mapped.
        origins: official name -> name in the file.
        dropped: name in the file -> why no tower uses it.
        architecture: what the folder says; None for a bare file.
        release: gives the memory of a mapped tensor back, once its values have been copied elsewhere.
    """

    path: Path
    kind: str
    tensors: dict[str, Tensor]
    origins: dict[str, str]
    dropped: dict[str, str]
    architecture: ClipArchitecture | None
    release: Callable[[Tensor], None]


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
        architecture = read_architecture_file(path)
        file = path / MODEL_FILE
        _verify(path, MODEL_FILE)
    mapped = map_tensors(file)
    official = official_tensors(mapped.tensors, where=str(file))
    return OpenedCheckpoint(
        path=path,
        kind="checkpoint folder" if path.is_dir() else "weight file",
        tensors=official.tensors,
        origins=official.origins,
        dropped=official.dropped,
        architecture=architecture,
        release=mapped.release,
    )


def read_architecture_file(folder: Path) -> ClipArchitecture:
    """What a checkpoint folder of ours says about its shape.

    Raises:
        CheckpointError: another format.
        ArtifactError: the file differs from its manifest.
    """
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
    file, expected = folder / name, manifest.files[name][1]
    if is_stamped(file, expected):
        return
    if sha256_file(file) != expected:
        raise ArtifactError(f"{name} differs from its sha256", where=str(folder), fix="copy the folder again")
    stamp(file, expected)
