"""The names of all verbs, what each is for, and how to run it; a verb's own modules load when it is run."""

from __future__ import annotations

from collections.abc import Callable

Verb = Callable[[list[str]], int]


def _call(function: Callable[..., int], argv: list[str], name: str) -> int:
    from cnclip.config import parse_call

    return function(**parse_call(function, argv, prog=f"cnclip {name}"))


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


def _data_clean(argv: list[str]) -> int:
    from cnclip.commands.data_clean import clean

    return _call(clean, argv, "data clean")


def _data_filter(argv: list[str]) -> int:
    from cnclip.commands.data_filter import filter_pairs

    return _call(filter_pairs, argv, "data filter")


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
    from cnclip.commands.eval_retrieval import run_retrieval

    return run_retrieval(argv)


def _eval_zeroshot(argv: list[str]) -> int:
    from cnclip.commands.eval_zeroshot import zeroshot

    return _call(zeroshot, argv, "eval zeroshot")


def _eval_probe(argv: list[str]) -> int:
    from cnclip.commands.eval_probe import probe

    return _call(probe, argv, "eval probe")


def _eval_compare(argv: list[str]) -> int:
    from cnclip.commands.eval_compare import run_compare

    return run_compare(argv)


def _eval_leaderboard(argv: list[str]) -> int:
    from cnclip.commands.eval_compare import leaderboard

    return _call(leaderboard, argv, "eval leaderboard")


def _eval_benchmarks(argv: list[str]) -> int:
    from cnclip.commands.eval_reproduce import benchmarks

    return _call(benchmarks, argv, "eval benchmarks")


def _eval_reproduce(argv: list[str]) -> int:
    from cnclip.commands.eval_reproduce import reproduce

    return _call(reproduce, argv, "eval reproduce")


def _eval_robustness(argv: list[str]) -> int:
    from cnclip.commands.eval_robustness import run_robustness

    return run_robustness(argv)


def _eval_composition(argv: list[str]) -> int:
    from cnclip.commands.eval_robustness import run_composition

    return run_composition(argv)


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
    "data clean": ("captions rewritten by the rules you choose", _data_clean),
    "data filter": ("only pairs that a model finds well matched", _data_filter),
    "data export": ("a store -> cn_clip's files, LMDB, tar, Parquet …", _data_export),
    "train": ("a recipe -> a model", _train),
    "eval retrieval": ("recall@K both ways, table and page", _eval_retrieval),
    "eval zeroshot": ("classification by class names in Chinese", _eval_zeroshot),
    "eval probe": ("zero-shot against K labelled pictures per class", _eval_probe),
    "eval robustness": ("recall lost when captions are written differently", _eval_robustness),
    "eval composition": ("whether a caption false by one detail is noticed", _eval_composition),
    "eval compare": ("runs side by side, tested query by query", _eval_compare),
    "eval leaderboard": ("all results below a folder, best first", _eval_leaderboard),
    "eval benchmarks": ("benchmarks, and whether their data is here", _eval_benchmarks),
    "eval reproduce": ("published numbers, and ours beside them", _eval_reproduce),
    "model convert": ("weights in and out, with a parity check", _model_convert),
    "model show": ("what a checkpoint is", _model_show),
    "model diff": ("how far training moved each layer", _model_diff),
    "model list": ("official models and local checkpoints", _model_list),
    "model download": ("official weights, verified", _model_download),
    "model push": ("a checkpoint and its card to the hub", _model_push),
    "model export": ("ONNX graphs of both towers", _model_export),
    "quickstart": ("the whole road on the bundled emoji (in a clone)", _quickstart),
}
