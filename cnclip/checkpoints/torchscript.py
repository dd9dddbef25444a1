"""Map a TorchScript archive, OpenAI's form of CLIP, as a box of tensors: its program is never looked at.

Such a zip holds `data.pkl`, a pickle of the tree of modules, and `data/0`, `data/1` … with raw numbers.
"""

from __future__ import annotations

import mmap
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch

from cnclip.checkpoints.mapping import MappedTensors, PageReleaser
from cnclip.checkpoints.module_tree import read_module_tree
from cnclip.errors import RefusedError

_PROGRAM = "/constants.pkl"  # what tells a program from a table that torch.save wrote
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")


def is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript archive; False also where it is no readable zip."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(_PROGRAM) for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, LookupError, struct.error, NotImplementedError):
        return False


def map_torchscript(path: Path) -> MappedTensors:
    """Map the tensors of an archive under the names that its `state_dict()` would have.

    Attributes that are tensors without being weights come too; a module that hangs in two places is listed
    at the first.

    Raises:
        RefusedError: the archive asks for anything but tensors, or claims more numbers than it has.
        ValueError, LookupError, TypeError, pickle.UnpicklingError, zipfile.BadZipFile …: damaged.
    """
    with zipfile.ZipFile(path) as archive:
        members = _members(archive, path)
        root = _root(members, path)
        if members.get(f"{root}/byteorder") and archive.read(f"{root}/byteorder") != b"little":
            raise RefusedError("the numbers are stored in big-endian order", where=str(path))
        pickled = archive.read(f"{root}/data.pkl")
    with open(path, "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    whole = torch.frombuffer(mapped, dtype=torch.uint8)
    prefix = f"{root}/data/"
    extents = {
        name.removeprefix(prefix): _extent(mapped, member)
        for name, member in members.items()
        if name.startswith(prefix)
    }
    tensors = read_module_tree(pickled, whole, extents, where=str(path))
    if sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) > 2 * len(mapped):
        raise RefusedError("the tensors claim more bytes than the file has", where=str(path))
    if not tensors:
        raise RefusedError("a TorchScript program that holds no weights", where=str(path))
    return MappedTensors(tensors, PageReleaser(mapped, whole))


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    members = {member.filename: member for member in archive.infolist()}
    if len(members) != len(archive.infolist()):
        raise RefusedError("a member of the archive occurs twice", where=str(path))
    return members


def _root(members: Mapping[str, zipfile.ZipInfo], path: Path) -> str:
    """The folder inside the archive; everything that is read in it lies there as it is, not compressed."""
    roots = [name.removesuffix(_PROGRAM) for name in members if name.endswith(_PROGRAM)]
    if len(roots) != 1 or f"{roots[0]}/data.pkl" not in members:
        raise RefusedError("not one TorchScript program with its data", where=str(path))
    root = roots[0]
    for name, member in members.items():
        data = name.startswith(f"{root}/data/") or name in (f"{root}/data.pkl", f"{root}/byteorder")
        if data and (member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1):
            raise RefusedError(f"member {name!r} is compressed", where=str(path))
    return root


def _extent(mapped: mmap.mmap, member: zipfile.ZipInfo) -> tuple[int, int]:
    """First and last byte of a stored member; the directory at the end does not say where its data begins."""
    header = _LOCAL_HEADER.unpack_from(mapped, member.header_offset)
    if header[0] != b"PK\x03\x04":
        raise ValueError(f"no member at byte {member.header_offset}")
    first = member.header_offset + _LOCAL_HEADER.size + header[9] + header[10]
    if first + member.file_size > len(mapped):
        raise ValueError(f"{member.filename} reaches past the end of the file")
    return first, first + member.file_size
