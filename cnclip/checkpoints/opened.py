"""Open whatever holds weights: folders of ours, of Hugging Face and of open_clip, and weight files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from cnclip.artifacts import MANIFEST_NAME, read_json, read_manifest, sha256_file
from cnclip.checkpoints import huggingface, openclip
from cnclip.checkpoints.described import DescribedTowers
from cnclip.checkpoints.detect import detect_embed_dim, detect_image_tower, detect_text
from cnclip.checkpoints.hugging_config import describe_towers
from cnclip.checkpoints.layouts import Layout
from cnclip.checkpoints.mapping import MappedTensors, Pages
from cnclip.checkpoints.names import OfficialTensors, official_tensors
from cnclip.checkpoints.reading import map_tensors
from cnclip.errors import ArtifactError, CheckpointError, RecipeError
from cnclip.model import BertArchitecture, ClipArchitecture, ImageArchitecture
from cnclip.stamps import is_stamped, stamp

MODEL_FILE = "model.safetensors"
ARCHITECTURE_FILE = "architecture.json"
FORMAT = 1
_IMAGE, _TEXT = "visual.", "bert."


@dataclass(frozen=True)
class OpenedCheckpoint:
    """What a folder or a file holds, before it is put into a model.

    Attributes:
        path: as it was given.
        kind: what it is, for people: "checkpoint folder", "weight file" …
        tensors: official name -> tensor, mapped where nothing had to be joined or turned.
        origins: official name -> name in the file.
        dropped: name in the file -> why no tower uses it.
        architecture: what the folder says of the whole model; None for a bare file, or for one tower.
        release: gives the memory of a mapped tensor back, once its values have been copied elsewhere.
        lasting: nobody rewrites the file in place, so that a model may go on living in the mapped pages.
        layout: the family of names.
        image: what the folder says of its image tower.
        text: what the folder says of its text tower.
        embed_dim: what the folder says of the image tower's embeddings.
    """

    path: Path
    kind: str
    tensors: dict[str, Tensor]
    origins: dict[str, str]
    dropped: dict[str, str]
    architecture: ClipArchitecture | None
    release: Pages
    lasting: bool
    layout: Layout
    image: ImageArchitecture | None = None
    text: BertArchitecture | None = None
    embed_dim: int | None = None


def is_native(path: Path) -> bool:
    """Whether a path is a checkpoint folder of ours."""
    if (path / ARCHITECTURE_FILE).is_file():
        return True
    return (path / MANIFEST_NAME).is_file() and not (path / huggingface.CONFIG_FILE).is_file()


def open_checkpoint(path: str | Path, *, shapes_only: bool = False) -> OpenedCheckpoint:
    """Open a folder of ours (its hashes are checked), of Hugging Face or open_clip, or a weight file.

    Args:
        path: folder or file.
        shapes_only: the tensors have no values (device "meta"), and nothing is copied.

    Raises:
        CheckpointError: none of these, damaged, or a configuration that contradicts its tensors.
        ArtifactError: a file of the folder differs from its manifest.
        RefusedError: the file wants code to be run.
    """
    path = Path(path)
    if not path.exists():
        raise CheckpointError("no such checkpoint", where=str(path))
    if not path.is_dir():
        if _is_weight_file_of_a_folder(path):
            return open_checkpoint(path.parent, shapes_only=shapes_only)
        mapped = map_tensors(path)
        official = _translated(mapped, path, shapes_only)
        return _opened(path, mapped, official, _stated_towers(mapped, official.layout.kind, path))
    if is_native(path):
        whole = read_architecture_file(path)
        _verify(path, MODEL_FILE)
        mapped = map_tensors(path / MODEL_FILE)
        described = DescribedTowers("checkpoint folder", whole, whole.image, whole.text, whole.embed_dim)
        return _opened(path, mapped, _translated(mapped, path / MODEL_FILE, shapes_only), described)
    if huggingface.is_hugging_face(path):
        if (path / MANIFEST_NAME).is_file() and (path / MODEL_FILE).is_file():
            _verify(path, MODEL_FILE)  # we wrote it
        config = huggingface.read_config(path)
        mapped = huggingface.map_folder(path)
        official = _translated(mapped, path, shapes_only)
        described = describe_towers(config, official.tensors, path / huggingface.CONFIG_FILE)
        return _opened(path, mapped, official, described)
    file = openclip.find_open_clip(path)
    if file is None:
        known = (*huggingface.WEIGHT_FILES, *openclip.WEIGHT_FILES)
        raise CheckpointError(
            f"the folder has no {ARCHITECTURE_FILE}, and none of {', '.join(known)}",
            where=str(path),
            fix="give a checkpoint folder, or a weight file",
        )
    mapped = map_tensors(file)
    official = _translated(mapped, file, shapes_only)
    return _opened(path, mapped, official, openclip.describe_open_clip(path, official.tensors))


def _is_weight_file_of_a_folder(path: Path) -> bool:
    """Whether the folder around a file says what the file's tensors cannot: heads, activation, hashes."""
    folder = path.parent
    if path.name == MODEL_FILE and is_native(folder):
        return True
    if (folder / huggingface.CONFIG_FILE).is_file() and huggingface.is_hugging_face(folder):
        return path.name == huggingface.weight_file(folder)
    return path == openclip.find_open_clip(folder)


