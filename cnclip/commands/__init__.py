"""The verbs of `cnclip VERB …`: each is one typed function; here are their names, errors and exit codes.

Exit codes: 0 done · 1 training met a value that is not finite · 2 wrong usage · 3 bad input · 4 damaged
store or checkpoint · 5 disk, memory, permission ·
7 another process failed · 8 refused for safety · 75 interrupted, the same command goes on.
"""

from __future__ import annotations

import difflib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from cnclip import __version__
from cnclip.errors import CnclipError, UnknownNameError

Verb = Callable[[list[str]], int]


def _data_build(argv: list[str]) -> int:
    from cnclip.commands.data import build

    return _call(build, argv, "data build")


def _data_stats(argv: list[str]) -> int:
    from cnclip.commands.data import stats

    return _call(stats, argv, "data stats")


def _data_show(argv: list[str]) -> int:
    from cnclip.commands.data import show

    return _call(show, argv, "data show")


def _data_peek(argv: list[str]) -> int:
    from cnclip.commands.data_peek import peek

    return _call(peek, argv, "data peek")


def _data_check(argv: list[str]) -> int:
    from cnclip.commands.data_check import run_check

    return run_check(argv)


def _data_subset(argv: list[str]) -> int:
    from cnclip.commands.data_derive import subset

    return _call(subset, argv, "data subset")


def _data_split(argv: list[str]) -> int:
    from cnclip.commands.data_parts import split

    return _call(split, argv, "data split")


def _data_dedup(argv: list[str]) -> int:
    from cnclip.commands.data_parts import dedup

    return _call(dedup, argv, "data dedup")


def _data_export(argv: list[str]) -> int:
    from cnclip.commands.data_export import export

    return _call(export, argv, "data export")


def _data_merge(argv: list[str]) -> int:
    from cnclip.commands.data_derive import run_merge

    return run_merge(argv)


def _train(argv: list[str]) -> int:
    from cnclip.commands.train import train
    from cnclip.config import TrainRecipe, read_recipe

    return train(read_recipe(TrainRecipe, argv or ["--help"]))


def _eval_retrieval(argv: list[str]) -> int:
    from cnclip.commands.evaluate import retrieval

    return _call(retrieval, argv, "eval retrieval")


def _eval_zeroshot(argv: list[str]) -> int:
    from cnclip.commands.evaluate import zeroshot

    return _call(zeroshot, argv, "eval zeroshot")


def _model_convert(argv: list[str]) -> int:
    from cnclip.commands.model_convert import convert

    return _call(convert, argv, "model convert")


def _model_show(argv: list[str]) -> int:
    from cnclip.commands.model import show

    return _call(show, argv, "model show")


def _model_diff(argv: list[str]) -> int:
    from cnclip.commands.model import diff

    return _call(diff, argv, "model diff")


def _model_list(argv: list[str]) -> int:
    from cnclip.commands.model import list_models

    return _call(list_models, argv, "model list")


def _model_download(argv: list[str]) -> int:
    from cnclip.commands.model_hub import download

    return _call(download, argv, "model download")


def _model_push(argv: list[str]) -> int:
    from cnclip.commands.model_hub import push

    return _call(push, argv, "model push")


def _model_export(argv: list[str]) -> int:
    from cnclip.commands.export import export

    return _call(export, argv, "model export")


def _quickstart(argv: list[str]) -> int:
    from cnclip.commands.quickstart import quickstart

    return _call(quickstart, argv, "quickstart")


VERBS: dict[str, tuple[str, Verb]] = {
    "data peek": ("what a source is, and its first pairs", _data_peek),
    "data build": ("pictures and captions -> a store", _data_build),
    "data stats": ("what a store holds", _data_stats),
    "data show": ("one picture of a store and its captions", _data_show),
    "data check": ("what will go wrong in training, before it starts", _data_check),
    "data subset": ("some pictures and captions of a store", _data_subset),
    "data split": ("train, valid and test without leaks", _data_split),
    "data merge": ("several stores -> one", _data_merge),
    "data dedup": ("each picture once; captions move to it", _data_dedup),
    "data export": ("a store -> cn_clip's files, LMDB, tar, Parquet …", _data_export),
    "train": ("a recipe -> a model", _train),
    "eval retrieval": ("recall@K both ways, table and page", _eval_retrieval),
    "eval zeroshot": ("classification by class names in Chinese", _eval_zeroshot),
    "model convert": ("weights in and out, with a parity check", _model_convert),
    "model show": ("what a checkpoint is", _model_show),
    "model diff": ("how far training moved each layer", _model_diff),
    "model list": ("official models and local checkpoints", _model_list),
    "model download": ("official weights, verified", _model_download),
    "model push": ("a checkpoint and its card to the hub", _model_push),
    "model export": ("ONNX graphs of both towers", _model_export),
    "quickstart": ("the whole road on the bundled emoji (in a clone)", _quickstart),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code; errors are printed, not raised, unless `--debug` is given."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        if words == ["--version"]:
            print(f"cnclip {__version__}")
            return 0
        name, verb, rest = _find(words)
        if verb is None:
            print(_usage(name))
            return 0
        return verb(rest)
    except CnclipError as error:
        if debug:
            traceback.print_exc()
        print(f"{_rank_prefix()}error[{error.code}]: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # `cnclip … | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        if debug:
            raise
        print("interrupted; the same command goes on where it can", file=sys.stderr)
        return 75


def run(argv: Sequence[str] | None = None) -> NoReturn:
    """Entry point of the installed program."""
    code = main(argv)
    if os.environ.get("WORLD_SIZE", "1") != "1":
        # Everything is written and closed. What is left is the teardown of gloo's threads, which was seen to
        # abort the process now and then: the launcher would call a finished run a failure.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code)


def _find(words: list[str]) -> tuple[str, Verb | None, list[str]]:
    if not words or words[0] in {"-h", "--help", "help"}:
        return "", None, []
    for length in (2, 1):
        name = " ".join(words[:length])
        if len(words) >= length and name in VERBS:
            return name, VERBS[name][1], words[length:]
    group = [name for name in VERBS if name.startswith(words[0] + " ")]
    if group and (len(words) == 1 or words[1] in {"-h", "--help"}):
        return words[0], None, []
    wanted = " ".join(words[:2])
    near = difflib.get_close_matches(wanted, group or VERBS, n=1) if len(words) > 1 else []
    hint = f"did you mean {near[0]}?" if near else f"one of: {', '.join(group or VERBS)}"
    raise UnknownNameError(f"no verb {wanted if group else words[0]!r}", fix=hint)


def _usage(group: str) -> str:
    lines = [f"cnclip {__version__}: train, fine-tune, measure and use Chinese CLIP models", "", "usage:"]
    for name, (purpose, _) in VERBS.items():
        if name.startswith(group):
            lines.append(f"  cnclip {name:<16} {purpose}")
    lines += ["", "cnclip VERB --help explains a verb; --debug shows the traceback of an error"]
    return "\n".join(lines)


def _call(function: Callable[..., int], argv: list[str], name: str) -> int:
    from cnclip.config import parse_call

    return function(**parse_call(function, argv, prog=f"cnclip {name}"))


def _rank_prefix() -> str:
    rank = os.environ.get("RANK", "0")
    return "" if os.environ.get("WORLD_SIZE", "1") == "1" else f"[process {rank}] "
