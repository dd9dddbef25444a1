"""Write safetensors files whose tensors start at multiples of 64 bytes.

The library's own writer packs tensors by name, so that one scalar shifts all that follow. A file is mapped,
not copied, when it is read, and matrix products over unaligned weights may differ in the last bit from those
over the same weights in ordinary memory.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from cnclip.checkpoints.names import file_order

ALIGNMENT = 64  # bytes; what torch gives its own tensors
_TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
}


def write_safetensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors under a temporary name that the caller makes final; equal tensors give equal bytes.

    Args:
        tensors: name -> tensor on any device.
        path: the file.
    """
    names = sorted(tensors, key=lambda name: (_bytes(tensors[name]) % ALIGNMENT != 0, file_order(name)))
    entries, end = {}, 0
    for name in names:
        start, end = end, end + _bytes(tensors[name])
        entry = {"dtype": _TYPES[tensors[name].dtype], "shape": list(tensors[name].shape)}
        entries[name] = {**entry, "data_offsets": [start, end]}
    header = json.dumps({"__metadata__": {"format": "pt"}, **entries}, separators=(",", ":")).encode()
    header += b" " * (-(len(header) + 8) % ALIGNMENT)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)))
        file.write(header)
        for name in names:
            flat = tensors[name].detach().cpu().contiguous().flatten()
            file.write(flat.view(torch.uint8).numpy().data)


def aligned(tensor: Tensor) -> Tensor:
    """The tensor, copied only where its memory does not start at a multiple of 64 bytes."""
    return tensor if tensor.data_ptr() % ALIGNMENT == 0 else tensor.clone()


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
