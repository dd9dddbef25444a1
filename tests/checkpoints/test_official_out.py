"""Files that we write for cn_clip: its names, its shapes, nothing else, and back without a changed bit."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cnclip.checkpoints import load_checkpoint
from cnclip.checkpoints.names import to_official
from cnclip.checkpoints.official import OfficialFacts, read_official_facts, write_official
from cnclip.checkpoints.precision import set_precision
from cnclip.errors import CheckpointError
from cnclip.model import (
    ARCHITECTURES,
    BertArchitecture,
    ChineseClip,
    ClipArchitecture,
    FeatureArchitecture,
    ResNetArchitecture,
    VitArchitecture,
)

Shapes = dict[str, tuple[int, ...]]
Same = Callable[[ChineseClip, ChineseClip], bool]
# Tensors of `state_dict()` in cn_clip's own classes, counted there.
COUNTS = {"ViT-B-16": 351, "ViT-L-14": 495, "ViT-H-14": 783, "RN50": 394}


def norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def linear(name: str, inputs: int, outputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def vit_shapes(image: VitArchitecture, embed_dim: int) -> Shapes:
    """The table of cn_clip's vision transformer, written down by hand."""
    width = image.width
    tokens = (image.resolution // image.patch_size) ** 2 + 1
    shapes: Shapes = {
        "visual.class_embedding": (width,),
        "visual.positional_embedding": (tokens, width),
        "visual.proj": (width, embed_dim),
        "visual.conv1.weight": (width, 3, image.patch_size, image.patch_size),
        **norm("visual.ln_pre", width),
        **norm("visual.ln_post", width),
    }
    for layer in range(image.layers):
        block = f"visual.transformer.resblocks.{layer}"
        shapes |= {
            f"{block}.attn.in_proj_weight": (3 * width, width),
            f"{block}.attn.in_proj_bias": (3 * width,),
            **linear(f"{block}.attn.out_proj", width, width),
            **norm(f"{block}.ln_1", width),
            **norm(f"{block}.ln_2", width),
            **linear(f"{block}.mlp.c_fc", width, 4 * width),
            **linear(f"{block}.mlp.c_proj", 4 * width, width),
        }
    return shapes


def batch_norm(name: str, width: int) -> Shapes:
    statistics: Shapes = {f"{name}.running_mean": (width,), f"{name}.running_var": (width,)}
    return {**norm(name, width), **statistics, f"{name}.num_batches_tracked": ()}


def resnet_shapes(image: ResNetArchitecture, embed_dim: int) -> Shapes:
    """The table of cn_clip's ModifiedResNet, written down by hand."""
    width, half = image.width, image.width // 2
    shapes: Shapes = {
        "visual.conv1.weight": (half, 3, 3, 3),
        "visual.conv2.weight": (half, half, 3, 3),
        "visual.conv3.weight": (width, half, 3, 3),
        **batch_norm("visual.bn1", half),
        **batch_norm("visual.bn2", half),
        **batch_norm("visual.bn3", width),
    }
    inputs = width
    for stage, blocks in enumerate(image.layers):
        planes = width * 2**stage
        for index in range(blocks):
            block = f"visual.layer{stage + 1}.{index}"
            shapes |= {
                f"{block}.conv1.weight": (planes, inputs, 1, 1),
                f"{block}.conv2.weight": (planes, planes, 3, 3),
                f"{block}.conv3.weight": (4 * planes, planes, 1, 1),
                **batch_norm(f"{block}.bn1", planes),
                **batch_norm(f"{block}.bn2", planes),
                **batch_norm(f"{block}.bn3", 4 * planes),
            }
            if index == 0:
                shapes[f"{block}.downsample.0.weight"] = (4 * planes, inputs, 1, 1)
                shapes |= batch_norm(f"{block}.downsample.1", 4 * planes)
            inputs = 4 * planes
    final, positions = 32 * width, (image.resolution // 32) ** 2 + 1
    shapes["visual.attnpool.positional_embedding"] = (positions, final)
    for part in "qkv":
        shapes |= linear(f"visual.attnpool.{part}_proj", final, final)
    return {**shapes, **linear("visual.attnpool.c_proj", final, embed_dim)}


def bert_shapes(text: BertArchitecture) -> Shapes:
    """The table of cn_clip's BERT without pooler, written down by hand."""
    hidden = text.hidden
    shapes: Shapes = {
        "bert.embeddings.word_embeddings.weight": (text.vocab_size, hidden),
        "bert.embeddings.position_embeddings.weight": (text.max_positions, hidden),
        "bert.embeddings.token_type_embeddings.weight": (2, hidden),
        **norm("bert.embeddings.LayerNorm", hidden),
    }
    for index in range(text.layers):
        layer = f"bert.encoder.layer.{index}"
        for part in ("query", "key", "value"):
            shapes |= linear(f"{layer}.attention.self.{part}", hidden, hidden)
        shapes |= {
            **linear(f"{layer}.attention.output.dense", hidden, hidden),
            **norm(f"{layer}.attention.output.LayerNorm", hidden),
            **linear(f"{layer}.intermediate.dense", hidden, text.intermediate),
            **linear(f"{layer}.output.dense", text.intermediate, hidden),
            **norm(f"{layer}.output.LayerNorm", hidden),
        }
    return shapes


def cn_clip_shapes(architecture: ClipArchitecture) -> Shapes:
    image, text = architecture.image, architecture.text
    assert not isinstance(image, FeatureArchitecture)
    visual = vit_shapes if isinstance(image, VitArchitecture) else resnet_shapes
    whole: Shapes = {"logit_scale": (), "text_projection": (text.hidden, architecture.embed_dim)}
    return {**whole, **visual(image, architecture.embed_dim), **bert_shapes(text)}  # type: ignore[operator]


def shapes_in(file: Path) -> Shapes:
    state: dict[str, Tensor] = torch.load(file, weights_only=True)["state_dict"]
    assert all(name.startswith("module.") for name in state)
    return {name.removeprefix("module."): tuple(tensor.shape) for name, tensor in state.items()}


@pytest.mark.parametrize("name", COUNTS)
def test_the_table_of_names_holds_for_released_sizes(name: str) -> None:
    table = cn_clip_shapes(ARCHITECTURES[name])
    assert len(table) == COUNTS[name]
    with torch.device("meta"):
        state = to_official(ChineseClip(ARCHITECTURES[name]).state_dict())
    assert {key: tuple(tensor.shape) for key, tensor in state.items()} == table


def test_names_and_shapes_are_those_that_cn_clip_loads_strictly(
    vit: ChineseClip, resnet: ChineseClip, tmp_path: Path
) -> None:
    for model in (vit, resnet):
        write_official(model, tmp_path / "权重.pt")
        assert shapes_in(tmp_path / "权重.pt") == cn_clip_shapes(model.architecture)


def test_it_comes_back_bit_for_bit(vit: ChineseClip, resnet: ChineseClip, tmp_path: Path, same: Same) -> None:
    for model in (vit, resnet):
        write_official(model, tmp_path / "m.pt")
        assert same(load_checkpoint(tmp_path / "m.pt"), model)


def test_epoch_step_and_name_are_kept(vit: ChineseClip, tmp_path: Path) -> None:
    facts = OfficialFacts(name="微调", epoch=3, step=4200)
    write_official(vit, tmp_path / "m.pt", facts=facts)
    assert read_official_facts(tmp_path / "m.pt") == facts
    content = torch.load(tmp_path / "m.pt", weights_only=True)
    assert {key: content[key] for key in ("epoch", "step", "name")} == {
        "epoch": 3,
        "step": 4200,
        "name": "微调",
    }


def test_the_file_is_as_large_as_its_tensors(vit: ChineseClip, tmp_path: Path) -> None:
    write_official(vit, tmp_path / "m.pt")
    with zipfile.ZipFile(tmp_path / "m.pt") as archive:
        written = sum(member.file_size for member in archive.infolist() if "/data/" in member.filename)
    state = torch.load(tmp_path / "m.pt", weights_only=True)["state_dict"]
    assert written == sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    assert all(tensor.is_contiguous() for tensor in state.values())
    storages = {tensor.untyped_storage().data_ptr() for tensor in state.values()}
    assert len(storages) == len(state)


def test_half_precision_halves_the_file(vit: ChineseClip, tmp_path: Path) -> None:
    write_official(vit, tmp_path / "full.pt")
    set_precision(vit, "fp16")
    write_official(vit, tmp_path / "half.pt")
    state = torch.load(tmp_path / "half.pt", weights_only=True)["state_dict"]
    assert state["module.visual.proj"].dtype == torch.float16
    assert state["module.logit_scale"].dtype == torch.float32
    assert load_checkpoint(tmp_path / "half.pt").dtype == torch.float32


def test_what_cn_clip_cannot_compute_is_refused(vit: ChineseClip, tmp_path: Path) -> None:
    text = vit.architecture.text
    exact = VitArchitecture(width=128, layers=1, heads=2, patch_size=8, resolution=32, activation="gelu")
    with pytest.raises(CheckpointError, match="QuickGELU"):
        write_official(ChineseClip(ClipArchitecture(24, exact, text)), tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match="ready-made image features"):
        write_official(ChineseClip(ClipArchitecture(24, FeatureArchitecture(9), text)), tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match="bfloat16"):
        write_official(vit.bfloat16(), tmp_path / "m.pt")
    assert not list(tmp_path.iterdir())


def test_nan_is_not_written_and_the_old_file_stays(vit: ChineseClip, tmp_path: Path) -> None:
    (tmp_path / "m.pt").write_bytes(b"old")
    with torch.no_grad():
        vit.text_projection[0, 0] = float("nan")
    with pytest.raises(CheckpointError, match="NaN"):
        write_official(vit, tmp_path / "m.pt")
    assert (tmp_path / "m.pt").read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    program = f"""
import resource, signal
from pathlib import Path
from cnclip.checkpoints.official import write_official
from cnclip.errors import ResourceError
from cnclip.model import ARCHITECTURES, ChineseClip
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
model = ChineseClip(ARCHITECTURES["tiny-ViT"])
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    write_official(model, Path({str(tmp_path / "m.pt")!r}))
except ResourceError as error:
    print(error)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert "cannot write: File too large" in done.stdout
    assert not list(tmp_path.iterdir())


def test_facts_of_other_files(vit: ChineseClip, tmp_path: Path) -> None:
    optimizer = torch.optim.AdamW(vit.parameters())
    vit(torch.randn(2, 3, 32, 32), torch.tensor([[1, 5, 2], [1, 6, 2]])).text.sum().backward()
    optimizer.step()
    state = to_official(vit.state_dict())
    content = {"epoch": 1, "step": 2, "name": "x", "state_dict": state, "optimizer": optimizer.state_dict()}
    torch.save(content, tmp_path / "a.pt")
    facts = read_official_facts(tmp_path / "a.pt")
    assert facts is not None and facts.epoch == 1
    assert facts.optimizer_bytes > sum(p.numel() * 4 for p in vit.bert.parameters())
    torch.save(state, tmp_path / "b.pt")
    assert read_official_facts(tmp_path / "b.pt") is None
