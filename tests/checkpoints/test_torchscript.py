"""OpenAI's archives: programs that are read as boxes of tensors, and programs that would like to be run."""

from __future__ import annotations

import os
import pickle
import random
import struct
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cnclip.checkpoints import (
    load_checkpoint,
    load_image_tower,
    load_text_tower,
    load_with_account,
    read_architecture,
    read_image_architecture,
    read_text_architecture,
)
from cnclip.checkpoints.names import to_official
from cnclip.checkpoints.opened import open_checkpoint
from cnclip.checkpoints.reading import read_tensors
from cnclip.errors import CheckpointError, RefusedError
from cnclip.model import ChineseClip

ENGLISH = "English text tower of OpenAI CLIP"
Write = Callable[[dict[str, Tensor], Path], None]


class Box(nn.Module):
    """Named tensors in a tree of modules, as OpenAI's classes hold them."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        self.context_length = 77
        inner: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            first, _, rest = name.partition(".")
            if rest:
                inner.setdefault(first, {})[rest] = tensor
            elif tensor.is_floating_point() and not first.startswith("running"):
                self.register_parameter(first, nn.Parameter(tensor))
            else:
                self.register_buffer(first, tensor)
        for first, part in inner.items():
            self.add_module(first, Box(part))

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels + 1


def openai_tensors(model: ChineseClip) -> dict[str, Tensor]:
    """The image tower of a model beside an English text tower, in half precision as OpenAI publishes it."""
    tensors = {n: t.clone() for n, t in to_official(model.state_dict()).items() if n.startswith("visual.")}
    tensors |= {
        "positional_embedding": torch.randn(7, 16),
        "text_projection": torch.randn(16, 24),
        "logit_scale": torch.tensor(4.6),
        "token_embedding.weight": torch.randn(11, 16),
        "ln_final.weight": torch.ones(16),
        "transformer.resblocks.0.attn.in_proj_weight": torch.randn(48, 16),
    }
    tensors = {name: t.half() if t.is_floating_point() else t for name, t in tensors.items()}
    return tensors | {name: torch.tensor(7) for name in ("input_resolution", "vocab_size")}


def write_script(tensors: dict[str, Tensor], path: Path) -> None:
    torch.jit.save(torch.jit.script(Box(tensors).eval()), path)


def write_trace(tensors: dict[str, Tensor], path: Path) -> None:
    torch.jit.save(torch.jit.trace(Box(tensors).eval(), torch.zeros(1)), path)


def write_state_dict(tensors: dict[str, Tensor], path: Path) -> None:
    torch.save(tensors, path)


def rewrite(path: Path, change: Callable[[str, bytes], bytes | None], *, compress: bool = False) -> None:
    """Write an archive anew with other contents; None leaves a member out."""
    with zipfile.ZipFile(path) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    kind = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in members:
            changed = change(name, content)
            if changed is not None:
                archive.writestr(name, changed)


def with_pickle(path: Path, pickled: bytes) -> None:
    rewrite(path, lambda name, content: pickled if name.endswith("/data.pkl") else content)


@pytest.mark.parametrize("write", [write_script, write_trace, write_state_dict])
@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_image_tower_comes_from_openais_files(
    kind: str, write: Write, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    source: ChineseClip = request.getfixturevalue(kind)
    tensors = openai_tensors(source)
    write(tensors, tmp_path / "模型.pt")
    assert read_image_architecture(tmp_path / "模型.pt") == (source.architecture.image, 24)
    fresh = ChineseClip(source.architecture, seed=9)
    before = fresh.bert.embeddings.word_embeddings.weight.clone()
    account = load_image_tower(fresh, tmp_path / "模型.pt")
    for name, tensor in to_official(fresh.state_dict()).items():
        if name.startswith("visual."):
            assert tensor.dtype in (torch.float32, torch.int64)
            assert torch.equal(tensor, tensors[name].to(tensor.dtype))
    assert torch.equal(fresh.bert.embeddings.word_embeddings.weight, before)
    assert account.new == () and "OpenAI CLIP" in account.kind
    assert {name for name, why in account.dropped.items() if why == ENGLISH} == {
        "positional_embedding", "text_projection", "token_embedding.weight", "ln_final.weight",
        "transformer.resblocks.0.attn.in_proj_weight", "input_resolution", "vocab_size",
    }  # fmt: skip
    assert set(account.dropped) | set(account.loaded.values()) == set(tensors)


@pytest.mark.parametrize("write", [write_script, write_trace])
def test_names_types_and_values_are_those_of_the_state_dict(
    write: Write, vit: ChineseClip, tmp_path: Path
) -> None:
    write(openai_tensors(vit), tmp_path / "m.pt")
    read, expected = read_tensors(tmp_path / "m.pt"), torch.jit.load(tmp_path / "m.pt").state_dict()
    assert read.keys() == expected.keys()
    for name, tensor in expected.items():
        assert read[name].dtype == tensor.dtype and torch.equal(read[name], tensor)


def test_numbers_that_are_not_aligned_are_read_too(vit: ChineseClip, tmp_path: Path) -> None:
    write_script(openai_tensors(vit), tmp_path / "m.pt")
    expected = {name: tensor.clone() for name, tensor in read_tensors(tmp_path / "m.pt").items()}
    rewrite(tmp_path / "m.pt", lambda name, content: content)  # zipfile aligns nothing
    read = read_tensors(tmp_path / "m.pt")
    assert read.keys() == expected.keys() and all(torch.equal(read[n], expected[n]) for n in read)


def test_whole_english_model_is_refused_with_its_use(vit: ChineseClip, tmp_path: Path) -> None:
    write_script(openai_tensors(vit), tmp_path / "m.pt")
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path / "m.pt")
    assert "text tower" in str(caught.value) and "model.image.checkpoint" in str(caught.value)
    with pytest.raises(CheckpointError, match="holds no text tower"):
        read_text_architecture(tmp_path / "m.pt")


def reduce(module: str, name: str, argument: str) -> bytes:
    """Opcodes that call module.name(argument), as a pickle of protocol 2 spells it."""
    text = argument.encode()
    return b"c%b\n%b\n(X%b%btR" % (module.encode(), name.encode(), struct.pack("<I", len(text)), text)


def module(value: bytes) -> bytes:
    """A pickle of a module whose only attribute has this value."""
    return b"\x80\x02c__torch__.M\nM\n)\x81}X\x01\x00\x00\x00a" + value + b"sb."


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (self.marker,))


def payloads(marker: Path) -> dict[str, bytes]:
    """Pickles that make a folder where they are run."""
    command, code = f"mkdir {marker}", f"__import__('os').mkdir({str(marker)!r})"
    system = reduce("os", "system", command)
    found = {
        "os.system": b"\x80\x02" + system + b".",
        "posix.system": b"\x80\x02" + reduce("posix", "system", command) + b".",
        "eval": b"\x80\x02" + reduce("builtins", "eval", code) + b".",
        "exec in an attribute": module(reduce("builtins", "exec", code)),
        "in a list": module(b"](" + system + b"e"),
        "as a state": b"\x80\x02c__torch__\nM\n)\x81" + system + b"b.",
        "as an argument": b"\x80\x02c__torch__.a.b\nM\n(" + system + b"t\x81.",
        "as a storage": module(b"(X\x07\x00\x00\x00storage" + system + b"tQ"),
        "as a tensor": module(b"ctorch._utils\n_rebuild_tensor_v2\n(" + system + b"K\x00))tR"),
        "as a hook": module(b"ccollections\nOrderedDict\n(" + system + b"tR"),
        "by a dotted name": b"\x80\x02" + reduce("__torch__x", "os.system", command) + b".",
        "getattr": b"\x80\x02" + reduce("builtins", "getattr", "x") + b".",
        "torch.hub": b"\x80\x02" + reduce("torch.hub", "load", str(marker)) + b".",
        "torch.load": b"\x80\x02" + reduce("torch", "load", str(marker)) + b".",
        "INST": b"\x80\x02(X%b%bios\nsystem\n." % (struct.pack("<I", len(command)), command.encode()),
        "copyreg extension": b"\x80\x02\x82\x01.",
    }
    found |= {f"protocol {number}": pickle.dumps(Bomb(marker), protocol=number) for number in range(6)}
    return found


@pytest.mark.parametrize("payload", payloads(Path("x")))
def test_payload_in_an_archive_is_never_run(vit: ChineseClip, tmp_path: Path, payload: str) -> None:
    path, marker = tmp_path / "m.pt", tmp_path / "ran"
    write_script(openai_tensors(vit), path)
    with_pickle(path, payloads(marker)[payload])
    for read in (
        read_tensors,
        open_checkpoint,
        load_checkpoint,
        load_with_account,
        read_architecture,
        read_image_architecture,
        read_text_architecture,
        lambda file: load_image_tower(vit, file),
        lambda file: load_text_tower(vit, file),
    ):
        with pytest.raises(RefusedError) as caught:
            read(path)
        assert caught.value.exit_code == 8
    assert not marker.exists()


def test_program_and_constants_of_an_archive_are_never_looked_at(vit: ChineseClip, tmp_path: Path) -> None:
    path, marker = tmp_path / "m.pt", tmp_path / "ran"
    write_script(openai_tensors(vit), path)

    def poison(name: str, content: bytes) -> bytes:
        if "/code/" in name:
            return f"import os; os.mkdir({str(marker)!r})".encode()
        return payloads(marker)["os.system"] if name.endswith("constants.pkl") else content

    rewrite(path, poison)
    load_image_tower(vit, path)
    assert not marker.exists()


@pytest.mark.parametrize(
    "attribute",
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x00))\x89NtR",  # no storage
        b"ctorch.jit._pickle\nbuild_intlist\n}X\x08\x00\x00\x00__code__Nsb",  # change a known function
        b"c__torch__\nM\n}X\x07\x00\x00\x00__new__Nsb",  # change the class of the shells
        b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x03\x00\x00\x00../X\x00\x00\x00\x00K\x01tQ",
        b"ctorch\nFloatStorage\n)R",  # call a type
        b"Nr\xff\xff\xff\x7f",  # a memo of 16 GB
    ],
)
def test_pickles_that_make_no_sense_are_damaged(vit: ChineseClip, tmp_path: Path, attribute: bytes) -> None:
    write_script(openai_tensors(vit), tmp_path / "m.pt")
    with_pickle(tmp_path / "m.pt", module(attribute))
    with pytest.raises((CheckpointError, RefusedError)):
        read_tensors(tmp_path / "m.pt")
    write_script(openai_tensors(vit), tmp_path / "good.pt")
    assert read_tensors(tmp_path / "good.pt")


def tensor_of(shape: bytes, strides: bytes, count: int) -> bytes:
    storage = (
        b"(X\x07\x00\x00\x00storagectorch\nHalfStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK%ctQ" % count
    )
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00" + shape + strides + b"\x89NtR"


@pytest.mark.parametrize(
    ("shape", "strides", "count"),
    [
        (b"(J\xff\xff\xff\x7ft", b"(K\x00t", 1),  # unfolds one number
        (b"(K\xfft", b"(K\x01t", 1),  # past its end
        (b"(J\xff\xff\xff\xfft", b"(K\x01t", 1),  # a negative shape
        (b"(K\x01K\x01t", b"(K\x01t", 1),  # fewer strides
        (b"(K\x01t", b"(K\x01t", 255),  # a storage of more numbers than the member has
    ],
)
def test_tensors_stay_inside_their_storage(tmp_path: Path, shape: bytes, strides: bytes, count: int) -> None:
    write_script({"a": torch.ones(3).half()}, tmp_path / "m.pt")
    with_pickle(tmp_path / "m.pt", module(tensor_of(b"(K\x03t", b"(K\x01t", 3)))
    assert torch.equal(read_tensors(tmp_path / "m.pt")["a"], torch.ones(3).half())
    with_pickle(tmp_path / "m.pt", module(tensor_of(shape, strides, count)))
    with pytest.raises(CheckpointError, match="damaged"):
        read_tensors(tmp_path / "m.pt")


def test_tree_in_which_modules_hang_twice_is_walked_once(tmp_path: Path) -> None:
    """Forty levels, each with its successor under two names: a million million paths."""
    write_script({"a": torch.ones(3).half()}, tmp_path / "m.pt")
    value = b"c__torch__\nM\n)\x81}X\x01\x00\x00\x00a" + tensor_of(b"(K\x03t", b"(K\x01t", 3) + b"sb"
    for level in range(40):
        memo = bytes([level])
        value = b"c__torch__\nM\n)\x81}(X\x01\x00\x00\x00l" + value + b"q" + memo
        value += b"X\x01\x00\x00\x00rh" + memo + b"ub"
    with_pickle(tmp_path / "m.pt", b"\x80\x02" + value + b".")
    started = time.monotonic()
    assert len(read_tensors(tmp_path / "m.pt")) == 1
    assert time.monotonic() - started < 30


def test_archives_of_another_make_are_refused(vit: ChineseClip, tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    write_script(openai_tensors(vit), path)
    good = path.read_bytes()
    rewrite(path, lambda name, content: content, compress=True)
    with pytest.raises(RefusedError, match="compressed"):
        read_tensors(path)
    path.write_bytes(good)
    rewrite(path, lambda name, content: b"big" if name.endswith("byteorder") else content)
    with pytest.raises(RefusedError, match="big-endian"):
        read_tensors(path)
    path.write_bytes(good)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(archive.namelist()[0], b"")
    with pytest.raises(RefusedError, match="twice"):
        read_tensors(path)
    path.write_bytes(good)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other/constants.pkl", b"")
    with pytest.raises(RefusedError, match="not one TorchScript program"):
        read_tensors(path)


def test_cut_and_flipped_archives_never_end_in_a_traceback(vit: ChineseClip, tmp_path: Path) -> None:
    path, rng = tmp_path / "m.pt", random.Random(3)
    write_script({f"t{index}": torch.randn(3, 5) for index in range(4)}, path)
    whole = path.read_bytes()
    for share in (0.001, 0.1, 0.5, 0.9, 0.999):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises((CheckpointError, RefusedError)):
            read_tensors(path)
    for _ in range(200):
        bad = bytearray(whole)
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        path.write_bytes(bad)
        with suppress(CheckpointError, RefusedError):
            read_tensors(path)