def check_whole(opened: OpenedCheckpoint) -> None:
    """Refuse what is not a whole model, and say what it is good for.

    Raises:
        CheckpointError: a tower is missing.
    """
    image = any(name.startswith(_IMAGE) for name in opened.tensors)
    text = any(name.startswith(_TEXT) for name in opened.tensors)
    if image and text:
        return
    if image or text:
        held, lacking = ("image", "Chinese text") if image else ("text", "image")
        raise CheckpointError(
            f"{opened.kind}: it holds no {lacking} tower, so it is not a whole model",
            where=str(opened.path),
            fix=f"its {held} tower can start a model in training: model.{held}.checkpoint={opened.path}",
        )
    raise CheckpointError(f"{opened.kind}: it holds neither tower", where=str(opened.path))


def require_tower(opened: OpenedCheckpoint, tower: Literal["image", "text"]) -> None:
    """Refuse a checkpoint without that tower.

    Raises:
        CheckpointError: says what the checkpoint is.
    """
    if not any(name.startswith(_IMAGE if tower == "image" else _TEXT) for name in opened.tensors):
        raise CheckpointError(f"{opened.kind}: it holds no {tower} tower", where=str(opened.path))


def image_architecture(opened: OpenedCheckpoint) -> ImageArchitecture:
    """The image tower: what the folder says of it, else what its tensors say.

    Raises:
        CheckpointError: no image tower there, or one of an unknown kind.
    """
    require_tower(opened, "image")
    return opened.image or detect_image_tower(opened.tensors, where=str(opened.path))


def text_architecture(opened: OpenedCheckpoint) -> BertArchitecture:
    """The text tower, likewise.

    Raises:
        CheckpointError: no text tower there.
    """
    require_tower(opened, "text")
    return opened.text or detect_text(opened.tensors, where=str(opened.path))


def _translated(mapped: MappedTensors, file: Path, shapes_only: bool) -> OfficialTensors:
    if not shapes_only:
        return official_tensors(mapped.tensors, where=str(file), release=mapped.release)
    shapes = {name: torch.empty_like(tensor, device="meta") for name, tensor in mapped.tensors.items()}
    return official_tensors(shapes, where=str(file))


def _opened(
    path: Path, mapped: MappedTensors, official: OfficialTensors, described: DescribedTowers
) -> OpenedCheckpoint:
    return OpenedCheckpoint(
        path=path,
        kind=described.kind,
        tensors=official.tensors,
        origins=official.origins,
        dropped=official.dropped,
        architecture=described.architecture,
        release=mapped.release,
        lasting=path.is_dir() and is_native(path),
        layout=official.layout,
        image=described.image,
        text=described.text,
        embed_dim=described.embed_dim or detect_embed_dim(official.tensors),
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
    return _architecture(value, file)


def _architecture(value: Any, file: Path) -> ClipArchitecture:
    try:
        return ClipArchitecture.from_dict(value)
    except RecipeError as error:
        raise CheckpointError(f"not an architecture: {error.what}", where=str(file)) from None


def _stated_towers(mapped: MappedTensors, kind: str, path: Path) -> DescribedTowers:
    """What a bare file of ours says about itself; most files say nothing."""
    if mapped.stated is None:
        return DescribedTowers(kind)
    whole = _architecture(mapped.stated, path)
    return DescribedTowers(kind, whole, whole.image, whole.text, whole.embed_dim)


def _verify(folder: Path, name: str) -> None:
    """Check the file that is about to be read; the others (an edited README) do not decide over it."""
    expected = read_manifest(folder).files.get(name)
    file = folder / name
    if expected is None:
        held = ", ".join(sorted(file.name for file in folder.iterdir() if file.name != MANIFEST_NAME)[:6])
        raise ArtifactError(
            f"no checkpoint: {name} is not among its files; the folder holds {held}",
            where=str(folder),
            fix="give a checkpoint folder, or a weight file",
        )
    if not file.is_file():
        raise ArtifactError(f"{name} is missing", where=str(folder), fix="copy the folder again")
    size, digest = expected
    seen = file.stat()  # before hashing: what changes meanwhile must not be remembered as good
    if seen.st_size != size:
        raise ArtifactError(
            f"{name} has {seen.st_size} bytes, the manifest says {size}",
            where=str(folder),
            fix="copy the folder again",
        )
    if is_stamped(file, digest):
        return
    if sha256_file(file) != digest:
        raise ArtifactError(f"{name} differs from its sha256", where=str(folder), fix="copy the folder again")
    stamp(file, digest, seen=seen)
