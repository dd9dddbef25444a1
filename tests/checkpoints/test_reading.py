from __future__ import annotations

import argparse
import json
import os
import pickle
import random
import struct
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cnclip.checkpoints import load_checkpoint
from cnclip.checkpoints.reading import read_tensors
from cnclip.errors import CheckpointError, RefusedError


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (self.marker,))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("place", ["top", "beside", "inside"])
def test_code_in_a_weight_file_is_never_run(tmp_path: Path, zipped: bool, place: str) -> None:
    bomb = Bomb(tmp_path / "ran")
    content = {
        "top": bomb,
        "beside": {"state_dict": {"visual.proj": torch.ones(2)}, "optimizer": bomb},
        "inside": {"state_dict": {"visual.proj": bomb}},
    }[place]
    torch.save(content, tmp_path / "m.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(RefusedError, match="was not run"):
        load_checkpoint(tmp_path / "m.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_raw_pickle_is_never_run(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "m.pt").write_bytes(pickle.dumps(Bomb(tmp_path / "ran"), protocol=protocol))
    with pytest.raises((RefusedError, CheckpointError)):
        read_tensors(tmp_path / "m.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("extra", [argparse.Namespace(lr=1), np.float64(3.0)])
def test_other_objects_are_refused_with_advice(tmp_path: Path, extra: object) -> None:
    torch.save({"state_dict": {"a": torch.ones(1)}, "args": extra}, tmp_path / "m.pt")
    with pytest.raises(RefusedError, match=r"save model\.state_dict"):
        read_tensors(tmp_path / "m.pt")


def test_torchscript_is_refused(tmp_path: Path) -> None:
    class Double(torch.nn.Module):
        def forward(self, number: torch.Tensor) -> torch.Tensor:
            return number * 2

    torch.jit.save(torch.jit.script(Double()), tmp_path / "m.pt")
    with pytest.raises(RefusedError, match="TorchScript"):
        read_tensors(tmp_path / "m.pt")


def test_tensor_that_unfolds_to_gigabytes_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1).expand(200_000, 200_000)}, tmp_path / "m.pt")
    assert (tmp_path / "m.pt").stat().st_size < 5000
    started = time.monotonic()
    with pytest.raises(RefusedError, match="unfolds"):
        read_tensors(tmp_path / "m.pt")
    assert time.monotonic() - started < 30


def test_compressed_members_are_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(100_000)}, tmp_path / "m.pt")
    with zipfile.ZipFile(tmp_path / "m.pt") as source, zipfile.ZipFile(tmp_path / "p.pt", "w") as target:
        for member in source.infolist():
            target.writestr(member.filename, source.read(member), compress_type=zipfile.ZIP_DEFLATED)
    with pytest.raises(RefusedError, match="compressed"):
        read_tensors(tmp_path / "p.pt")


@pytest.mark.parametrize("zipped", [True, False])
def test_cut_files_are_damaged_files(tmp_path: Path, zipped: bool) -> None:
    torch.save({"a": torch.arange(3000.0)}, tmp_path / "m.pt", _use_new_zipfile_serialization=zipped)
    whole = (tmp_path / "m.pt").read_bytes()
    for share in (0.0, 0.001, 0.1, 0.5, 0.9, 0.999):
        (tmp_path / "m.pt").write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises((CheckpointError, RefusedError)):
            read_tensors(tmp_path / "m.pt")


@pytest.mark.parametrize(
    "content", [b"", b"\xf7 not weights", b"<html>404</html>", "权重".encode(), b"PK\x03\x04" + bytes(100)]
)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_files_that_are_no_weights_are_damaged_files(tmp_path: Path, content: bytes, suffix: str) -> None:
    (tmp_path / f"m{suffix}").write_bytes(content)
    with pytest.raises(CheckpointError):
        read_tensors(tmp_path / f"m{suffix}")


def test_flipped_bits_never_end_in_a_traceback(tmp_path: Path) -> None:
    rng = random.Random(1)
    torch.save({"state_dict": {f"t{index}": torch.randn(3, 5) for index in range(4)}}, tmp_path / "m.pt")
    whole = (tmp_path / "m.pt").read_bytes()
    for _ in range(150):
        bad = bytearray(whole)
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        (tmp_path / "m.pt").write_bytes(bad)
        with suppress(CheckpointError, RefusedError):
            read_tensors(tmp_path / "m.pt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.ones(1)], "holds a list"),
        ({"a": 1}, "'a' is a int"),
        ({3: torch.ones(1)}, "3 is a Tensor"),
        ({"state_dict": {}}, "no tensors"),
        ({"a": torch.ones(2, 2).to_sparse()}, "not a plain tensor"),
        ({"a": torch.ones(2, device="meta")}, "not a plain tensor"),
    ],
)
def test_contents_that_are_no_table_of_tensors(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "m.pt")
    with pytest.raises((CheckpointError, RefusedError), match=message):
        read_tensors(tmp_path / "m.pt")


def test_safetensors_header_that_lies_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    entry = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    _write_header(path, f'{{"a":{entry},"a":{entry}}}', data=bytes(4))
    with pytest.raises(CheckpointError, match="a name occurs twice"):
        read_tensors(path)
    path.write_bytes(struct.pack("<Q", 1 << 40) + b"{}")
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        read_tensors(path)
    _write_header(
        path, json.dumps({"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}), data=bytes(4)
    )
    with pytest.raises(CheckpointError, match="damaged"):
        read_tensors(path)


def test_good_files_keep_names_types_and_values(tmp_path: Path) -> None:
    tensors = {
        "甲": torch.arange(6.0).view(2, 3),
        "b": torch.tensor(3),
        "c": torch.ones(2, dtype=torch.bfloat16),
    }
    torch.save(tensors, tmp_path / "m.pt")
    save_file(tensors, tmp_path / "m.safetensors")
    for name in ("m.pt", "m.safetensors"):
        read = read_tensors(tmp_path / name)
        assert read.keys() == tensors.keys()
        assert all(
            read[key].dtype == tensors[key].dtype and torch.equal(read[key], tensors[key]) for key in tensors
        )
    with pytest.raises(CheckpointError, match="no such weight file"):
        read_tensors(tmp_path / "none.pt")


def _write_header(path: Path, header: str, *, data: bytes) -> None:
    encoded = header.encode()
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + data)
