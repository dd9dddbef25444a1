"""cn_clip's interface: its goldens, its signatures, and the use that its front page shows."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import cnclip.compat as clip
from cnclip.checkpoints.interpolate import resize_positions
from cnclip.checkpoints.names import to_official
from cnclip.errors import CheckpointError, CnclipError, RecipeError
from cnclip.model import ARCHITECTURES, ChineseClip, ClipArchitecture, VitArchitecture

OFFICIAL_IDS = {  # cn_clip 1.6, by running it
    "杰尼龟": [101, 3345, 2225, 7991, 102],
    "妙蛙种子": [101, 1975, 6032, 4905, 2094, 102],
    "小火龙": [101, 2207, 4125, 7987, 102],
    "皮卡丘": [101, 4649, 1305, 687, 102],
    "Hello WORLD café naïve": [101, 8701, 8572, 8377, 11469, 8857, 102],
    "[CLS] [MASK] [SEP]": [101, 138, 12847, 8118, 140, 138, 9622, 8998, 140, 138, 9463, 140, 102],
    "一二三“引号”": [101, 671, 753, 676, 100, 2471, 1384, 100, 102],
    "１２３ＡＢＣ": [101, 10351, 9089, 10094, 12641, 10675, 102],
    "emoji😂ok👍": [101, 13152, 8167, 9343, 21126, 9185, 21124, 102],
    "": [101, 102],
}
NAMES = ["杰尼龟", "妙蛙种子", "小火龙", "皮卡丘"]


@pytest.fixture
def model() -> ChineseClip:
    return ChineseClip(ARCHITECTURES["tiny-ViT"], seed=3)


@pytest.fixture
def weight_file(model: ChineseClip, tmp_path: Path) -> Path:
    state = {f"module.{name}": tensor for name, tensor in to_official(model.state_dict()).items()}
    torch.save({"epoch": 1, "step": 2, "name": "微型", "state_dict": state}, tmp_path / "微型.pt")
    return tmp_path / "微型.pt"


def test_calls_have_the_original_parameters_in_their_order() -> None:
    parameters = {
        "load_from_name": "name device download_root vision_model_name text_model_name"
        " input_resolution use_modelscope",
        "load": "model device clip_path bert_path use_flash_attention",
        "tokenize": "texts context_length",
        "image_transform": "image_size",
        "available_models": "",
    }
    assert sorted(parameters) == sorted(clip.__all__)
    for name, expected in parameters.items():
        signature = inspect.signature(getattr(clip, name))
        assert [*signature.parameters] == expected.split()
        defaults = {p.default for p in signature.parameters.values()} - {inspect.Parameter.empty}
        assert defaults <= {None, False, 52, 224}
    assert clip.available_models() == ["ViT-B-16", "ViT-L-14", "ViT-L-14-336", "ViT-H-14", "RN50"]


def test_ids_are_the_official_ones() -> None:
    ids = clip.tokenize([*OFFICIAL_IDS])
    assert ids.shape == (len(OFFICIAL_IDS), 52) and ids.dtype == torch.int64
    for row, expected in zip(ids.tolist(), OFFICIAL_IDS.values(), strict=True):
        assert row == expected + [0] * (52 - len(expected))
    assert clip.tokenize("猫", 2).tolist() == [[101, 102]]
    with pytest.raises(RecipeError):
        clip.tokenize("猫", 1)


def test_pixels_are_the_official_ones_in_every_mode() -> None:
    noise = Image.fromarray(np.random.RandomState(0).randint(0, 256, (300, 500, 3)).astype(np.uint8))
    rgba = noise.copy()
    rgba.putalpha(Image.fromarray(np.random.RandomState(1).randint(0, 256, (300, 500)).astype(np.uint8)))
    totals = {"RGB": 28512.156, "L": 28373.507, "P": 28042.384, "1": 26362.697, "RGBA": 27615.794}
    for mode, total in totals.items():
        tensor = clip.image_transform()(rgba if mode == "RGBA" else noise.convert(mode))
        assert float(tensor.double().sum()) == pytest.approx(total, abs=0.02)


def test_the_front_pages_example_runs(weight_file: Path) -> None:
    device = "cpu"
    model, preprocess = clip.load_from_name(
        str(weight_file), device=device, vision_model_name="tiny-ViT", input_resolution=32
    )
    model.eval()
    picture = Image.fromarray(np.random.RandomState(0).randint(0, 256, (50, 40, 3)).astype(np.uint8))
    image = preprocess(picture).unsqueeze(0).to(device)
    text = clip.tokenize(NAMES).to(device)
    with torch.no_grad():
        image_features = model.encode_image(image)
        text_features = model.encode_text(text)
        image_features /= image_features.norm(dim=-1, keepdim=True)
        text_features /= text_features.norm(dim=-1, keepdim=True)
        logits_per_image, logits_per_text = model.get_similarity(image, text)
        probs = logits_per_image.softmax(dim=-1).cpu().numpy()
        expected = model.logit_scale.exp() * image_features @ text_features.T
    assert torch.allclose(logits_per_image, expected, atol=1e-4)
    assert torch.equal(logits_per_text, logits_per_image.T)
    assert probs.sum() == pytest.approx(1, abs=1e-5)
    assert model.dtype == torch.float32 and not model.training


def test_weights_are_rounded_as_the_original_does(weight_file: Path, model: ChineseClip) -> None:
    loaded, preprocess = clip.load_from_name(weight_file, "cpu")
    assert preprocess.compat == "cn_clip" and preprocess.image_size == 32
    plain, rounded = to_official(model.state_dict()), to_official(loaded.state_dict())
    for name in (
        "visual.conv1.weight",
        "visual.proj",
        "text_projection",
        "bert.embeddings.word_embeddings.weight",
    ):
        assert torch.equal(rounded[name], plain[name].half().float())
        assert not torch.equal(rounded[name], plain[name])
    for name in (
        "visual.positional_embedding",
        "visual.class_embedding",
        "visual.ln_pre.weight",
        "logit_scale",
    ):
        assert torch.equal(rounded[name], plain[name])


def test_files_lie_where_the_original_kept_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weight_file: Path
) -> None:
    (tmp_path / ".cache" / "clip").mkdir(parents=True)
    weight_file.rename(tmp_path / ".cache" / "clip" / "clip_cn_vit-b-16.pt")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(CnclipError, match=r"conv1\.weight: file"):  # found there, of another size
        clip.load_from_name("ViT-B-16", "cpu")


def openai_file(source: ChineseClip, path: Path) -> Path:
    state = {n: t.clone() for n, t in to_official(source.state_dict()).items() if n.startswith("visual.")}
    torch.save({**state, "logit_scale": torch.tensor(4.6052)}, path)
    return path


def bert_file(source: ChineseClip, path: Path) -> Path:
    state = {n: t.clone() for n, t in to_official(source.state_dict()).items() if n.startswith("bert.")}
    state = {n.replace("LayerNorm.weight", "LayerNorm.gamma"): t for n, t in state.items()}
    torch.save({**state, "cls.predictions.bias": torch.zeros(9)}, path)
    return path


def test_load_starts_both_towers_and_the_scale(model: ChineseClip, tmp_path: Path) -> None:
    source = ChineseClip(model.architecture, seed=8)
    projection = model.text_projection.detach().clone()
    loaded = clip.load(
        model,
        "cpu",
        clip_path=openai_file(source, tmp_path / "openai.pt"),
        bert_path=bert_file(source, tmp_path / "bert.pt"),
        use_flash_attention=True,
    )
    assert loaded is model and not model.training
    found, expected = to_official(loaded.state_dict()), to_official(source.state_dict())
    for name in expected:
        if name not in ("text_projection", "logit_scale"):
            assert torch.allclose(found[name], expected[name], rtol=1e-3, atol=1e-6), name
    name = "bert.encoder.layer.0.attention.self.key.weight"
    assert torch.equal(found[name], expected[name].half().float())
    assert loaded.logit_scale.item() == pytest.approx(4.6052)
    assert torch.equal(found["text_projection"], projection.half().float())


def test_load_stretches_positions(model: ChineseClip, tmp_path: Path) -> None:
    image = model.architecture.image
    assert isinstance(image, VitArchitecture)
    larger = VitArchitecture(image.width, image.layers, image.heads, image.patch_size, 2 * image.resolution)
    source = ChineseClip(
        ClipArchitecture(model.architecture.embed_dim, larger, model.architecture.text), seed=9
    )
    clip.load(model, "cpu", openai_file(source, tmp_path / "openai.pt"))
    expected = resize_positions(source.visual.positional_embedding, len(model.visual.positional_embedding))
    assert torch.equal(model.visual.positional_embedding, expected)


def test_load_refuses_what_does_not_fit(model: ChineseClip, tmp_path: Path) -> None:
    other = ChineseClip(ARCHITECTURES["tiny-RN"])
    with pytest.raises(CheckpointError):
        clip.load(model, "cpu", openai_file(other, tmp_path / "openai.pt"))
    with pytest.raises(CnclipError, match="gpu"):
        clip.load(model, "gpu")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("visual.positional_embedding", torch.full((65, 128), float("nan")), "NaN or infinity"),
        ("visual.positional_embedding", torch.zeros(51, 128), "square"),
        ("visual.positional_embedding", torch.zeros(65, 96), "do not fit"),
        ("logit_scale", torch.tensor(float("nan")), "NaN or infinity"),
        ("logit_scale", torch.zeros(3), "do not fit"),
    ],
)
def test_load_refuses_damaged_positions_and_scales_and_changes_nothing(
    model: ChineseClip, tmp_path: Path, name: str, value: torch.Tensor, message: str
) -> None:
    file = openai_file(ChineseClip(model.architecture, seed=8), tmp_path / "openai.pt")
    torch.save({**torch.load(file, weights_only=True), name: value}, file)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=message) as caught:
        clip.load(model, "cpu", file)
    assert "openai.pt" in str(caught.value) and name in str(caught.value)
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())


def test_tokenizer_object() -> None:
    tokenizer = clip._tokenizer
    assert tokenizer.tokenize("iPhone13pro手机，龘") == ["iphone", "##13", "##pro", "手", "机", "，", "[UNK]"]
    ids = tokenizer.convert_tokens_to_ids(["[CLS]", "皮", "卡", "丘", "[SEP]"])
    assert ids == [101, 4649, 1305, 687, 102]
    assert tokenizer.convert_ids_to_tokens(ids) == ["[CLS]", "皮", "卡", "丘", "[SEP]"]
    assert len(tokenizer.tokenize("长" * 5000)) == 5000
    assert tokenizer.vocab_size() == len(tokenizer.vocab) == len(tokenizer.inv_vocab) == 21128
    assert tokenizer.vocab["[CLS]"] == 101 and tokenizer.inv_vocab[102] == "[SEP]"
    with pytest.raises(KeyError):
        tokenizer.convert_tokens_to_ids(["不是词"])


def test_tokens_become_a_string_again() -> None:
    pieces = ["hell", "##o", ",", "i", "'", "m", "don", "'", "t", "是", "吗", "?"]
    assert clip.FullTokenizer.convert_tokens_to_string(pieces) == "hello, i'm don't 是 吗?"
    assert clip.FullTokenizer.convert_tokens_to_string(pieces[:4], False) == "hello , i"


def test_importing_reads_no_vocabulary_and_asks_no_device() -> None:
    program = (
        "import torch; torch.cuda.is_available = None; import cnclip.compat as clip;"
        "from cnclip.text.wordpiece import vocabulary; print(vocabulary.cache_info().currsize, clip.__all__)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.startswith("0 "), done.stderr
