"""The steps of `cnclip eval zeroshot`: read, embed, measure, weigh templates, submit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnclip.commands.eval_rows import EmbeddingOptions
from cnclip.commands.evaluate_parts import Subject
from cnclip.errors import SourceError
from cnclip.evaluation.class_metrics import MetricName
from cnclip.evaluation.classes import ClassNames
from cnclip.evaluation.elevater_files import parameter_counts, write_submission
from cnclip.evaluation.labelled import (
    LabelledImages,
    LabelledRows,
    from_class_folders,
    from_labelled_store,
)
from cnclip.evaluation.labelled_arrays import holds_embeddings, images_from_array, rows_from_array
from cnclip.evaluation.multilabel import classify_marked
from cnclip.evaluation.per_picture import PictureRanks, hit_differences, load_earlier, truth
from cnclip.evaluation.prompt_weights import learn_template_weights
from cnclip.evaluation.rows import Indices, Rows
from cnclip.evaluation.statistics import in_words
from cnclip.evaluation.zeroshot import class_cosines, classify, ensemble
from cnclip.evaluation.zeroshot_findings import Shown, find, marked_groups
from cnclip.evaluation.zeroshot_report import difference_json, findings_json, marked_json, weights_json
from cnclip.evaluation.zeroshot_tables import (
    findings_tables,
    marked_tables,
    reliability_table,
    weights_tables,
)
from cnclip.stores.layout import HEADER_NAME
from cnclip.stores.reader import StoreReader
from cnclip.tables import Table
from cnclip.zoo import MODELS


@dataclass(frozen=True)
class ZeroShotOptions:
    """What is measured, and how.

    Attributes:
        checkpoint, data, classes: as the user gave them.
        names: C class names.
        templates: sentences with `{}`; template_set is their name.
        metric: by which the data set is judged.
        dataset: its ELEVATER name, if it is one.
        order: int64 [N], of the pictures in a submission; None keeps the data's.
        weight_templates: whether to learn weights too.
        output, submission: folders; None writes nothing.
        against: folder of an earlier run on the same pictures, to be tested against; None tests nothing.
        embedding: how pictures are embedded.
        command: the command line that makes the same report again.
    """

    checkpoint: str
    data: Path
    classes: Path
    names: list[str]
    templates: list[str]
    template_set: str
    metric: MetricName
    dataset: str | None
    order: Indices | None
    weight_templates: bool
    output: Path | None
    submission: Path | None
    against: Path | None
    embedding: EmbeddingOptions
    command: str


@dataclass(frozen=True)
class Measured:
    """One classifier's numbers, ready to be shown.

    Attributes:
        ranks: int64 [N], place of each picture's class, 1 is best; 0 where it shows none.
        short: tables for the terminal.
        full: tables for the report.
        content: the measured part of results.json.
        groups: (heading, pictures) for the page.
        group_title: heading of the groups.
    """

    ranks: Indices
    short: list[Table]
    full: list[Table]
    content: dict[str, Any]
    groups: list[tuple[str, list[Shown]]]
    group_title: str


@dataclass(frozen=True)
class Learned:
    """Template weights and what they changed; classifier float32 [C, D]."""

    classifier: Rows
    measured: Measured
    tables: list[Table]
    content: dict[str, Any]


def read_pictures(data: Path, labels: Path | None, names: ClassNames) -> LabelledImages | LabelledRows:
    """Class folders, a store with its label file, or a file of arrays.

    Raises:
        SourceError: labels and data do not belong together, or the file is not known.
    """
    if labels is not None:
        return from_labelled_store(StoreReader(data), labels, names)
    if (data / HEADER_NAME).is_file():
        raise SourceError(
            "a store does not say which class its pictures belong to",
            where=str(data),
            fix='--labels FILE of {"image_id": "...", "label": "..."} lines',
        )
    if not data.is_file():
        return from_class_folders(data, names)
    return rows_from_array(data, names) if holds_embeddings(data) else images_from_array(data, names)


def measure(subject: Subject, rows: LabelledRows, classifier: Rows, options: ZeroShotOptions) -> Measured:
    """All numbers of one classifier, float32 [C, D].

    Raises:
        SourceError: nothing is labelled.
    """
    cosines = class_cosines(rows.rows, classifier)
    if rows.marks is not None:
        marked = classify_marked(cosines, rows.marks, options.names)
        return Measured(
            ranks=marked.ranks,
            short=marked_tables(marked),
            full=marked_tables(marked, most_classes=None),
            content=marked_json(marked),
            groups=marked_groups(marked, cosines, rows.marks),
            group_title="最像却不是 Most like it, and not it",
        )
    result = classify(rows.rows, classifier, rows.labels, options.names)
    found = find(result, cosines, rows, options.metric, _own_scale(subject))
    full = findings_tables(found, most_classes=None)
    if found.calibration is not None:
        full.append(reliability_table(found.calibration.own, "自带尺度 the checkpoint's own scale"))
    return Measured(
        ranks=result.ranks,
        short=findings_tables(found),
        full=full,
        content=findings_json(found),
        groups=found.groups,
        group_title="最常混淆 Most frequent confusions",
    )


def learn_weights(
    subject: Subject, rows: LabelledRows, prompts: Rows, plain: Measured, options: ZeroShotOptions
) -> Learned:
    """Weigh the templates, measure again, and say what changed against `plain`.

    Args:
        subject, rows, options: as for `measure`.
        prompts: float32 [C, P, D].
        plain: measured with equal weights.
    """
    with subject.timed("template weights"):
        weights = learn_template_weights(rows.rows, prompts, _own_scale(subject))
        classifier = ensemble(prompts, weights.weights)
        found = measure(subject, rows, classifier, options)
    pairs = [PictureRanks(rows.ids, measured.ranks) for measured in (plain, found)]
    difference = hit_differences(*pairs)["top1"]
    equal = {"top1": plain.content["top1"], "metric": plain.content["metric"]["value"]}
    return Learned(
        classifier=classifier,
        measured=found,
        tables=weights_tables(weights, options.templates, difference),
        content=weights_json(weights, difference, equal),
    )


def picture_ranks(
    pictures: LabelledImages | LabelledRows, found: Measured, options: ZeroShotOptions
) -> PictureRanks:
    """What is kept of each picture for tests against other runs."""
    labels = truth(pictures.labels, pictures.marks)
    return PictureRanks(list(pictures.ids), found.ranks, labels, len(options.names))


def compare_with(earlier: Path, mine: PictureRanks, name: str) -> tuple[list[str], dict[str, Any]]:
    """Sentences on whether an earlier run and this one differ, and the same for results.json.

    Raises:
        SourceError: the folder has no ranks, or ranks of other pictures or among other classes.
    """
    differences = hit_differences(load_earlier(earlier), mine)
    lines = [
        in_words(difference, key.replace("top", "top-"), str(earlier), name)
        for key, difference in differences.items()
    ]
    tested = {key: difference_json(difference) for key, difference in differences.items()}
    return lines, {"run": str(earlier), **tested}


def submit(
    subject: Subject, rows: LabelledRows, classifier: Rows, options: ZeroShotOptions, folder: Path
) -> Path:
    """Write ELEVATER's files into a folder; returns the data set's file."""
    assert options.dataset is not None
    official = options.checkpoint in MODELS
    return write_submission(
        folder,
        options.dataset,
        class_cosines(rows.rows, classifier),
        model_name=f"CN-CLIP-{options.checkpoint}" if official else subject.short_name,
        counts=parameter_counts(subject.model.architecture),
        index=options.order,
    )


def _own_scale(subject: Subject) -> float:
    return float(subject.model.logit_scale.exp())
