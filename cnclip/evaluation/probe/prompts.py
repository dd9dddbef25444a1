"""Prompt learning: CoOp's context vectors, and CoCoOp's shift of them by what is on the picture.

CoOp: Zhou et al. 2022, Learning to prompt for vision-language models (IJCV): one context for all classes, the
class name at its end, cross-entropy over the shots, SGD with momentum 0.9 and weight decay 5e-4, rate 0.002
with a cosine after a first epoch at 1e-5. CoCoOp: Zhou et al. 2022, Conditional prompt learning for
vision-language models (CVPR): a network of two layers with a bottleneck of D / 16 turns a picture's embedding
into one shift of all context vectors.

Both here start from words, so that without a step they are the prompt of those words: the last layer of
CoCoOp's network starts at zero. Pictures are embeddings, so a step takes many of them at the price of one,
and lengths are counted in steps, not in epochs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnclip.errors import RecipeError
from cnclip.evaluation.probe.prompt_tower import RECOMPUTE_ABOVE, ClassPrompts, frozen, word_context
from cnclip.evaluation.probe.task import Answer, FewShotTask, LabelledSet
from cnclip.model import ChineseClip

WORDS = "一张照片，里面是"
WARM_UP_RATE = 1e-5
WARM_UP_SHARE = 0.02  # one epoch of 50
MOMENTUM, WEIGHT_DECAY = 0.9, 5e-4
BOTTLENECK = 16
RANDOM_STD = 0.02


@dataclass(frozen=True)
class PromptOptions:
    """How a context is learned.

    Attributes:
        words: what it starts from; "" starts from N(0, 0.02²).
        context_tokens: M of a random start; words have as many vectors as tokens.
        steps: optimizer steps.
        batch_size: pictures per step of CoOp.
        learning_rate: after the warm-up; falls to 0 by a cosine.
        prompts_at_once: class prompts per forward pass of CoCoOp; a step takes as many pictures as fit.
    """

    words: str = WORDS
    context_tokens: int = 16
    steps: int = 200
    batch_size: int = 1024
    learning_rate: float = 0.002
    prompts_at_once: int = 512


@dataclass(frozen=True)
class LearnedContext:
    """What CoOp found.

    Attributes:
        context: float [M, H].
        losses: cross-entropy of each step's pictures, before the step.
    """

    context: Tensor
    losses: list[float]


class MetaNet(nn.Module):
    """Embedding [B, D] -> one shift of the context vectors [B, H]; zero at its start."""

    def __init__(self, embed_dim: int, width: int, *, seed: int) -> None:
        super().__init__()
        inner = max(1, embed_dim // BOTTLENECK)
        self.down = nn.Linear(embed_dim, inner)
        self.up = nn.Linear(inner, width)
        generator = torch.Generator().manual_seed(seed)
        nn.init.normal_(self.down.weight, std=embed_dim**-0.5, generator=generator)
        nn.init.zeros_(self.down.bias)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, rows: Tensor) -> Tensor:
        """Float [B, D] -> [B, H]."""
        shift: Tensor = self.up(F.relu(self.down(rows)))
        return shift


def start_context(model: ChineseClip, options: PromptOptions, seed: int) -> Tensor:
    """The vectors before the first step: float [M, H] on the model's device.

    Raises:
        RecipeError: a random start without vectors.
    """
    if options.words:
        return word_context(model, options.words)
    if options.context_tokens < 1:
        raise RecipeError("a context needs at least one vector", fix="context_tokens=4")
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(options.context_tokens, model.text_projection.shape[0], generator=generator)
    return (RANDOM_STD * start).to(model.text_projection.device)


def learn_context(
    model: ChineseClip, names: list[str], train: LabelledSet, seed: int, options: PromptOptions
) -> LearnedContext:
    """CoOp: train the context vectors; the model stays as it is.

    Args:
        model: not packed for inference.
        names: C class names.
        train: the shots.
        seed: of the order of pictures, and of a random start.
        options: how.
    """
    context = start_context(model, options, seed).requires_grad_(True)
    prompts = ClassPrompts(model, names, len(context))
    rows, labels = _tensors(train, model)
    losses = []
    with frozen(model, recompute=prompts.kept_floats(1) > RECOMPUTE_ABOVE):
        scale = model.logit_scale.exp()
        optimizer = _sgd([context], options)
        for step, batch in enumerate(_batches(len(rows), options.batch_size, options.steps, seed)):
            _set_rate(optimizer, step, options)
            logits = scale * rows[batch] @ prompts.encode(context[None])[0].T  # [B, C]
            losses.append(_step(optimizer, F.cross_entropy(logits, labels[batch])))
    return LearnedContext(context.detach(), losses)


def coop(task: FewShotTask, model: ChineseClip, names: list[str], options: PromptOptions) -> Answer:
    """Learn the context, encode the classes once, answer."""
    learned = learn_context(model, names, task.learnable, task.seed, options)
    prompts = ClassPrompts(model, names, len(learned.context))
    with torch.no_grad(), frozen(model):
        classifier = prompts.encode(learned.context[None])[0].cpu().numpy()
    predictions = (task.test_rows @ classifier.T).argmax(axis=1)
    return Answer(predictions, _account(learned.losses, prompts))


def cocoop(task: FewShotTask, model: ChineseClip, names: list[str], options: PromptOptions) -> Answer:
    """CoCoOp: learn context and shift, then encode all classes anew for every test picture."""
    context = start_context(model, options, task.seed).requires_grad_(True)
    prompts = ClassPrompts(model, names, len(context))
    rows, labels = _tensors(task.learnable, model)
    meta = MetaNet(rows.shape[1], prompts.width, seed=task.seed).to(rows.device)
    pictures = max(1, options.prompts_at_once // prompts.count)
    scale = model.logit_scale.exp().detach()
    losses = []

    def logits_of(images: Tensor) -> Tensor:
        classes = prompts.encode(context + meta(images)[:, None])  # [B, C, D]
        return scale * torch.einsum("bd,bcd->bc", images, classes)

    with frozen(model, recompute=prompts.kept_floats(pictures) > RECOMPUTE_ABOVE):
        optimizer = _sgd([context, *meta.parameters()], options)
        for step, batch in enumerate(_batches(len(rows), pictures, options.steps, task.seed)):
            _set_rate(optimizer, step, options)
            losses.append(_step(optimizer, F.cross_entropy(logits_of(rows[batch]), labels[batch])))
        with torch.no_grad():
            test = torch.as_tensor(task.test_rows, device=rows.device)
            found = [logits_of(block).argmax(dim=1) for block in torch.split(test, pictures)]
    return Answer(torch.cat(found).cpu().numpy(), _account(losses, prompts))


def _account(losses: list[float], prompts: ClassPrompts) -> dict[str, float | int | str]:
    facts: dict[str, float | int | str] = {"steps": len(losses), "context_tokens": prompts.context_tokens}
    if losses:
        facts |= {"first_loss": losses[0], "last_loss": losses[-1]}
    return facts


def _tensors(train: LabelledSet, model: ChineseClip) -> tuple[Tensor, Tensor]:
    device = model.text_projection.device
    return torch.as_tensor(train.rows, device=device), torch.as_tensor(train.labels, device=device)


def _batches(count: int, batch_size: int, steps: int, seed: int) -> Iterator[Tensor]:
    """`steps` batches of places; each picture once before any comes again."""
    generator = torch.Generator().manual_seed(seed)
    size = min(batch_size, count)
    waiting = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        if len(waiting) < size:
            waiting = torch.cat([waiting, torch.randperm(count, generator=generator)])
        yield waiting[:size]
        waiting = waiting[size:]


def _sgd(parameters: list[Tensor], options: PromptOptions) -> torch.optim.SGD:
    return torch.optim.SGD(parameters, lr=options.learning_rate, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)


def _set_rate(optimizer: torch.optim.SGD, step: int, options: PromptOptions) -> None:
    warm_up = math.ceil(WARM_UP_SHARE * options.steps)
    rate = WARM_UP_RATE
    if step >= warm_up:
        progress = (step - warm_up) / max(1, options.steps - warm_up)
        rate = options.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
    for group in optimizer.param_groups:
        group["lr"] = rate


def _step(optimizer: torch.optim.SGD, loss: Tensor) -> float:
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    optimizer.step()
    return float(loss.detach())
