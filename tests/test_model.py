from __future__ import annotations

import json
import math

import pytest
import torch
from torch import Tensor

from cnclip.checkpoints.names import to_official
from cnclip.errors import RecipeError
from cnclip.model import (
    ARCHITECTURES,
    BertArchitecture,
    ChineseClip,
    ClipArchitecture,
    FeatureArchitecture,
    ResNetArchitecture,
    VitArchitecture,
)

COUNTS = {
    "ViT-B-16": (188_262_913, 86_192_640, 101_677_056, 351),
    "ViT-B-32": (189_919_489, 87_849_216, 101_677_056, 351),
    "ViT-L-14": (406_233_089, 303_966_208, 101_677_056, 495),
    "ViT-L-14-336": (406_560_769, 304_293_888, 101_677_056, 495),
    "ViT-H-14": (957_598_209, 632_076_800, 324_472_832, 783),
    "RN50": (76_989_537, 38_316_896, 37_886_208, 394),
}


@pytest.fixture
def model() -> ChineseClip:
    return ChineseClip(ARCHITECTURES["tiny-ViT"], seed=1).eval()


@pytest.fixture
def pictures() -> Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def token_ids() -> Tensor:
    return torch.tensor([[101, 3345, 2225, 7991, 102, 0, 0], [101, 1975, 6032, 4905, 2094, 102, 0]])


@pytest.mark.parametrize("name", list(COUNTS))
def test_official_sizes_have_the_official_numbers_of_parameters_and_tensors(name: str) -> None:
    with torch.device("meta"):
        model = ChineseClip(ARCHITECTURES[name])
    parts = [sum(p.numel() for p in part.parameters()) for part in (model, model.visual, model.bert)]
    assert (*parts, len(to_official(model.state_dict()))) == COUNTS[name]


