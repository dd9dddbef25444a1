from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from cnclip.checkpoints import load_checkpoint, save_checkpoint
from cnclip.checkpoints.mapping import map_safetensors
from cnclip.checkpoints.names import join_rows
from cnclip.errors import CheckpointError
from cnclip.model import ChineseClip

TYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int8, torch.bool)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(TYPES), st.lists(st.integers(0, 5), max_size=3)), min_size=1, max_size=6
    )
)
def test_every_file_of_the_library_reads_as_the_library_reads_it(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[torch.dtype, list[int]]]
) -> None:
    path = tmp_path_factory.mktemp("m") / "模型.safetensors"
    save_file(
        {f"t{i}": torch.randn(shape).mul(3).to(dtype) for i, (dtype, shape) in enumerate(parts)},
        path,
        metadata={"format": "pt"},
    )
    mapped, expected = map_safetensors(path).tensors, load_file(path)
    assert mapped.keys() == expected.keys()
    for name, tensor in expected.items():
        assert mapped[name].dtype == tensor.dtype and torch.equal(mapped[name], tensor)


def test_released_tensor_can_still_be_read_and_its_neighbours_keep_what_was_written(tmp_path: Path) -> None:
    save_file({f"t{i}": torch.full((5000,), float(i)) for i in range(3)}, tmp_path / "m.safetensors")
    mapped = map_safetensors(tmp_path / "m.safetensors")
    mapped.tensors["t0"][-1] = mapped.tensors["t2"][0] = 7.0
    mapped.release(mapped.tensors["t1"])
    mapped.release(torch.zeros(3))  # not of this file: left alone
    assert torch.equal(mapped.tensors["t1"], torch.full((5000,), 1.0))
    assert mapped.tensors["t0"][-1] == mapped.tensors["t2"][0] == 7.0


def test_writing_to_a_mapped_tensor_does_not_change_the_file(tmp_path: Path) -> None:
    save_file({"t": torch.zeros(4)}, tmp_path / "m.safetensors")
    before = (tmp_path / "m.safetensors").read_bytes()
    map_safetensors(tmp_path / "m.safetensors").tensors["t"].add_(1)
    assert (tmp_path / "m.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}, "begins at byte 4"),
        ({"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}, "does not take 8 bytes"),
        ({"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}, "the file has 8"),
        ({"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "the file has 8"),
        ({"dtype": "C64", "shape": [1], "data_offsets": [0, 8]}, "of type C64"),
        ({"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}, "no number"),
        ({"dtype": "F32", "shape": [True, 2], "data_offsets": [0, 8]}, "no number"),
        ({"dtype": "F32", "shape": [2]}, "data_offsets"),
        ({"dtype": "F32", "shape": [0, 2**62, 2**62], "data_offsets": [0, 0]}, "no number"),
    ],
)
def test_header_that_contradicts_itself_is_refused(
    tmp_path: Path, entry: dict[str, Any], message: str
) -> None:
    header = json.dumps({"t": entry}).encode()
    path = tmp_path / "m.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    with pytest.raises(CheckpointError, match=message):
        map_safetensors(path)


def test_joining_rows_that_follow_each_other_copies_nothing() -> None:
    whole = torch.arange(24.0).view(6, 4)
    first, second, third = whole[:1], whole[1:3], whole[3:]
    joined = join_rows([first, second, third])
    assert torch.equal(joined, whole) and joined.data_ptr() == whole.data_ptr()
    released: list[int] = []
    copied = join_rows([second, first, third], release=lambda tensor: released.append(len(tensor)))
    assert torch.equal(copied, torch.cat([second, first, third])) and released == [2, 1, 3]


def test_text_blocks_of_our_own_files_are_read_without_a_copy(vit: ChineseClip, tmp_path: Path) -> None:
    save_checkpoint(vit, tmp_path / "m")
    loaded = load_checkpoint(tmp_path / "m")
    storages = {parameter.untyped_storage().data_ptr() for parameter in loaded.parameters()}
    assert len(storages) == 1  # one mapped file holds them all
