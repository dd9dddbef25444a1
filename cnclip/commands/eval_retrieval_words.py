"""The words of `cnclip eval retrieval`: models and data by place or by name, lists, and what they mean."""

from __future__ import annotations

import inspect
import json
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cnclip.commands.eval_retrieval_run import InsightOptions, Protocol
from cnclip.errors import RecipeError, did_you_mean
from cnclip.evaluation.cn_clip_files import KS
from cnclip.evaluation.corrections import CORRECTIONS
from cnclip.stores.layout import HEADER_NAME

REPEATED = ("--seen", "--corrections")


def placed_words(argv: list[str]) -> list[str]:
    """A command line with the models as its first word, the data as its second, and options.

    Args:
        argv: words, or --model, once for each, and --data; --seen and --corrections may be repeated.

    Raises:
        RecipeError: an option without its value, no model, no store, or two stores.
    """
    models: list[str] = []
    data: list[str] = []
    words: list[str] = []
    options: list[str] = []
    repeated: dict[str, list[str]] = {}
    rest = iter(argv)
    for word in rest:
        if not word.startswith("-"):
            words.append(word)
            continue
        name, equals, value = word.partition("=")
        if word not in ("-h", "--help") and not equals:
            following = next(rest, None)
            if following is None:
                raise RecipeError(f"{name} needs a value", fix="cnclip eval retrieval --help")
            value = following
        if name in ("--model", "--data"):
            (models if name == "--model" else data).append(value)
        elif name in REPEATED:
            repeated.setdefault(name, []).append(value)
        else:
            options += [word] if equals or word in ("-h", "--help") else [word, value]
    options += [word for name, values in repeated.items() for word in (name, ",".join(values))]
    if words and not data and (models or len(words) > 1 or _is_store(words[0])):
        data = [words.pop()]
    models += words
    if len(data) > 1:
        raise RecipeError(f"--data {data[1]}: one store at a time", fix="one command for each store")
    if not {"-h", "--help"} & {*options}:
        _refuse_too_few(models, data)
    placed = [json.dumps(models, ensure_ascii=False)] if models else []
    return [*placed, *data, *options]


def _refuse_too_few(models: list[str], data: list[str]) -> None:
    """Say which of the two is missing."""
    fix = "cnclip eval retrieval MODEL STORE"
    if not models and not data:
        raise RecipeError("no model and no store", fix=fix)
    if not data:
        raise RecipeError(f"no store to measure {', '.join(models)} on", fix=fix)
    if not models:
        raise RecipeError(f"no model to measure on {data[0]}", fix=fix)


def _is_store(word: str) -> bool:
    """Whether a word that stands alone is the store, not the model."""
    return (Path(word) / HEADER_NAME).is_file()


def model_labels(models: list[str]) -> dict[str, str]:
    """A short name for each model: the last part of its path, or all of it where two end alike.

    Raises:
        RecipeError: no model, or one twice.
    """
    if not models:
        raise RecipeError("no model", fix="cnclip eval retrieval MODEL STORE")
    for place, name in enumerate(models):
        if name in models[:place]:
            raise RecipeError(f"--model {name} stands twice", fix="remove one")
    short = [Path(name).name for name in models]  # "" of ".", ".." of "..": neither names a folder
    short = [
        Path(name).resolve().name if last in ("", "..") else last
        for name, last in zip(models, short, strict=True)
    ]
    return {
        short[place] if short.count(short[place]) == 1 else name: name for place, name in enumerate(models)
    }


def recall_depths(text: str, protocol: Protocol) -> tuple[int, ...]:
    """The Ks of recall@K, ascending.

    Raises:
        RecipeError: no list of numbers from 1 on, or not those that a protocol counts at.
    """
    try:
        ks = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        ks = ()
    if not ks or ks[0] < 1:
        raise RecipeError(f"--k {text} is no list of numbers from 1 on", fix="--k 1,5,10")
    if protocol == "cn_clip" and ks != KS:
        raise RecipeError(f"--k {text}: cn_clip counts at 1, 5 and 10", fix="leave out --k")
    return ks


def insight_options(values: Mapping[str, Any]) -> InsightOptions:
    """What is said beyond the numbers; nothing where no report is written.

    Raises:
        RecipeError: an unknown correction, or one that lacks its bank or its report.
    """
    asked = _parted(values["corrections"])
    output, bank = values["output"], values["bank"]
    for name in asked:
        if name not in CORRECTIONS:
            hint = did_you_mean(name, CORRECTIONS)
            known = ", ".join(CORRECTIONS)
            raise RecipeError(f"--corrections {name}: there is no such", fix=f"{hint}choose of {known}")
    corrections = tuple(name for name in CORRECTIONS if name in asked)
    if bank is not None and not corrections:
        raise RecipeError("--bank is for corrections of scores", fix=f"--corrections {','.join(CORRECTIONS)}")
    if corrections and output is None:
        raise RecipeError("--corrections are told of in the report", fix="--output FOLDER")
    if values["seen"] is not None and output is None:
        raise RecipeError("--seen is told of in the report", fix="--output FOLDER")
    if "qb_norm" in corrections and bank is None:
        raise RecipeError(
            "qb_norm needs captions that are not of the test set",
            fix="--bank STORE, such as the training store",
        )
    return InsightOptions(
        wanted=values["insight"] and output is not None,
        seen=tuple(map(Path, _parted(values["seen"]))),
        corrections=corrections,
        bank=bank,
    )


def command_line(function: Callable[..., int], values: Mapping[str, Any]) -> str:
    """The command line that makes the same report again."""
    words = ["cnclip", "eval", "retrieval"]
    words += [word for model in values["models"] for word in ("--model", model)]
    words += ["--data", str(values["data"])]
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY and values[name] != parameter.default:
            words += [f"--{name.replace('_', '-')}", str(values[name])]
    return shlex.join(words)


def _parted(words: str | None) -> tuple[str, ...]:
    if words is None:
        return ()
    return tuple(dict.fromkeys(word.strip() for word in words.replace("，", ",").split(",") if word.strip()))
