from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import Tensor

from cnclip.model import (
    BertArchitecture,
    ChineseClip,
    ClipArchitecture,
    FeatureArchitecture,
    ImageArchitecture,
    ResNetArchitecture,
    VitArchitecture,
)
from cnclip.towers.lock import lock_tower, no_decay_names, trainable_parameters

TEXT = BertArchitecture(hidden=32, layers=2, heads=4, intermediate=64, vocab_size=60, max_positions=16)
IMAGES: dict[str, ImageArchitecture] = {
    "vit": VitArchitecture(width=32, layers=2, heads=4, patch_size=8, resolution=32),
    "resnet": ResNetArchitecture(layers=(1, 1, 1, 1), width=8, heads=4, resolution=32),
    "features": FeatureArchitecture(width=20),
}


def clip(kind: str) -> ChineseClip:
    return ChineseClip(ClipArchitecture(16, IMAGES[kind], TEXT), seed=1)


def batch(kind: str, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (4, 20) if kind == "features" else (4, 3, 32, 32)
    token_ids = torch.randint(1, 60, (4, 7), generator=generator)
    token_ids[1:, 5:] = 0
    return torch.randn(shape, generator=generator), token_ids


def train_steps(model: ChineseClip, kind: str, steps: int) -> None:
    optimizer = torch.optim.AdamW(trainable_parameters(model).values(), lr=1e-2, weight_decay=0.2)
    for step in range(steps):
        model.train()
        image, text, scale = model(*batch(kind, step))
        loss = torch.nn.functional.cross_entropy(scale * image @ text.T, torch.arange(4))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@pytest.mark.parametrize("kind", list(IMAGES))
def test_locked_image_tower_is_unchanged_after_ten_steps(kind: str) -> None:
    model = clip(kind)
    lock_tower(model, "image")
    pixels, token_ids = batch(kind, 100)
    before, before_text = copy.deepcopy(model.visual.state_dict()), model.bert(token_ids).detach()
    features = model.encode_image(pixels)
    train_steps(model, kind, 10)
    after = model.visual.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(model.encode_image(pixels), features)
    assert not torch.allclose(model.eval().bert(token_ids), before_text)


@pytest.mark.parametrize("kind", list(IMAGES))
def test_locked_image_tower_has_no_graph_and_stays_in_evaluation_mode(kind: str) -> None:
    model = clip(kind)
    lock_tower(model, "image")
    model.train()
    assert not any(module.training for module in model.visual.modules())
    assert all(module.training for module in model.bert.modules())
    embeddings = model(*batch(kind, 1))
    assert embeddings.image.grad_fn is None and not embeddings.image.requires_grad
    assert embeddings.text.grad_fn is not None


def test_unlocked_batchnorm_would_have_moved() -> None:
    model = clip("resnet").train()
    before = model.visual.bn1.running_mean.clone()
    model.encode_image(batch("resnet", 1)[0])
    assert not torch.equal(model.visual.bn1.running_mean, before)


def test_locked_text_tower_is_unchanged_after_ten_steps() -> None:
    model = clip("vit")
    lock_tower(model, "text")
    _, token_ids = batch("vit", 3)
    model.train()
    features = model.encode_text(token_ids)
    assert features.grad_fn is None and torch.equal(features, model.encode_text(token_ids))
    before = copy.deepcopy(model.state_dict())
    train_steps(model, "vit", 10)
    for name, tensor in model.state_dict().items():
        held = name.startswith("bert.") or name == "text_projection"
        assert torch.equal(tensor, before[name]) == held, name


def test_both_towers_can_be_locked_and_none_unlocks_both() -> None:
    model = clip("resnet").train()
    lock_tower(model, "image")
    lock_tower(model, "text")
    assert list(trainable_parameters(model)) == ["logit_scale"]
    lock_tower(model, "none")
    assert len(trainable_parameters(model)) == len(list(model.parameters()))
    assert all(module.training for module in model.modules())


def test_lock_survives_copies() -> None:
    model = clip("resnet")
    lock_tower(model, "image")
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        twin.train()
        assert not twin.visual.bn1.training
        assert len(trainable_parameters(twin)) == len(trainable_parameters(model))


def test_weight_decay_spares_vectors_and_position_tables_only() -> None:
    spared = no_decay_names(clip("vit"))
    decayed = {name for name, _ in clip("vit").named_parameters()} - spared
    assert {
        "logit_scale",
        "visual.class_embedding",
        "visual.positional_embedding",
        "visual.ln_pre.weight",
        "visual.transformer.resblocks.0.attn.in_proj.bias",
        "bert.embeddings.position_embeddings.weight",
        "bert.embeddings.token_type_embeddings.weight",
        "bert.embeddings.LayerNorm.weight",
        "bert.encoder.layer.1.output.LayerNorm.bias",
    } <= spared
    assert {
        "text_projection",
        "visual.proj",
        "visual.conv1.weight",
        "visual.transformer.resblocks.0.attn.in_proj.weight",
        "bert.embeddings.word_embeddings.weight",
        "bert.encoder.layer.1.attention.self.qkv.weight",
    } <= decayed
    resnet = no_decay_names(clip("resnet"))
    assert (
        "visual.layer1.0.downsample.1.weight" in resnet and "visual.attnpool.positional_embedding" in resnet
    )
    assert (
        "visual.layer1.0.downsample.0.weight" not in resnet and "visual.attnpool.q_proj.weight" not in resnet
    )
