"""Zero-shot classification: names in sentences -> one row per class -> the nearest class of each picture.

The classifier is the mean of a class's unit-length prompt embeddings, brought to unit length again (CLIP,
section 3.1.4: prompt ensembling over embeddings). Ties count against the model, as in retrieval: classes that
share a name share a row, so none of their pictures counts as recognised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cnclip.errors import SourceError
from cnclip.evaluation.embed import embed_texts
from cnclip.evaluation.rows import GRID, Indices, Rows, Scores, check_rows, on_grid
from cnclip.model import ChineseClip


@dataclass(frozen=True)
class ClassResult:
    """One class.

    Attributes:
        name: as in the class-name file.
        images: its pictures.
        top1: share of them recognised, percent.
        taken_for: (other class, pictures), the most frequent first.
    """

    name: str
    images: int
    top1: float
    taken_for: list[tuple[str, int]]


@dataclass(frozen=True)
class ZeroShotResult:
    """Accuracies in percent.

    Attributes:
        top1: share of pictures whose class scores highest.
        top5: share of pictures whose class is among the five highest.
        mean_per_class: mean of the classes' top-1, classes without pictures left out.
        images: pictures measured.
        classes: one result per class, in file order.
        confusion: int64 [C, C]; row = true class, column = predicted class, values = pictures.
        ranks: int64 [images], place of the true class, 1 is best; a tie puts it last among its equals.
        predicted: int64 [images], the class of each picture; the best rival where the true class is not alone
            at the top.
    """

    top1: float
    top5: float
    mean_per_class: float
    images: int
    classes: list[ClassResult]
    confusion: Indices
    ranks: Indices = field(repr=False)
    predicted: Indices = field(repr=False)

    @property
    def empty_classes(self) -> int:
        """Classes without pictures."""
        return sum(not result.images for result in self.classes)

    def chance(self, k: int = 1) -> float:
        """Top-k accuracy of guessing, percent."""
        return 100 * min(k, len(self.classes)) / len(self.classes)


def build_classifier(
    model: ChineseClip,
    class_names: Sequence[str],
    templates: Sequence[str],
    *,
    batch_size: int = 256,
    progress: str | None = "prompts",
) -> Rows:
    """One unit row per class, float32 [C, D]; see prompt_rows and ensemble."""
    return ensemble(prompt_rows(model, class_names, templates, batch_size=batch_size, progress=progress))


def prompt_rows(
    model: ChineseClip,
    class_names: Sequence[str],
    templates: Sequence[str],
    *,
    batch_size: int = 256,
    progress: str | None = "prompts",
) -> Rows:
    """The unit row of every class in every sentence, float32 [C, P, D].

    Args:
        model: on any device, in any mode.
        class_names: C names.
        templates: P sentences with `{}`; a sentence that stands twice counts twice.
        batch_size: prompts per forward pass.
        progress: label of the progress bar; None shows none.

    Raises:
        SourceError: no names or no templates.
    """
    if not class_names or not templates:
        raise SourceError("a classifier needs class names and templates")
    prompts = [template.replace("{}", name) for name in class_names for template in templates]
    rows = embed_texts(model, prompts, batch_size=batch_size, progress=progress).rows
    return rows.reshape(len(class_names), len(templates), -1)


def ensemble(prompts: Rows, weights: Scores | None = None) -> Rows:
    """Mean over the sentences, brought to unit length: float32 [C, D].

    Args:
        prompts: float32 [C, P, D], unit rows.
        weights: float64 [P] that add up to 1; None weighs all the same.
    """
    if weights is None:
        mean = prompts.mean(axis=1, dtype=np.float64)
    else:
        mean = np.einsum("cpd,p->cd", prompts, weights)
    unit: Rows = (mean / np.linalg.norm(mean, axis=1, keepdims=True)).astype(np.float32)
    return unit


def class_cosines(image_rows: Rows, classifier: Rows, *, block_rows: int = 4096) -> Rows:
    """Cosine similarity of each picture and class: float32 [N, C].

    Sums are exact before they are rounded, so equal classifier rows give equal columns.
    """
    weights = on_grid(classifier).T
    cosines = np.empty((len(image_rows), len(classifier)), dtype=np.float32)
    for start in range(0, len(image_rows), block_rows):
        block = slice(start, start + block_rows)
        cosines[block] = on_grid(image_rows[block]) @ weights / GRID**2
    return cosines


def classify(
    image_rows: Rows, classifier: Rows, labels: Indices, class_names: Sequence[str], *, block_rows: int = 4096
) -> ZeroShotResult:
    """Accuracies of the nearest class.

    Args:
        image_rows: float32 [N, D], unit length.
        classifier: float32 [C, D], unit length.
        labels: int64 [N], class numbers.
        class_names: C names, for the result.
        block_rows: pictures scored at once; memory only, never the result.

    Raises:
        SourceError: no pictures, or a row that is NaN or not of unit length.
    """
    check_rows(image_rows, "image")
    check_rows(classifier, "text", class_names)
    if not len(image_rows):
        raise SourceError("no labelled pictures to classify")
    assert len(labels) == len(image_rows) and len(class_names) == len(classifier)
    weights = on_grid(classifier).T
    ranks = np.empty(len(image_rows), dtype=np.int64)
    rival = np.empty(len(image_rows), dtype=np.int64)  # best class that is not the true one
    for start in range(0, len(image_rows), block_rows):
        block = slice(start, start + block_rows)
        scores = on_grid(image_rows[block]) @ weights  # float64 [block, C]
        truth = labels[block, None]
        true_score = np.take_along_axis(scores, truth, axis=1)
        ranks[block] = np.count_nonzero(scores >= true_score, axis=1)  # the true class itself is one of them
        np.put_along_axis(scores, truth, -np.inf, axis=1)
        rival[block] = scores.argmax(axis=1)
    predicted = np.where(ranks == 1, labels, rival)
    confusion = np.zeros((len(classifier), len(classifier)), dtype=np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    classes = [_class_result(number, class_names, confusion) for number in range(len(class_names))]
    return ZeroShotResult(
        top1=float(100 * (ranks <= 1).mean()),
        top5=float(100 * (ranks <= 5).mean()),
        mean_per_class=float(np.mean([result.top1 for result in classes if result.images])),
        images=len(image_rows),
        classes=classes,
        confusion=confusion,
        ranks=ranks,
        predicted=predicted,
    )


def _class_result(number: int, class_names: Sequence[str], confusion: Indices) -> ClassResult:
    row = confusion[number]
    images = int(row.sum())
    wrong = [(class_names[other], int(row[other])) for other in np.argsort(-row, kind="stable")]
    return ClassResult(
        name=class_names[number],
        images=images,
        top1=100 * int(row[number]) / images if images else 0.0,
        taken_for=[(name, count) for name, count in wrong if count and name != class_names[number]],
    )