def test_weights_are_a_function_of_the_seed_alone() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = ChineseClip(ARCHITECTURES["tiny-RN"], seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    again = ChineseClip(ARCHITECTURES["tiny-RN"])
    again.init_weights(torch.Generator().manual_seed(5))
    other = ChineseClip(ARCHITECTURES["tiny-RN"], seed=6)
    assert all(torch.equal(first.state_dict()[name], tensor) for name, tensor in again.state_dict().items())
    assert not torch.equal(first.text_projection, other.text_projection)


def test_start_follows_the_official_rules() -> None:
    model = ChineseClip(ARCHITECTURES["tiny-ViT"])
    weights = dict(model.named_parameters())
    spreads = {
        "text_projection": 64**-0.5,
        "visual.proj": 128**-0.5,
        "visual.positional_embedding": 128**-0.5,
        "visual.conv1.weight": (3 * 8 * 8 * 3) ** -0.5,
        "visual.transformer.resblocks.0.mlp.c_fc.weight": (128 * 3) ** -0.5,
        "visual.transformer.resblocks.0.attn.in_proj.weight": (2 / (4 * 128)) ** 0.5,
        "bert.embeddings.word_embeddings.weight": 0.02,
        "bert.encoder.layer.0.attention.self.qkv.weight": 0.02,
    }
    for name, spread in spreads.items():
        assert weights[name].std().item() == pytest.approx(spread, rel=0.05), name
    assert weights["bert.embeddings.word_embeddings.weight"][0].any()
    assert model.logit_scale.item() == pytest.approx(math.log(1 / 0.07))
    for name, weight in weights.items():
        if ".attn." in name and name.endswith("bias"):
            assert not weight.any(), name
        if ("ln_" in name or "LayerNorm" in name) and name.endswith("weight"):
            assert torch.equal(weight, torch.ones_like(weight)), name
    resnet = ChineseClip(ARCHITECTURES["tiny-RN"]).visual
    assert resnet.attnpool.q_proj.weight.std().item() == pytest.approx(512**-0.5, rel=0.05)
    assert not resnet.layer3[0].bn3.weight.any() and resnet.layer3[0].bn2.weight.all()
    assert not resnet.bn1.running_mean.any() and torch.equal(resnet.bn1.running_var, torch.ones(8))


def test_forward_gives_unit_rows_of_the_sides_that_are_given(
    model: ChineseClip, pictures: Tensor, token_ids: Tensor
) -> None:
    both = model(pictures, token_ids)
    assert both.image.shape == both.text.shape == (2, 32)
    torch.testing.assert_close(both.image.norm(dim=1), torch.ones(2))
    features = model.encode_text(token_ids)
    torch.testing.assert_close(both.text, features / features.norm(dim=1, keepdim=True))
    assert both.logit_scale.item() == pytest.approx(1 / 0.07)
    assert model(pixel_values=pictures).text is None
    assert model(token_ids=token_ids).image is None


def test_cached_embeddings_stand_in_for_the_image_tower(
    model: ChineseClip, pictures: Tensor, token_ids: Tensor
) -> None:
    whole = model(pictures, token_ids)
    cached = model(token_ids=token_ids, image_embeddings=whole.image.detach())
    assert torch.equal(cached.image, whole.image) and torch.equal(cached.text, whole.text)
    with pytest.raises(AssertionError, match="not both"):
        model(pictures, token_ids, image_embeddings=whole.image)


def test_similarity_is_the_scaled_cosine(model: ChineseClip, pictures: Tensor, token_ids: Tensor) -> None:
    per_image, per_text = model.get_similarity(pictures[:1], token_ids)
    image, text = model.encode_image(pictures[:1]), model.encode_text(token_ids)
    torch.testing.assert_close(per_image[0], torch.cosine_similarity(image, text) / 0.07)
    assert per_image.shape == (1, 2) and torch.equal(per_text, per_image.T)


def test_padding_is_found_without_a_mask(model: ChineseClip, token_ids: Tensor) -> None:
    features = model.encode_text(token_ids)
    assert torch.equal(features, model.encode_text(token_ids, token_ids != 0))
    wide = torch.zeros(2, 52, dtype=torch.long)
    wide[:, :7] = token_ids
    assert torch.equal(features, model.encode_text(wide))


def test_patch_dropout_on_a_tower_without_patches_is_refused() -> None:
    model = ChineseClip(ARCHITECTURES["tiny-RN"])
    with pytest.raises(RecipeError, match="vision transformer"):
        model.encode_image(torch.zeros(1, 3, 64, 64), patch_dropout=0.5, generator=torch.Generator())


def test_ready_made_features_take_the_place_of_pictures(token_ids: Tensor) -> None:
    architecture = ClipArchitecture(16, FeatureArchitecture(40), ARCHITECTURES["tiny-ViT"].text)
    model = ChineseClip(architecture)
    rows = torch.randn(2, 40)
    torch.testing.assert_close(model.encode_image(rows), rows @ model.visual.proj)
    with pytest.raises(Exception, match=r"\[B, 40\], not \[2, 41\]"):
        model(torch.randn(2, 41), token_ids)


def test_low_precision_stays_close_and_embeddings_are_float32(pictures: Tensor, token_ids: Tensor) -> None:
    model = ChineseClip(ARCHITECTURES["tiny-ViT"], seed=1).eval()
    exact = model(pictures, token_ids)
    rough = model.bfloat16()(pictures, token_ids)
    assert rough.image.dtype == torch.float32
    assert torch.cosine_similarity(rough.image, exact.image).min() > 0.995
    assert torch.cosine_similarity(rough.text, exact.text).min() > 0.995
    assert model.double()(pictures, token_ids).image.dtype == torch.float64


def test_activation_checkpointing_reaches_both_towers(model: ChineseClip) -> None:
    model.set_grad_checkpointing()
    assert model.visual.transformer.activation_checkpointing and model.bert.encoder.activation_checkpointing
    model.set_grad_checkpointing(False)
    assert not model.bert.encoder.activation_checkpointing


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_architecture_survives_json(name: str) -> None:
    architecture = ARCHITECTURES[name]
    assert ClipArchitecture.from_dict(json.loads(json.dumps(architecture.to_dict()))) == architecture


def _changed(section: str, **changes: object) -> dict[str, object]:
    value = ARCHITECTURES["RN50"].to_dict()
    value[section].update(changes)
    return value


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {**ARCHITECTURES["RN50"].to_dict(), "extra": 1},
        {**ARCHITECTURES["RN50"].to_dict(), "embed_dim": True},
        {**ARCHITECTURES["RN50"].to_dict(), "image": {"kind": "vit"}},
        _changed("image", kind=["vit"]),
        _changed("image", layers="__import__('os').system('true')"),
        _changed("image", layers=[3, 4, 6]),
        _changed("image", patch_size=16),
        _changed("text", hidden="768"),
        _changed("text", heads=7),
        _changed("text", dropout=1.5),
        _changed("text", layers=0),
    ],
)
def test_damaged_architecture_is_refused(value: object) -> None:
    with pytest.raises(RecipeError):
        ClipArchitecture.from_dict(value)


