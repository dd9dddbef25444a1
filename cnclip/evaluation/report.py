"""Results as tables, as Markdown, and as the content of `results.json`.

`results.json` of a retrieval run (recalls in percent, field names as in the MUGE benchmark's scoreJson):

    success        true; a run that fails leaves no such file and a non-zero exit code
    mean_recall    mean of both directions' mean_recall
    text_to_image  r1, r5, r10, mean_recall, score (= mean_recall), median_rank and mean_rank (1 is best),
                   mrr, map (over all correct items of a query), ndcg10,
                   queries (the denominator), unlabelled (queries without a correct item, left out),
                   gallery (items ranked per query),
                   chance {r1, r5, r10, mean_recall}: expected of a random order,
                   intervals {each number: [low, high]} of 95 % confidence, where they were asked for
    image_to_text  the same
    counts         images, texts, pairs, repeated_captions (word for word at another picture too)
    run            checkpoint {name, image_tower, text_tower: sha256 of the weights},
                   data {path, fingerprint}, preprocessing, precision, versions, seconds

of a classification run: success, top1, top5, mean_per_class, chance {top1, top5}, images, unlabelled,
empty_classes, classes [{name, images, top1}], templates, run (as above).
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from cnclip.evaluation.retrieval import DirectionResult, RetrievalResult
from cnclip.evaluation.statistics import Interval
from cnclip.evaluation.zeroshot import ZeroShotResult
from cnclip.tables import Table

DIRECTIONS = {"t2i": "文搜图 text→image", "i2t": "图搜文 image→text"}


def recall_table(results: Mapping[str, RetrievalResult], title: str = "Recall@K (%)") -> Table:
    """Chance and each model's recall, both directions, one row each.

    Args:
        results: model name -> result, all measured on the same data with the same Ks.
        title: one line above the table.
    """
    first = next(iter(results.values()))
    ks = list(first.t2i.recall)
    rows: list[list[str]] = []
    for direction, shown in DIRECTIONS.items():
        chance: DirectionResult = getattr(first, direction)
        rows.append(
            _recall_row(shown, "随机 chance", [*chance.chance.values(), chance.chance_mean_recall], "-")
        )
        for name, result in results.items():
            found: DirectionResult = getattr(result, direction)
            rank = f"{found.median_rank:g}"
            rows.append(_recall_row(shown, name, [*found.recall.values(), found.mean_recall], rank))
    left_out = first.t2i.unlabelled, first.i2t.unlabelled
    note = f"{first.t2i.queries} 条文本 texts, {first.i2t.queries} 张图片 images"
    if any(left_out):
        note += f"; 未标注、不计入 unlabelled, left out: {left_out[0]} texts, {left_out[1]} images"
    header = ["方向 direction", "模型 model", *[f"R@{k}" for k in ks], "MR", "中位名次 median rank"]
    return Table(title, header, rows, note)


def zeroshot_tables(result: ZeroShotResult, *, worst: int = 10) -> list[Table]:
    """The accuracies, and the classes with the lowest ones with what they are taken for."""
    summary = Table(
        "零样本分类 Zero-shot classification (%)",
        ["", "top-1", "top-5", "类平均 mean per class"],
        [
            ["随机 chance", _percent(result.chance()), _percent(result.chance(5)), _percent(result.chance())],
            ["模型 model", _percent(result.top1), _percent(result.top5), _percent(result.mean_per_class)],
        ],
        f"{result.images} 张图片 images, {len(result.classes)} 类 classes"
        + (f" ({result.empty_classes} 类没有图片 without images)" if result.empty_classes else ""),
    )
    measured = sorted((found for found in result.classes if found.images), key=lambda found: found.top1)
    rows = [
        [
            found.name,
            str(found.images),
            _percent(found.top1),
            "，".join(f"{name} {count}" for name, count in found.taken_for[:3]) or "-",
        ]
        for found in measured[:worst]
    ]
    header = ["类别 class", "图片 images", "top-1", "常被认作 taken for"]
    return [summary, Table("最难的类别 Hardest classes", header, rows)]


def direction_json(
    direction: DirectionResult, intervals: Mapping[str, Interval] | None = None
) -> dict[str, Any]:
    """One direction for `results.json`; the module's docstring lists the fields."""
    spans = {name: [round(span.low, 4), round(span.high, 4)] for name, span in (intervals or {}).items()}
    return {
        **{f"r{k}": round(value, 4) for k, value in direction.recall.items()},
        "mean_recall": round(direction.mean_recall, 4),
        "score": round(direction.mean_recall, 4),
        "median_rank": direction.median_rank,
        "mean_rank": round(direction.mean_rank, 4),
        "mrr": round(direction.mrr, 4),
        "map": round(direction.mean_average_precision, 4),
        "ndcg10": round(direction.ndcg, 4),
        "queries": direction.queries,
        "unlabelled": direction.unlabelled,
        "gallery": direction.gallery,
        "chance": {
            **{f"r{k}": round(value, 4) for k, value in direction.chance.items()},
            "mean_recall": round(direction.chance_mean_recall, 4),
        },
        **({"intervals": spans} if spans else {}),
    }


def retrieval_json(
    result: RetrievalResult,
    *,
    pairs: int,
    run: Mapping[str, Any],
    intervals: Mapping[str, Mapping[str, Interval]] | None = None,
) -> dict[str, Any]:
    """A retrieval run for `results.json`.

    Args:
        result: of both directions.
        pairs: correct pairs of the data.
        run: model, data, versions, times.
        intervals: "t2i" and "i2t" -> name of a number -> its interval.
    """
    spans = intervals or {}
    return {
        "success": True,
        "mean_recall": round(result.mean_recall, 4),
        "text_to_image": direction_json(result.t2i, spans.get("t2i")),
        "image_to_text": direction_json(result.i2t, spans.get("i2t")),
        "counts": {"images": result.t2i.gallery, "texts": result.i2t.gallery, "pairs": pairs},
        "run": dict(run),
    }


def zeroshot_json(
    result: ZeroShotResult, *, run: Mapping[str, Any], unlabelled: int = 0, templates: Sequence[str] = ()
) -> dict[str, Any]:
    """A classification run for `results.json`.

    Args:
        result: the accuracies.
        run: model, data, versions, times.
        unlabelled: pictures left out because nothing says what they show.
        templates: the prompts' sentences.
    """
    return {
        "success": True,
        "top1": round(result.top1, 4),
        "top5": round(result.top5, 4),
        "mean_per_class": round(result.mean_per_class, 4),
        "chance": {"top1": round(result.chance(), 4), "top5": round(result.chance(5), 4)},
        "images": result.images,
        "unlabelled": unlabelled,
        "empty_classes": result.empty_classes,
        "classes": [
            {"name": found.name, "images": found.images, "top1": round(found.top1, 4)}
            for found in result.classes
        ],
        "templates": list(templates),
        "run": dict(run),
    }


def versions() -> dict[str, str]:
    """The versions that can change a number."""
    from cnclip import __version__

    return {
        "cnclip": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }


def _recall_row(direction: str, model: str, values: Sequence[float], rank: str) -> list[str]:
    return [direction, model, *[_percent(value) for value in values], rank]


def _percent(value: float) -> str:
    return f"{value:.1f}"
