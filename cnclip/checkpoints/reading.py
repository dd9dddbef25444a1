"""Read the tensors of a weight file without running anything in it; refuse what cannot be right."""

from __future__ import annotations

import pickle
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cnclip.checkpoints.mapping import MappedTensors, NoPages, map_safetensors
from cnclip.checkpoints.torchscript import is_torchscript, map_torchscript
from cnclip.checkpoints.writing import aligned
from cnclip.errors import CheckpointError, CnclipError, RefusedError

_DAMAGED = "copy or download the file again"
_SAVE_PLAIN = "in the program that wrote it, save model.state_dict() alone, best as safetensors"
_ZIP = b"PK\x03\x04"  # torch's own test; before 1.6 a file was a row of pickles, each starting with PROTO
STATED = "architecture"  # in files of ours that cn_clip reads too: what no tensor shows
_WRAPPERS = ("state_dict",)
_SIGNS_OF_DAMAGE = (  # what torch.load was seen to raise on cut and flipped files
    RuntimeError, OSError, EOFError, ValueError, LookupError, AttributeError, TypeError, AssertionError,
    ArithmeticError, MemoryError, struct.error,
)  # fmt: skip


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of `map_tensors`."""
    return map_tensors(path).tensors


def map_tensors(path: Path) -> MappedTensors:
    """Name -> tensor of a `.safetensors` file, of a TorchScript archive, or of what `torch.save` wrote.

    The bytes are mapped, not copied, where the format allows it. A training checkpoint's `state_dict` is
    taken out of its wrapper; the rest of it is not read.

    Returns:
        contiguous tensors on the CPU, with the names and types of the file.

    Raises:
        CheckpointError: no such file, damaged, or not a table of tensors.
        RefusedError: the file asks for code to be run, or would unfold to far more than its size.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError("no such weight file", where=str(path))
    if path.suffix == ".safetensors":
        mapped = map_safetensors(path)
    elif is_torchscript(path):
        mapped = _read_torchscript(path)
    else:
        mapped = _read_torch(path)
    if not mapped.tensors:
        raise CheckpointError("the file holds no tensors", where=str(path))
    checked = {}
    for name, tensor in mapped.tensors.items():
        checked[name] = _checked(name, tensor, path)
        if checked[name].data_ptr() != tensor.data_ptr():
            mapped.release(tensor)
    return MappedTensors(checked, mapped.release, mapped.stated)


def _read_torchscript(path: Path) -> MappedTensors:
    try:
        return map_torchscript(path)
    except (pickle.UnpicklingError, zipfile.BadZipFile, *_SIGNS_OF_DAMAGE) as error:
        raise CheckpointError(
            f"damaged TorchScript archive: {_first_line(str(error))}", where=str(path), fix=_DAMAGED
        ) from None


def _read_torch(path: Path) -> MappedTensors:
    with open(path, "rb") as file:
        start = file.read(len(_ZIP))
    if start == _ZIP:
        _check_members(path)
    elif start[:1] != pickle.PROTO:
        raise CheckpointError("not a weight file, or a damaged one", where=str(path), fix=_DAMAGED)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _pickle_error(str(error), path) from None
    except _SIGNS_OF_DAMAGE as error:
        raise CheckpointError(
            f"damaged weight file: {_first_line(str(error))}", where=str(path), fix=_DAMAGED
        ) from None
    tensors = _unwrapped(content, path)
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors.values()}
    if sum(storages.values()) > path.stat().st_size:
        raise RefusedError("the tensors claim more bytes than the file has", where=str(path))
    return MappedTensors(tensors, NoPages(), content.get(STATED) if isinstance(content, dict) else None)


def _check_members(path: Path) -> None:
    """Only what torch.save writes: no compressed member that unfolds without limit."""
    try:
        with zipfile.ZipFile(path) as archive:
            packed = [m.filename for m in archive.infolist() if m.compress_type != zipfile.ZIP_STORED]
    except (zipfile.BadZipFile, *_SIGNS_OF_DAMAGE) as error:
        raise CheckpointError(f"damaged weight file: {error}", where=str(path), fix=_DAMAGED) from None
    if packed:
        raise RefusedError(f"member {packed[0]!r} is compressed", where=str(path), fix=_SAVE_PLAIN)


def _pickle_error(message: str, path: Path) -> CnclipError:
    if "truncated" in message or "Ran out of input" in message:
        return CheckpointError("not a weight file, or a damaged one", where=str(path), fix=_DAMAGED)
    # Only the name out of torch's message: the rest advises to run the file after all.
    asked = re.search(r"(?:GLOBAL|global:?|class:?|type:?)\s+[`']?([\w.]+\.\w+)", message)
    reason = "" if asked is None else f": {asked[1]}"
    return RefusedError(
        f"the file asks for more than tensors and was not run{reason}", where=str(path), fix=_SAVE_PLAIN
    )


def _unwrapped(content: Any, path: Path) -> dict[str, Tensor]:
    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict):
        raise CheckpointError(f"holds a {type(content).__name__}, not a table of tensors", where=str(path))
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(
                f"{name!r} is a {type(value).__name__}, not a tensor", where=str(path), fix=_SAVE_PLAIN
            )
        if value.layout is not torch.strided or value.device.type != "cpu" or value.is_quantized:
            raise CheckpointError("not a plain tensor", where=f"{path}: {name}", fix=_SAVE_PLAIN)
    return dict(content)


def _checked(name: str, tensor: Tensor, path: Path) -> Tensor:
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise RefusedError(
            f"shape {list(tensor.shape)} unfolds to more than its {tensor.untyped_storage().nbytes()} bytes",
            where=f"{path}: {name}",
        )
    return aligned(tensor.detach().contiguous())


def _first_line(message: str) -> str:
    return message.strip().splitlines()[0] if message.strip() else "unreadable"
