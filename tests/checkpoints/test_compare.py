"""Drift and parity by numbers that can be checked by hand."""

from __future__ import annotations

import math

import pytest
import torch

from cnclip.checkpoints.compare import IMAGE, SCALE, TEXT, compare_tensors, layer_of, tower_of
from cnclip.checkpoints.names import to_official
from cnclip.checkpoints.parity import (
    ProbeFeatures,
    check_parity,
    make_probe,
    measure_parity,
    probe_features,
)
from cnclip.errors import CheckpointError
from cnclip.model import ChineseClip


def test_drift_of_a_tensor_by_hand() -> None:
    first, second = {"logit_scale": torch.tensor([3.0, 4.0])}, {"logit_scale": torch.tensor([3.0, 5.0])}
    (drift,) = compare_tensors(first, second).tensors
    assert drift.relative_change == pytest.approx(1 / 5)
    assert drift.max_change == 1.0 and drift.numbers == 2
    assert drift.cosine == pytest.approx((9 + 20) / (5 * math.sqrt(34)))


def test_tensors_of_a_layer_are_one_vector() -> None:
    first = {"visual.ln_pre.weight": torch.tensor([3.0]), "visual.ln_pre.bias": torch.tensor([4.0])}
    second = {"visual.ln_pre.weight": torch.tensor([3.0]), "visual.ln_pre.bias": torch.tensor([1.0])}
    (layer,) = compare_tensors(first, second).layers()
    assert (layer.name, layer.max_change) == ("visual.ln_pre", 3.0)
    assert layer.relative_change == pytest.approx(3 / 5)


def test_layers_and_towers_have_names() -> None:
    layers = {
        "visual.transformer.resblocks.11.attn.in_proj_weight": "visual.transformer.resblocks.11",
        "visual.layer3.5.bn1.running_mean": "visual.layer3.5",
        "visual.attnpool.q_proj.weight": "visual.attnpool",
        "visual.bn1.weight": "visual (stem)",
        "visual.proj": "visual.proj",
        "visual.ln_post.bias": "visual.ln_post",
        "bert.encoder.layer.2.output.dense.bias": "bert.encoder.layer.2",
        "bert.embeddings.LayerNorm.weight": "bert.embeddings",
        "text_projection": "text_projection",
    }
    assert {name: layer_of(name) for name in layers} == layers
    assert [tower_of(n) for n in ("visual.proj", "text_projection", "logit_scale")] == [IMAGE, TEXT, SCALE]


def test_layers_count_up_image_tower_first() -> None:
    names = [
        "bert.encoder.layer.1.a.b",
        "visual.transformer.resblocks.10.x",
        "visual.transformer.resblocks.2.x",
    ]
    tensors = {name: torch.ones(1) for name in ["logit_scale", *names]}
    assert [layer.name.rpartition(".")[2] for layer in compare_tensors(tensors, tensors).layers()] == [
        "2",
        "10",
        "1",
        "logit_scale",
    ]


def test_identical_is_to_the_last_bit(vit: ChineseClip) -> None:
    first = to_official(vit.state_dict())
    second = {name: tensor.clone() for name, tensor in first.items()}
    assert compare_tensors(first, second).identical
    second["visual.proj"][0, 0] = torch.nextafter(second["visual.proj"][0, 0], torch.tensor(9.0))
    assert not compare_tensors(first, second).identical
    second["visual.proj"] = first["visual.proj"].clone()
    second["visual.proj"][0, 0] = float("nan")
    drift = compare_tensors(first, second)
    assert not drift.identical and math.isnan(max(d.max_change for d in drift.towers() if d.name == IMAGE))


def test_names_and_shapes_that_differ_are_listed(vit: ChineseClip) -> None:
    first = to_official(vit.state_dict())
    second = {name: tensor for name, tensor in first.items() if name != "logit_scale"}
    second["visual.proj"], second["bert.extra"] = torch.zeros(128, 23), torch.zeros(1)
    drift = compare_tensors(first, second)
    assert drift.only_first == ("logit_scale",) and drift.only_second == ("bert.extra",)
    assert drift.shapes == {"visual.proj": ((128, 24), (128, 23))} and not drift.identical


def test_statistics_count_as_a_difference_but_not_as_drift_of_weights() -> None:
    first = {"visual.bn1.weight": torch.ones(2), "visual.bn1.num_batches_tracked": torch.tensor(5)}
    second = {**first, "visual.bn1.num_batches_tracked": torch.tensor(50)}
    drift = compare_tensors(first, second)
    assert not drift.identical
    assert [(layer.name, layer.max_change) for layer in drift.layers()] == [("visual (stem)", 0.0)]


def test_half_and_full_precision_can_be_compared() -> None:
    drift = compare_tensors({"logit_scale": torch.ones(3)}, {"logit_scale": torch.ones(3).bfloat16()})
    assert drift.identical


def test_what_appears_out_of_nothing_has_moved_without_bound() -> None:
    (drift,) = compare_tensors({"visual.x": torch.zeros(2)}, {"visual.x": torch.ones(2)}).tensors
    assert drift.relative_change == math.inf and math.isnan(drift.cosine)


def test_a_large_tensor_is_compared_whole() -> None:
    first = torch.ones((1 << 22) + 5)
    second = first.clone()
    second[-1] = 3.0
    (drift,) = compare_tensors({"x": first}, {"x": second}).tensors
    assert drift.max_change == 2.0 and drift.squared_first == len(first)


def test_the_probe_is_always_the_same_and_partly_padded(vit: ChineseClip) -> None:
    first, second = make_probe(vit.architecture), make_probe(vit.architecture)
    assert torch.equal(first.pixel_values, second.pixel_values)
    assert torch.equal(first.token_ids, second.token_ids)
    assert first.pixel_values.shape == (2, 3, 32, 32) and first.token_ids.shape == (4, 20)
    assert (first.token_ids == 0).sum(1).tolist() == [0, 0, 10, 10]


def test_parity_by_hand() -> None:
    reference = ProbeFeatures(torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 0.0]]))
    image, text = measure_parity(reference, ProbeFeatures(torch.tensor([[3.0, 4.4]]), reference.text))
    assert image.max_difference == pytest.approx(0.4)
    assert image.relative_difference == pytest.approx(0.1)
    assert image.cosine == pytest.approx((9 + 17.6) / (5 * math.sqrt(9 + 4.4**2)))
    assert (text.max_difference, text.cosine) == (0.0, 1.0)


def test_a_wrong_weight_and_nan_are_beyond_tolerance(vit: ChineseClip) -> None:
    probe = make_probe(vit.architecture)
    reference = probe_features(vit, probe)
    check_parity(measure_parity(reference, probe_features(vit, probe)), "fp32", where="x")
    with torch.no_grad():
        vit.text_projection[0, 0] += 1
    with pytest.raises(CheckpointError, match="text: max"):
        check_parity(measure_parity(reference, probe_features(vit, probe)), "fp32", where="x")
    broken = ProbeFeatures(reference.image * float("nan"), reference.text)
    with pytest.raises(CheckpointError, match="image: max"):
        check_parity(measure_parity(reference, broken), "bf16", where="x")