def test_impossible_shapes_are_refused() -> None:
    with pytest.raises(RecipeError, match="heads 5 does not divide width 64"):
        VitArchitecture(width=64, layers=1, heads=5, patch_size=8, resolution=32)
    with pytest.raises(RecipeError, match="patch_size 7 does not divide resolution 32"):
        VitArchitecture(width=64, layers=1, heads=4, patch_size=7, resolution=32)
    with pytest.raises(RecipeError, match="multiple of 32"):
        ResNetArchitecture(layers=(1, 1, 1, 1), width=8, heads=4, resolution=40)
    with pytest.raises(RecipeError, match="heads 3 does not divide hidden 64"):
        BertArchitecture(hidden=64, layers=1, heads=3, intermediate=8)


def test_features_equal_those_of_transformers(
    model: ChineseClip, pictures: Tensor, token_ids: Tensor
) -> None:
    transformers = pytest.importorskip("transformers")
    image, text = model.architecture.image, model.architecture.text
    config = transformers.ChineseCLIPConfig(
        text_config={
            "vocab_size": text.vocab_size,
            "hidden_size": text.hidden,
            "num_hidden_layers": text.layers,
            "num_attention_heads": text.heads,
            "intermediate_size": text.intermediate,
            "layer_norm_eps": 1e-12,
            "hidden_act": "gelu",
        },
        vision_config={
            "hidden_size": image.width,
            "num_hidden_layers": image.layers,
            "num_attention_heads": image.heads,
            "intermediate_size": 4 * image.width,
            "patch_size": image.patch_size,
            "image_size": image.resolution,
            "hidden_act": "quick_gelu",
            "layer_norm_eps": 1e-5,
        },
        projection_dim=model.architecture.embed_dim,
    )
    theirs = transformers.ChineseCLIPModel(config).eval()
    theirs.load_state_dict(_transformers_state(to_official(model.state_dict())), strict=True)
    with torch.no_grad():
        states = theirs.vision_model(pixel_values=pictures).pooler_output
        torch.testing.assert_close(
            model.encode_image(pictures), theirs.visual_projection(states), atol=2e-6, rtol=1e-5
        )
        mask = token_ids != 0
        states = theirs.text_model(input_ids=token_ids, attention_mask=mask.long()).last_hidden_state[:, 0]
        torch.testing.assert_close(
            model.encode_text(token_ids), theirs.text_projection(states), atol=2e-6, rtol=1e-5
        )


def _transformers_state(official: dict[str, Tensor]) -> dict[str, Tensor]:
    renames = {
        "bert.": "text_model.",
        "visual.class_embedding": "vision_model.embeddings.class_embedding",
        "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
        "visual.conv1.": "vision_model.embeddings.patch_embedding.",
        "visual.ln_pre.": "vision_model.pre_layrnorm.",
        "visual.ln_post.": "vision_model.post_layernorm.",
        "visual.transformer.resblocks.": "vision_model.encoder.layers.",
        ".attn.out_proj.": ".self_attn.out_proj.",
        ".ln_1.": ".layer_norm1.",
        ".ln_2.": ".layer_norm2.",
        ".c_fc.": ".fc1.",
        ".c_proj.": ".fc2.",
    }
    state = {}
    for official_name, tensor in official.items():
        name = official_name
        for old, new in renames.items():
            name = name.replace(old, new)
        if ".attn.in_proj_" in name:
            prefix, kind = name.split(".attn.in_proj_")
            for letter, rows in zip("qkv", tensor.chunk(3), strict=True):
                state[f"{prefix}.self_attn.{letter}_proj.{kind}"] = rows
        elif name == "visual.proj":
            state["visual_projection.weight"] = tensor.T
        elif name == "text_projection":
            state["text_projection.weight"] = tensor.T
        else:
            state[name] = tensor
    return state
