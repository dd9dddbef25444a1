"""Cards say what a model is, where it comes from, and what the data is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cnclip.architecture import ARCHITECTURES
from cnclip.evaluation.chapters.blocks import Card, Chapter, Grid, shown
from cnclip.evaluation.chapters.cards import (
    DataFacts,
    ModelFacts,
    data_chapter,
    models_chapter,
)
from cnclip.evaluation.chapters.making import making_chapter

RUN = {
    "checkpoint": {"name": "runs/甲", "image_tower": "a" * 64, "text_tower": "b" * 64},
    "preprocessing": "f3754cfde8e7abbb",
    "precision": "bf16",
    "device": "cpu",
    "processes": 2,
    "protocol": "cnclip",
    "bootstrap": {"samples": 100, "seed": 3},
    "versions": {"cnclip": "0.1.0", "torch": "2.13.0"},
    "seconds": {"load": 0.25, "images": 1.5, "neue": 0.25},
    "command": "cnclip eval retrieval --model runs/甲 --data stores/x",
}


def card(chapter: Chapter, number: int = 0) -> dict[str, str]:
    block = chapter.blocks[number]
    assert isinstance(block, Card)
    return {what.en: shown(value) for what, value in block.facts}


def model(name: str, history: dict[str, Any]) -> dict[str, str]:
    facts = ModelFacts(RUN, ARCHITECTURES[name], name, 86_192_640, 102_662_400, 224, 52, history)
    return card(models_chapter({"甲": facts}))


def test_a_model_card_names_towers_sizes_hashes_and_stage() -> None:
    recipe = {
        "seed": 1, "precision": "fp32", "model": {"checkpoint": "a/stage1", "image": {"locked": True}},
        "data": {"train": ["s/一", "s/二"], "batch_size": 256, "augment": "light"},
        "schedule": {"epochs": 2.5, "steps": 0}, "optimizer": {"lr": 0.001},
    }  # fmt: skip
    facts = model("ViT-B-16", {"recipe": recipe, "metrics": {"published_step": 45}})
    assert facts["Architecture"] == "ViT-B-16" and facts["Embedding width"] == "512"
    assert "ViT, 12 layers, width 768, patches of 16 pixels" in facts["Image tower"]
    assert "188.9 M (image 86.2 M, text 102.7 M)" in facts["Parameters"]
    assert facts["Image tower, sha256"] == "a" * 64 and facts["Precision"] == "bf16"
    assert "the image tower is locked (stage 1)" in facts["Training stage"]
    assert facts["Started from"] == "stage1" and facts["Trained on"] == "一, 二"
    assert facts["Length"] == "2.5 epochs" and facts["Published at step"] == "45"
    assert facts["Settings"] == "lr 0.001, batch 256, augment light, precision fp32, seed 1"


def test_what_a_checkpoint_does_not_say_is_said_to_be_unknown() -> None:
    assert "does not say" in model("RN50", {})["Training"]
    assert model("RN50", {"epoch": 15, "step": 3})["Training"] == "epoch 15, step 3"
    assert "ResNet 3-4-6-3" in model("RN50", {})["Image tower"]
    assert "both towers are trained" in model("RN50", {"recipe": {"model": {}}})["Training stage"]


def test_a_data_card_counts_and_says_who_says_nothing() -> None:
    facts = DataFacts(Path("s/muge-valid"), "83cd", 1_200_000, 3, 4, 5, 6, 7_000_000, "cn_clip", "")
    told = card(data_chapter(facts))
    assert told["Pictures"] == "1.2 M" and told["Captions without an answer"] == "5"
    assert told["Size of the pictures"] == "7.0 MB" and "does not say" in told["Licence"]


def test_the_making_has_the_command_the_seed_and_the_seconds() -> None:
    chapter = making_chapter({"甲": RUN})
    assert chapter.blocks[0].text == RUN["command"]  # type: ignore[union-attr]
    setting, times = card(chapter, 1), chapter.blocks[2]
    assert "100 samples, seed 3" in setting["Bootstrap"] and setting["Processes"] == "2"
    assert setting["Versions"] == "cnclip 0.1.0, torch 2.13.0"
    assert isinstance(times, Grid)
    assert [[shown(cell) for cell in row] for row in times.rows] == [
        ["读入模型 Load the model", "0.25"], ["图片向量 Embed pictures", "1.50"], ["neue", "0.25"],
        ["合计 In all", "2.00"],
    ]  # fmt: skip
