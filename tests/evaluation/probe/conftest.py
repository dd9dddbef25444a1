"""Clusters of unit rows, and a tiny model whose text tower tells names apart."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from cnclip.evaluation.probe.task import FewShotTask, LabelledSet
from cnclip.model import BertArchitecture, ChineseClip, ClipArchitecture, VitArchitecture

Task = Callable[..., FewShotTask]


def clusters(classes: int, each: int, *, width: int = 24, noise: float = 0.6, seed: int = 0) -> LabelledSet:
    """Unit rows around one random direction per class."""
    rng = np.random.default_rng([seed, each])
    centres = np.random.default_rng(99).normal(size=(classes, width))
    labels = np.repeat(np.arange(classes), each)
    rows = centres[labels] + noise * rng.normal(size=(len(labels), width)) * np.sqrt(width) / 3
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return LabelledSet(rows.astype(np.float32), labels)


@pytest.fixture
def make_task() -> Task:
    def make(classes: int = 4, shots: int = 6, valid: int = 3, seed: int = 0) -> FewShotTask:
        return FewShotTask(
            train=clusters(classes, shots, seed=1),
            valid=clusters(classes, valid, seed=2),
            test_rows=clusters(classes, 20, seed=3).rows,
            class_count=classes,
            seed=seed,
        )

    return make


@pytest.fixture(scope="session")
def model() -> ChineseClip:
    image = VitArchitecture(width=32, layers=1, heads=2, patch_size=8, resolution=16)
    text = BertArchitecture(hidden=32, layers=2, heads=2, intermediate=64)
    made = ChineseClip(ClipArchitecture(embed_dim=24, image=image, text=text), seed=5).eval()
    with torch.no_grad():  # BERT's small start would let hardly any word reach [CLS]
        for name, parameter in made.bert.encoder.named_parameters():
            if name.endswith(("qkv.weight", "dense.weight")):
                parameter *= 8
    return made
