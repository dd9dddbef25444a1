"""Retrieval by Chinese-CLIP's procedure: features as JSON lines, a Python sort for each query, two counts.

Three programs that hand each other files, written anew from the formats: features are written line by line;
for each query of a file all gallery scores become (id, score) tuples that Python sorts; the predictions are
read again with the reference file and counted. It is done twice, once for each direction. Ids are integers,
as the original asks for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

Rows = npt.NDArray[np.float32]
TOP = 10
WRITE_BATCH = 64  # rows of a batch of the encoder
SCORE_BATCH = 32768  # gallery rows that are scored at once


@dataclass(frozen=True)
class Side:
    """How one side is called in the files: `image_id` of an image, `image_ids` of a text's images."""

    one: str
    many: str


IMAGE, TEXT = Side("image_id", "image_ids"), Side("text_id", "text_ids")


def write_features(path: Path, side: Side, ids: Sequence[int], rows: Rows) -> None:
    """One JSON line for each row: {"image_id": 7, "feature": [...]}.

    Args:
        path: of the file.
        side: whose ids they are.
        ids: N of them.
        rows: float32 [N, D], as the encoder gives them, batch by batch.
    """
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, len(ids), WRITE_BATCH):
            batch = rows[start : start + WRITE_BATCH].tolist()
            for name, feature in zip(ids[start : start + WRITE_BATCH], batch, strict=True):
                file.write(json.dumps({side.one: name, "feature": feature}) + "\n")


def predict(queries: tuple[Path, Side], gallery: tuple[Path, Side], output: Path) -> None:
    """The ten best gallery items of each query, a JSON line for each: {"text_id": 1, "image_ids": [...]}."""
    ids, features = [], []
    with gallery[0].open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            ids.append(row[gallery[1].one])
            features.append(row["feature"])
    rows = np.array(features, dtype=np.float32)
    del features
    with queries[0].open(encoding="utf-8") as lines, output.open("w", encoding="utf-8") as file:
        for line in lines:
            query = json.loads(line)
            feature = torch.tensor([query["feature"]], dtype=torch.float32)
            scored: list[tuple[int, float]] = []
            for start in range(0, len(ids), SCORE_BATCH):
                batch = torch.from_numpy(rows[start : start + SCORE_BATCH])
                scores = (feature @ batch.T)[0].tolist()
                scored.extend(zip(ids[start : start + SCORE_BATCH], scores, strict=True))
            best = sorted(scored, key=lambda pair: pair[1], reverse=True)[:TOP]
            answer = {queries[1].one: query[queries[1].one], gallery[1].many: [name for name, _ in best]}
            file.write(json.dumps(answer) + "\n")


def evaluate(reference: Path, predictions: Path, query: Side, gallery: Side) -> dict[str, float]:
    """R@1, R@5 and R@10 in percent: a query is right if any of its items is among the first K."""
    wanted = _lists(reference, query.one, gallery.many)
    found = _lists(predictions, query.one, gallery.many)
    recall = {}
    for k in (1, 5, 10):
        right = sum(any(item in found[name][:k] for item in items) for name, items in wanted.items())
        recall[f"r{k}"] = 100 * right / len(wanted)
    return recall


def write_reference(path: Path, query: Side, gallery: Side, items: Sequence[Sequence[int]]) -> None:
    """The reference file: query n and its correct items."""
    with path.open("w", encoding="utf-8") as file:
        for name, right in enumerate(items):
            file.write(json.dumps({query.one: name, gallery.many: list(right)}) + "\n")


def _lists(path: Path, key: str, values: str) -> dict[int, list[int]]:
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return {row[key]: row[values] for row in rows}
