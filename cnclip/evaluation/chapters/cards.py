"""Cards: what each model is and where it comes from, what the data is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnclip.architecture import (
    BertArchitecture,
    ClipArchitecture,
    FeatureArchitecture,
    ImageArchitecture,
    VitArchitecture,
)
from cnclip.evaluation.chapters.blocks import Card, Cell, Chapter, Words

Fact = tuple[Words, Cell]
Run = Mapping[str, Any]


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a model.

    Attributes:
        run: the `run` part of results.json.
        architecture: of its towers.
        known_as: its architecture's official name; None where it has none.
        image_parameters, text_parameters: how many numbers the towers have, their projections included.
        pixels: side of its pictures.
        context_length: tokens of a caption, the two marks at its ends included.
        history: `recipe`, `metrics`, `manifest` of the checkpoint, or name, epoch, step; what is not known
            is missing.
    """

    run: Run
    architecture: ClipArchitecture
    known_as: str | None
    image_parameters: int
    text_parameters: int
    pixels: int
    context_length: int
    history: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DataFacts:
    """What is known of the data.

    Attributes:
        path: of the store.
        fingerprint: of its content.
        images, texts, pairs, unlabelled_texts, unreferenced_images: counts.
        image_bytes: of the encoded pictures.
        source: kind and file that it was built from.
        licence: "" where nothing says it.
    """

    path: Path
    fingerprint: str
    images: int
    texts: int
    pairs: int
    unlabelled_texts: int
    unreferenced_images: int
    image_bytes: int
    source: str
    licence: str


def models_chapter(models: Mapping[str, ModelFacts]) -> Chapter:
    """A card for each model."""
    cards = [Card(label, [*_identity(facts), *_training(facts.history)]) for label, facts in models.items()]
    return Chapter("models", Words("模型卡", "Model cards"), cards)


def data_chapter(facts: DataFacts) -> Chapter:
    """The data's card."""
    rows: list[Fact] = [
        (Words("位置", "Where"), str(facts.path)),
        (Words("图片", "Pictures"), _count(facts.images)),
        (Words("文本", "Captions"), _count(facts.texts)),
        (Words("正确的图文对", "Correct pairs"), _count(facts.pairs)),
        (Words("没有答案的文本", "Captions without an answer"), _count(facts.unlabelled_texts)),
        (Words("没有文本的图片", "Pictures without a caption"), _count(facts.unreferenced_images)),
        (Words("图片总大小", "Size of the pictures"), f"{facts.image_bytes / 1e6:.1f} MB"),
        (Words("建库来源", "Built from"), facts.source or "-"),
        (Words("许可", "Licence"), facts.licence or Words("库里没有写明", "the store does not say")),
        (Words("内容指纹", "Fingerprint of the content"), facts.fingerprint),
    ]
    return Chapter("data", Words("数据卡", "Data card"), [Card(facts.path.name, rows)])


def _identity(facts: ModelFacts) -> Iterator[Fact]:
    run = facts.run
    image, text = facts.architecture.image, facts.architecture.text
    total = facts.image_parameters + facts.text_parameters
    yield Words("名称", "Name"), str(run["checkpoint"]["name"])
    if facts.known_as:
        yield Words("结构", "Architecture"), facts.known_as
    yield Words("图像塔", "Image tower"), _image_tower(image)
    yield Words("文本塔", "Text tower"), _text_tower(text)
    parts = _count(total), _count(facts.image_parameters), _count(facts.text_parameters)
    yield (
        Words("参数", "Parameters"),
        Words(
            f"{parts[0]}（图 {parts[1]}，文 {parts[2]}）", f"{parts[0]} (image {parts[1]}, text {parts[2]})"
        ),
    )
    yield Words("向量维数", "Embedding width"), str(facts.architecture.embed_dim)
    yield (
        Words("输入", "Input"),
        Words(
            f"{facts.pixels}×{facts.pixels} 像素；文本至多 {facts.context_length} 个 token",
            f"{facts.pixels}×{facts.pixels} pixels; captions of up to {facts.context_length} tokens",
        ),
    )
    yield Words("预处理指纹", "Preprocessing"), str(run["preprocessing"])
    yield Words("精度", "Precision"), str(run["precision"])
    yield Words("图像塔 sha256", "Image tower, sha256"), str(run["checkpoint"]["image_tower"])
    yield Words("文本塔 sha256", "Text tower, sha256"), str(run["checkpoint"]["text_tower"])


