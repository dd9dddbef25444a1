"""Submission files of the ELEVATER toolkit: one JSON per data set, and the archive of all of them.

FOLDER/cifar-100.json           model_name, dataset_name, num_trainable_params, num_params,
                                num_visual_params, num_backbone_params, n_shot, rnd_seeds,
                                predictions [1, N, C]: softmax(100 * cosine), six decimals
FOLDER/all_predictions.zip      all_predictions.json: {"data": [the content of each file]}
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from cnclip.artifacts import atomic_file
from cnclip.errors import SourceError
from cnclip.evaluation.calibration import FIXED_SCALE, log_probabilities
from cnclip.evaluation.elevater import ELEVATER
from cnclip.evaluation.rows import Indices, Rows
from cnclip.model import ChineseClip, ClipArchitecture

ARCHIVE = "all_predictions.zip"
_SEED = 123
_FIRST_DATE = (1980, 1, 1, 0, 0, 0)  # of a zip archive: equal content gives equal bytes


@dataclass(frozen=True)
class ParameterCounts:
    """Sizes of a model that a submission states."""

    num_trainable_params: int
    num_params: int
    num_visual_params: int
    num_backbone_params: int


def parameter_counts(architecture: ClipArchitecture) -> ParameterCounts:
    """Count without making the weights; nothing is trained in zero-shot classification."""
    with torch.device("meta"):
        model = ChineseClip(architecture)
    whole = sum(parameter.numel() for parameter in model.parameters())
    visual = sum(parameter.numel() for parameter in model.visual.parameters())
    return ParameterCounts(0, whole, visual, whole)


def read_index(path: Path, items: int) -> Indices:
    """The order in which a submission wants the predictions: prediction j is of our picture index[j].

    Args:
        path: a JSON list of whole numbers.
        items: pictures there are.

    Raises:
        SourceError: not such a list, or not each picture exactly once.
    """
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot read the index: {error}", where=str(path)) from None
    if not isinstance(given, list) or not all(type(number) is int for number in given):
        raise SourceError("the index is not a list of whole numbers", where=str(path))
    if sorted(given) != list(range(items)):
        raise SourceError(
            f"the index has {len(given)} numbers, not each of 0 to {items - 1} once",
            where=str(path),
            fix="take the index of this data set and split",
        )
    return np.array(given, dtype=np.int64)


def write_submission(
    folder: Path,
    dataset: str,
    cosines: Rows,
    *,
    model_name: str,
    counts: ParameterCounts,
    index: Indices | None = None,
) -> Path:
    """Write a data set's file, and the archive of all files of data sets that lie in the folder.

    Args:
        folder: made where it does not exist.
        dataset: its ELEVATER name.
        cosines: float32 [N, C].
        model_name: as it shall be listed.
        counts: the model's sizes.
        index: int64 [N], see read_index; None keeps the order.

    Raises:
        ResourceError: disk full or no permission.
        SourceError: another file of the folder is not a submission.
    """
    folder.mkdir(parents=True, exist_ok=True)
    head = {
        "model_name": model_name,
        "dataset_name": dataset,
        **asdict(counts),
        "n_shot": 0,
        "rnd_seeds": [_SEED],
    }
    ordered = cosines if index is None else cosines[index]
    path = folder / f"{dataset}.json"
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "predictions": [[')
        file.writelines(_rows(ordered))
        file.write("]]}")
    merge_submissions(folder)
    return path


def merge_submissions(folder: Path) -> Path:
    """Write all_predictions.zip from the files of ELEVATER data sets in a folder, in the table's order.

    Raises:
        SourceError: a file is not a submission of its data set.
        ResourceError: disk full or no permission.
    """
    with (
        atomic_file(folder / ARCHIVE) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        entry = zipfile.ZipInfo(ARCHIVE.replace(".zip", ".json"), _FIRST_DATE)
        entry.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(entry, "w", force_zip64=True) as file:
            file.write(b'{"data": [')
            for place, content in enumerate(_submissions(folder)):
                file.write(b", " * bool(place) + content)
            file.write(b"]}")
    return folder / ARCHIVE


def _submissions(folder: Path) -> Iterator[bytes]:
    for name in ELEVATER:
        path = folder / f"{name}.json"
        if not path.is_file():
            continue
        content = path.read_bytes()
        try:
            found = json.loads(content)["dataset_name"]
        except (ValueError, KeyError, TypeError):
            found = None
        if found != name:
            raise SourceError("not a submission of its data set", where=str(path), fix="remove the file")
        yield content


def _rows(cosines: Rows) -> Iterator[str]:
    """Probabilities as JSON, one picture after the other."""
    for place, row in enumerate(cosines):
        probabilities = np.exp(log_probabilities(row[None], FIXED_SCALE))[0]
        yield (", " if place else "") + json.dumps([round(float(value), 6) for value in probabilities])
