"""The few-shot methods by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from cnclip.errors import UnknownNameError
from cnclip.evaluation.probe.linear import linear_probe
from cnclip.evaluation.probe.neighbours import nearest_neighbours
from cnclip.evaluation.probe.prompts import PromptOptions, cocoop, coop
from cnclip.evaluation.probe.prototypes import nearest_prototype
from cnclip.evaluation.probe.task import Answer, FewShotTask, TextSide
from cnclip.evaluation.probe.tip_adapter import TipTraining, tip_adapter, tip_adapter_f
from cnclip.model import ChineseClip

Name = Literal["linear", "knn", "prototype", "tip", "tip-f", "coop", "cocoop"]
Method = Callable[[FewShotTask], Answer]
NAMES: tuple[Name, ...] = get_args(Name)
FAST: tuple[Name, ...] = ("linear", "knn", "prototype", "tip", "tip-f")
PROMPT_METHODS: tuple[Name, ...] = ("coop", "cocoop")
TITLES: dict[Name, str] = {
    "linear": "线性探针 linear probe",
    "knn": "近邻 kNN",
    "prototype": "类原型 prototypes",
    "tip": "Tip-Adapter",
    "tip-f": "Tip-Adapter-F",
    "coop": "CoOp",
    "cocoop": "CoCoOp",
}


@dataclass(frozen=True)
class TextTower:
    """What the methods that use text need.

    Attributes:
        names: C class names.
        side: the zero-shot classifier and the logit scale.
        model: for prompt learning, not packed for inference; None where no such method is asked for.
        prompts: how contexts are learned.
        tip: how the keys of Tip-Adapter-F are trained.
    """

    names: list[str]
    side: TextSide
    model: ChineseClip | None = None
    prompts: PromptOptions = field(default_factory=PromptOptions)
    tip: TipTraining = field(default_factory=TipTraining)


def method_names(words: Sequence[str]) -> list[Name]:
    """Checked names, each once, in the order of `NAMES`.

    Raises:
        UnknownNameError: no such method, or none at all.
    """
    foreign = [word for word in words if word not in NAMES]
    if foreign or not words:
        raise UnknownNameError(
            f"no method {', '.join(foreign) or 'named'}", fix=f"one or more of: {','.join(NAMES)}"
        )
    return [name for name in NAMES if name in words]


def method_functions(names: Sequence[Name], text: TextTower) -> dict[Name, Method]:
    """Name -> what answers a task, with the text side bound to it."""

    def model() -> ChineseClip:
        assert text.model is not None, "prompt learning needs the model"
        return text.model

    functions: dict[Name, Method] = {
        "linear": linear_probe,
        "knn": nearest_neighbours,
        "prototype": nearest_prototype,
        "tip": lambda task: tip_adapter(task, text.side),
        "tip-f": lambda task: tip_adapter_f(task, text.side, text.tip),
        "coop": lambda task: coop(task, model(), text.names, text.prompts),
        "cocoop": lambda task: cocoop(task, model(), text.names, text.prompts),
    }
    return {name: functions[name] for name in names}
