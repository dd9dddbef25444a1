"""Exported files, run by onnxruntime, give what the model gives: all precisions, layouts, batch sizes."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from cnclip.errors import CnclipError
from cnclip.export import ExportOptions, ExportPrecision, Towers, export_onnx
from cnclip.export.half_arithmetic import half_features
from cnclip.export.integer import quantised_weight
from cnclip.export.parity import LEAST_COSINE as EXPORT_LEAST_COSINE
from cnclip.export.parity import check, compare
from cnclip.model import ChineseClip

Exported = Callable[[str, Towers, ExportPrecision], Path]
Model = Callable[[str], ChineseClip]

PRECISIONS: tuple[ExportPrecision, ...] = ("fp32", "fp16", "int8")
LEAST_COSINE = {"fp32": 0.999999, "fp16": 0.9999, "int8": 0.999}
CAPTIONS = [
    "红色的圆",
    "一只可爱的橘猫坐在沙发上",
    "２０２６年",
    "雪山",
    "两只狗在草地上奔跑",
    "",
    "夜晚的城市，灯火通明",
]


def session(file: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])


def captions(batch: int, length: int) -> torch.Tensor:
    from cnclip import tokenize

    return tokenize((CAPTIONS * 2)[:batch], 52)[:, :length]


def pictures(model: ChineseClip, batch: int) -> torch.Tensor:
    size = model.visual.resolution
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(batch))


def least_cosine(found: np.ndarray, expected: torch.Tensor) -> float:
    return float(torch.cosine_similarity(torch.from_numpy(found), expected, dim=1).min())


def longest_difference(found: np.ndarray, expected: torch.Tensor) -> float:
    return float((torch.from_numpy(found) - expected).abs().max() / expected.norm(dim=1).max())


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ["tiny-ViT", "tiny-RN"])
def test_image_features_are_the_models_at_any_batch(
    tiny_model: Model, exported: Exported, name: str, precision: ExportPrecision
) -> None:
    model = tiny_model(name)
    towers: Towers = "separate" if name == "tiny-ViT" else "image"
    running = session(exported(name, towers, precision) / "image.onnx")
    for batch in (1, 7, 64):
        pixels = pictures(model, batch)
        with torch.inference_mode():
            expected = model.encode_image(pixels)
        (found,) = running.run(["image_features"], {"pixel_values": pixels.numpy()})
        assert found.dtype == np.float32 and found.shape == (batch, 32)
        assert least_cosine(found, expected) >= LEAST_COSINE[precision]
        if precision == "fp32":
            assert longest_difference(found, expected) <= 1e-5


@pytest.mark.parametrize("precision", PRECISIONS)
def test_text_features_are_the_models_at_any_batch_and_length(
    tiny_model: Model, exported: Exported, precision: ExportPrecision
) -> None:
    model = tiny_model("tiny-ViT")
    running = session(exported("tiny-ViT", "separate", precision) / "text.onnx")
    for batch in (1, 7):
        for length in (2, 13, 52):
            token_ids = captions(batch, length)
            with torch.inference_mode():
                expected = model.encode_text(token_ids)
            (found,) = running.run(["text_features"], {"token_ids": token_ids.numpy()})
            assert found.dtype == np.float32 and found.shape == (batch, 32)
            assert least_cosine(found, expected) >= LEAST_COSINE[precision]
            if precision == "fp32":
                assert longest_difference(found, expected) <= 1e-5


@pytest.mark.parametrize(
    ("name", "precision"), [("tiny-ViT", "fp32"), ("tiny-ViT", "fp16"), ("tiny-RN", "int8")]
)
def test_joint_file_gives_the_logits_of_get_similarity(
    tiny_model: Model, exported: Exported, name: str, precision: ExportPrecision
) -> None:
    model, folder = tiny_model(name), exported(name, "joint", precision)
    running = session(folder / "model.onnx")
    assert not (folder / "image.onnx").exists() and not (folder / "text.onnx").exists()
    for images, texts, length in ((1, 7, 13), (7, 1, 52), (3, 3, 2)):
        pixels, token_ids = pictures(model, images), captions(texts, length)
        with torch.inference_mode():
            expected, _ = model.get_similarity(pixels, token_ids)
        names = ["logits_per_image", "image_features", "text_features"]
        logits, *_ = running.run(names, {"pixel_values": pixels.numpy(), "token_ids": token_ids.numpy()})
        assert logits.dtype == np.float32 and logits.shape == (images, texts)
        allowed = {"fp32": 1e-4, "fp16": 0.02, "int8": 0.3}[precision]  # of a scale of 14
        assert float((torch.from_numpy(logits) - expected).abs().max()) <= allowed


def test_lower_precision_means_smaller_files(exported: Exported) -> None:
    for file in ("image.onnx.data", "text.onnx.data"):
        sizes = {
            precision: (exported("tiny-ViT", "separate", precision) / file).stat().st_size
            for precision in PRECISIONS
        }
        assert sizes["fp16"] < 0.51 * sizes["fp32"]
        assert sizes["int8"] < 0.51 * sizes["fp32"]


def test_files_pass_the_checker_and_name_their_data_relatively(exported: Exported) -> None:
    for file in exported("tiny-ViT", "separate", "int8").glob("*.onnx"):
        onnx.checker.check_model(str(file), full_check=True)
        graph = onnx.load(file, load_external_data=False).graph
        places = {
            entry.value
            for tensor in graph.initializer
            for entry in tensor.external_data
            if entry.key == "location"
        }
        assert places == {f"{file.name}.data"}
        assert b"/cnclip/" not in file.read_bytes()  # no source line of ours, no folder of this machine


def test_moved_copied_and_renamed_folder_still_runs(exported: Exported, tmp_path: Path) -> None:
    copy = tmp_path / "别处 a;b" / "新名字"
    shutil.copytree(exported("tiny-ViT", "separate", "fp32"), copy)
    moved = tmp_path / "moved"
    copy.rename(moved)
    (found,) = session(moved / "text.onnx").run(None, {"token_ids": captions(2, 52).numpy()})
    assert np.isfinite(found).all()


def test_newest_opset_is_as_exact(tiny_model: Model, tmp_path: Path) -> None:
    opset = 22
    rows = export_onnx(tiny_model("tiny-ViT"), tmp_path / "new", ExportOptions(towers="text", opset=opset))
    assert max(row.difference for row in rows) <= 1e-5
    written = onnx.load(tmp_path / "new" / "text.onnx", load_external_data=False)
    assert [entry.version for entry in written.opset_import if entry.domain == ""] == [opset]


def test_fp16_refuses_a_weight_out_of_range_and_names_it(tmp_path: Path) -> None:
    from cnclip.model import ARCHITECTURES

    model = ChineseClip(ARCHITECTURES["tiny-ViT"]).eval()
    with torch.no_grad():
        model.visual.ln_post.weight[3] = 70000.0
    with pytest.raises(CnclipError, match="65504") as caught:
        export_onnx(model, tmp_path / "half", ExportOptions(towers="image", precision="fp16"))
    assert "ln_post" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_fp16_refuses_activations_out_of_range(tmp_path: Path) -> None:
    from cnclip.model import ARCHITECTURES

    model = ChineseClip(ARCHITECTURES["tiny-ViT"]).eval()
    with torch.no_grad():
        model.visual.proj.mul_(1e5)
    with pytest.raises(CnclipError, match="the model computes"):
        export_onnx(model, tmp_path / "half", ExportOptions(towers="image", precision="fp16"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("side", ["image", "text"])
def test_features_of_another_length_are_refused(
    tiny_model: Model, exported: Exported, precision: ExportPrecision, side: Literal["image", "text"]
) -> None:
    longer = copy.deepcopy(tiny_model("tiny-ViT"))
    with torch.no_grad():
        (longer.visual.proj if side == "image" else longer.text_projection).mul_(2)
    file = exported("tiny-ViT", "separate", precision) / f"{side}.onnx"
    rows = compare(longer, side, file)
    assert min(row.cosine for row in rows) >= EXPORT_LEAST_COSINE[precision]
    with pytest.raises(CnclipError, match="difference") as caught:
        check(rows, precision, EXPORT_LEAST_COSINE[precision])
    assert "min-cosine" not in str(caught.value)  # which would not help
    check(compare(tiny_model("tiny-ViT"), side, file), precision, EXPORT_LEAST_COSINE[precision])


def test_half_arithmetic_leaves_the_model_as_it_is_and_rounds(tiny_model: Model) -> None:
    for name in ("tiny-ViT", "tiny-RN"):
        model = tiny_model(name)
        before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
        for batch in (pictures(model, 3), captions(3, 13)):
            encode = model.encode_image if batch.is_floating_point() else model.encode_text
            with torch.inference_mode():
                exact = encode(batch)
            rounded = half_features(model, batch)
            assert torch.equal(rounded, rounded.half().float()) and not torch.equal(rounded, exact)
            torch.testing.assert_close(rounded, exact, rtol=0.02, atol=0.02)
        after = model.state_dict()
        assert all(torch.equal(tensor, after[key]) for key, tensor in before.items())


def test_quantised_weight_is_within_half_a_step_of_the_weight() -> None:
    matrix = np.array([[1.0, 0.0, -127.0], [0.5, 0.0, 63.4]], np.float32)
    integers, scales = quantised_weight(matrix)
    assert integers.tolist() == [[127, 0, -127], [64, 0, 63]]
    assert np.abs(integers * scales - matrix).max() <= 0.5
    np.testing.assert_allclose(scales, [1 / 127, 1.0, 1.0])
