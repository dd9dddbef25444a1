"""Prompt learning on a tiny Chinese text tower: where it starts, what trains, what it lowers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from cnclip.errors import RecipeError, SourceError
from cnclip.evaluation.embed import embed_texts
from cnclip.evaluation.probe.prompt_tower import ClassPrompts, frozen, word_context
from cnclip.evaluation.probe.prompts import MetaNet, PromptOptions, cocoop, coop, learn_context, start_context
from cnclip.evaluation.probe.task import FewShotTask, LabelledSet
from cnclip.model import ChineseClip

Task = Callable[..., FewShotTask]
NAMES = ["猫", "埃及猫", "ＡＫ４７步枪", "蓝莓🫐"]
WORDS = "一张照片，里面是"
OPTIONS = PromptOptions(words=WORDS, steps=12, batch_size=8, learning_rate=0.05)


@pytest.fixture
def separable(model: ChineseClip) -> FewShotTask:
    """Pictures that lie near fixed directions, so that a context can learn them."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 5)
    start = embed_texts(model, NAMES, progress=None).rows
    rows = start[(labels + 1) % 4] + 0.05 * rng.normal(size=(20, 24))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    train = LabelledSet(rows, labels)
    return FewShotTask(train, LabelledSet(rows[:0], labels[:0]), rows, class_count=4, seed=2)


def test_the_words_own_vectors_give_the_rows_of_the_prompt_they_spell(model: ChineseClip) -> None:
    context = word_context(model, WORDS)
    assert context.shape == (len(WORDS), 32)
    with torch.no_grad():
        rows = ClassPrompts(model, NAMES, len(context)).encode(context[None])[0].numpy()
    expected = embed_texts(model, [WORDS + name for name in NAMES], progress=None).rows
    np.testing.assert_allclose(rows, expected, atol=1e-6)


def test_coop_and_cocoop_without_steps_answer_as_the_prompt_they_start_from(
    model: ChineseClip, separable: FewShotTask
) -> None:
    prompt = embed_texts(model, [WORDS + name for name in NAMES], progress=None).rows
    expected = (separable.test_rows @ prompt.T).argmax(axis=1).tolist()
    options = replace(OPTIONS, steps=0)
    assert coop(separable, model, NAMES, options).predictions.tolist() == expected
    assert cocoop(separable, model, NAMES, options).predictions.tolist() == expected


def test_several_contexts_are_encoded_as_each_alone(model: ChineseClip) -> None:
    prompts = ClassPrompts(model, NAMES, 3)
    contexts = 0.02 * torch.randn(5, 3, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        together = prompts.encode(contexts)
        alone = torch.cat([prompts.encode(context[None]) for context in contexts])
    assert together.shape == (5, 4, 24)
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("recompute", [False, True])
def test_the_gradient_of_the_context_is_that_of_finite_differences(recompute: bool) -> None:
    from cnclip.model import BertArchitecture, ClipArchitecture, FeatureArchitecture

    text = BertArchitecture(hidden=8, layers=2, heads=2, intermediate=12)
    model = ChineseClip(ClipArchitecture(embed_dim=6, image=FeatureArchitecture(6), text=text), seed=1)
    model = model.double().eval()
    prompts = ClassPrompts(model, NAMES[:2], 2)
    contexts = torch.randn(2, 2, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with frozen(model, recompute=recompute):
        assert torch.autograd.gradcheck(prompts.encode, (contexts.requires_grad_(True),))


def test_only_the_context_trains_and_the_model_is_left_as_it_was(
    model: ChineseClip, separable: FewShotTask
) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    asked = [parameter.requires_grad for parameter in model.parameters()]
    model.bert.train()
    learned = learn_context(model, NAMES, separable.train, 0, OPTIONS)
    assert model.bert.training and model.bert.encoder.layer[0].training
    model.eval()
    assert [parameter.requires_grad for parameter in model.parameters()] == asked
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not torch.equal(learned.context, word_context(model, WORDS))


def test_coop_lowers_the_training_loss(model: ChineseClip, separable: FewShotTask) -> None:
    losses = learn_context(model, NAMES, separable.train, 0, replace(OPTIONS, steps=30, batch_size=20)).losses
    assert len(losses) == 30 and losses[-1] < 0.9 * losses[0]


def test_cocoop_lowers_the_training_loss_and_shifts_each_pictures_prompts(
    model: ChineseClip, separable: FewShotTask
) -> None:
    options = replace(OPTIONS, steps=30, prompts_at_once=80)
    settings = cocoop(separable, model, NAMES, options).settings
    assert float(settings["last_loss"]) < 0.9 * float(settings["first_loss"])
    meta = MetaNet(24, 32, seed=0)
    rows = torch.from_numpy(separable.test_rows[:3])
    assert (meta(rows) == 0).all()
    torch.nn.init.ones_(meta.up.weight)
    assert not torch.equal(meta(rows)[0], meta(rows)[1])


@pytest.mark.parametrize("method", [coop, cocoop])
def test_learning_is_a_function_of_its_seed(
    model: ChineseClip, separable: FewShotTask, method: Callable[..., object]
) -> None:
    options = replace(OPTIONS, words="", context_tokens=2, steps=3)
    first, again = (method(separable, model, NAMES, options) for _ in range(2))
    other = method(replace(separable, seed=3), model, NAMES, options)
    assert first.settings == again.settings  # type: ignore[attr-defined]
    assert first.predictions.tolist() == again.predictions.tolist()  # type: ignore[attr-defined]
    assert first.settings != other.settings  # type: ignore[attr-defined]


def test_a_random_context_has_as_many_vectors_as_asked_for(model: ChineseClip) -> None:
    options = PromptOptions(words="", context_tokens=16)
    start = start_context(model, options, 1)
    assert start.shape == (16, 32) and 0.015 < float(start.std()) < 0.025
    with pytest.raises(RecipeError, match="at least one vector"):
        start_context(model, replace(options, context_tokens=0), 1)


def test_a_name_that_does_not_fit_behind_the_context_is_refused(model: ChineseClip) -> None:
    assert ClassPrompts(model, ["很" * 34], 16).count == 1
    with pytest.raises(SourceError, match="53 tokens"):
        ClassPrompts(model, ["猫", "很" * 35], 16)
    with pytest.raises(SourceError, match="no words"):
        word_context(model, "　")