def _image_tower(image: ImageArchitecture) -> Words:
    if isinstance(image, FeatureArchitecture):
        return Words(f"现成特征，{image.width} 维", f"ready-made features, {image.width} wide")
    if isinstance(image, VitArchitecture):
        return Words(
            f"ViT，{image.layers} 层，宽 {image.width}，{image.patch_size} 像素一块",
            f"ViT, {image.layers} layers, width {image.width}, patches of {image.patch_size} pixels",
        )
    layers = "-".join(map(str, image.layers))
    return Words(f"ResNet {layers}，宽 {image.width}", f"ResNet {layers}, width {image.width}")


def _text_tower(text: BertArchitecture) -> Words:
    return Words(
        f"BERT，{text.layers} 层，宽 {text.hidden}", f"BERT, {text.layers} layers, width {text.hidden}"
    )


def _training(history: Mapping[str, Any]) -> Iterator[Fact]:
    """What the checkpoint keeps of its training; nothing where it keeps nothing."""
    recipe = history.get("recipe")
    if not isinstance(recipe, dict):
        told = [f"{key} {history[key]}" for key in ("name", "epoch", "step") if history.get(key)]
        yield (
            Words("训练", "Training"),
            ", ".join(told) or Words("权重里没有记录", "the checkpoint does not say"),
        )
        return
    yield Words("训练阶段", "Training stage"), _stage(recipe)
    started = _deep(recipe, "model", "checkpoint")
    if started:
        yield Words("起点", "Started from"), Path(str(started)).name
    stores = _deep(recipe, "data", "train")
    yield (
        Words("训练数据", "Trained on"),
        ", ".join(Path(str(one)).name for one in (stores if isinstance(stores, list) else [stores or "-"])),
    )
    epochs, steps = _deep(recipe, "schedule", "epochs"), _deep(recipe, "schedule", "steps")
    length = [f"{epochs:g} epochs" if epochs else "", f"{steps} steps" if steps else ""]
    yield Words("训练长度", "Length"), ", ".join(filter(None, length)) or "-"
    settings = {
        "lr": _deep(recipe, "optimizer", "lr"),
        "batch": _deep(recipe, "data", "batch_size"),
        "augment": _deep(recipe, "data", "augment"),
        "precision": recipe.get("precision"),
        "seed": recipe.get("seed"),
    }
    shown = ", ".join(f"{key} {value}" for key, value in settings.items() if value is not None)
    yield Words("设置", "Settings"), shown
    step = history.get("metrics", {}).get("published_step")
    if step is not None:
        yield Words("发布于第几步", "Published at step"), str(step)


def _stage(recipe: Mapping[str, Any]) -> Words:
    locked = [side for side in ("image", "text") if _deep(recipe, "model", side, "locked")]
    if not locked:
        return Words("两个塔一起训练（第二阶段）", "both towers are trained (stage 2)")
    if len(locked) == 2:
        return Words("两个塔都锁定", "both towers are locked")
    zh, en = ("图像塔", "image") if locked == ["image"] else ("文本塔", "text")
    stage = ("（第一阶段）", " (stage 1)") if locked == ["image"] else ("", "")
    return Words(f"锁定{zh}{stage[0]}", f"the {en} tower is locked{stage[1]}")


def _count(number: int) -> str:
    return f"{number:,}" if number < 1_000_000 else f"{number / 1e6:.1f} M"


def _deep(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
