"""`cnclip eval zeroshot`: pictures, class names and templates -> tables, a report, a submission."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cnclip.checkpoints import Precision
from cnclip.commands.eval_rows import EmbeddingOptions, open_on_processes
from cnclip.commands.eval_zeroshot_embed import embed_pictures
from cnclip.commands.eval_zeroshot_report import Extras, write_report
from cnclip.commands.eval_zeroshot_run import (
    Learned,
    Measured,
    ZeroShotOptions,
    compare_with,
    learn_weights,
    measure,
    picture_ranks,
    read_pictures,
    submit,
)
from cnclip.commands.evaluate_parts import command_line
from cnclip.errors import RecipeError, SourceError
from cnclip.evaluation.class_metrics import MetricName
from cnclip.evaluation.classes import ClassNames, read_class_names
from cnclip.evaluation.elevater import ElevaterSet, elevater_set
from cnclip.evaluation.elevater_files import read_index
from cnclip.evaluation.labelled import LabelledImages, LabelledRows
from cnclip.evaluation.per_picture import load_earlier
from cnclip.evaluation.processes import join_processes
from cnclip.evaluation.templates import BARE, load_templates
from cnclip.evaluation.zeroshot import ensemble, prompt_rows
from cnclip.tables import text_table

ChosenMetric = Literal["auto", "accuracy", "mean-per-class", "11point_mAP", "roc_auc"]


def zeroshot(
    checkpoint: str,
    data: Path,
    classes: Path,
    *,
    templates: str | None = None,
    labels: Path | None = None,
    dataset: str | None = None,
    metric: ChosenMetric = "auto",
    weight_templates: bool = False,
    allow_repeated_names: bool = False,
    output: Path | None = None,
    cache: Path | None = None,
    submission: Path | None = None,
    index: Path | None = None,
    against: Path | None = None,
    precision: Precision = "fp32",
    batch_size: int = 64,
    workers: int = 2,
    device: str = "auto",
) -> int:
    """Classify pictures by the names of their classes, without training.

    The data is a folder with one sub-folder per class; or, with --labels, a store; or a file: .npz with
    labels and pixels or embeddings, MNIST's idx, CIFAR's binary version. Prints accuracies with 95 %
    intervals, the hardest classes, the confusions and the calibration; with --output it also writes
    results.json, per_picture.npz, report.md, report.html (opens offline, with pictures of the confusions) and
    the embeddings, which the same command uses again. Several processes share the pictures:
    `accelerate launch -m cnclip eval zeroshot …`.

    Examples:
        cnclip eval zeroshot ViT-B-16 photos/ names.txt --templates general
        cnclip eval zeroshot ViT-B-16 cifar-100-binary/test.bin eval/labels/cifar100_zh.txt
            --dataset cifar-100 --submission submissions
        cnclip eval zeroshot checkpoints/emoji-stage2 stores/emoji-heldout eval/labels/emoji_groups_zh.txt
            --labels datasets/emoji/heldout_labels.jsonl --templates zh_emoji --weight-templates
        cnclip eval zeroshot runs/mine photos/ names.txt --output reports/mine --against reports/ViT-B-16

    Args:
        checkpoint: a model's name, folder or file.
        data: class folders, a store, or a file of labelled pictures or embeddings.
        classes: class names, one per line, in the order of the sorted folders, or `id<TAB>name`.
        templates: a set of eval/templates by name, or a file of sentences with {} for the name; without it
            the set that suits --dataset, or else the bare name.
        labels: JSONL of {"image_id": …, "label": …}, or {"image_id": …, "labels": […]} where pictures show
            several classes, for a store; pictures without a label are left out.
        dataset: name of an ELEVATER data set, or imagenet-1k: its metric, number of classes and templates.
        metric: what the data set is judged by; auto takes --dataset's own.
        weight_templates: learn template weights from the pictures, without labels; says what it changed.
        allow_repeated_names: classes may share a name, as in ImageNet; all their pictures count as wrong.
        output: folder for the report.
        cache: folder that keeps embeddings of any models and data; OUTPUT/embeddings where it is left out.
        submission: folder for ELEVATER's files; needs --dataset.
        index: JSON list, the order of the pictures in the submission.
        against: folder of an earlier run on the same pictures; says in words whether this one differs.
        precision: of the weights and the arithmetic.
        batch_size: pictures per forward pass.
        workers: threads per process that decode pictures.
        device: cpu, cuda, cuda:1 …; auto takes a GPU where there is one, one for each process.
    """
    command = command_line("eval zeroshot", zeroshot, locals())
    judged = None if dataset is None else elevater_set(dataset)
    if judged is None and (submission is not None or index is not None):
        raise RecipeError("--submission and --index need --dataset", fix="--dataset cifar-100")
    names = read_class_names(classes, repeats=allow_repeated_names)
    _check_classes(names, judged)
    template_set = templates or (judged.templates if judged is not None else BARE)
    sentences = load_templates(template_set)
    if weight_templates and len(sentences) < 2:
        raise RecipeError("one template needs no weight", fix="--templates general")
    if against is not None:
        load_earlier(against)  # what cannot be compared with is told before the long work
    pictures = read_pictures(data, labels, names)
    own_metric = judged.metric if metric == "auto" and judged is not None else metric
    options = ZeroShotOptions(
        checkpoint=checkpoint,
        data=data,
        classes=classes,
        names=names.names,
        templates=sentences,
        template_set=template_set,
        metric=_metric(own_metric, pictures, names),
        dataset=dataset,
        order=None if index is None else read_index(index, len(pictures.labels)),
        weight_templates=weight_templates,
        output=output,
        submission=submission,
        against=against,
        embedding=EmbeddingOptions(precision, device, batch_size, workers, cache),
        command=command,
    )
    return _run(options, pictures)


def _run(options: ZeroShotOptions, pictures: LabelledImages | LabelledRows) -> int:
    """Embed by all processes; the main one measures, prints and writes."""
    processes = join_processes()
    subject = open_on_processes(options.checkpoint, options.embedding, processes)
    kept = None if options.output is None else options.output / "embeddings" / "images"
    rows = embed_pictures(subject, pictures, options.embedding, processes, kept)
    if rows is None:
        return 0
    with subject.timed("classifier"):
        batch_size = 4 * options.embedding.batch_size
        prompts = prompt_rows(subject.model, options.names, options.templates, batch_size=batch_size)
        classifier = ensemble(prompts)
    with subject.timed("measure"):
        found = measure(subject, rows, classifier, options)
    learned: Learned | None = None
    if options.weight_templates:
        learned = learn_weights(subject, rows, prompts, found, options)
        classifier, found = learned.classifier, learned.measured
    compared = None
    if options.against is not None:
        compared = compare_with(options.against, picture_ranks(rows, found, options), subject.short_name)
    extras = Extras(learned, compared)
    _print(found, extras, pictures)
    if options.submission is not None:
        print(f"submission: {submit(subject, rows, classifier, options, options.submission)}")
    if options.output is not None:
        print(f"report: {write_report(subject, pictures, found, extras, options)}")
    return 0


def _check_classes(names: ClassNames, judged: ElevaterSet | None) -> None:
    if judged is not None and len(names.names) != judged.classes:
        raise SourceError(
            f"{len(names.names)} class names, but {judged.name} has {judged.classes} classes",
            where=str(names.path),
            fix="take this data set's class names",
        )


def _metric(wanted: ChosenMetric, pictures: LabelledImages | LabelledRows, names: ClassNames) -> MetricName:
    """The wanted metric, or the one that goes with the labels.

    Raises:
        SourceError: the metric does not fit the labels.
    """
    several = pictures.marks is not None
    by_labels: MetricName = "11point_mAP" if several else "accuracy"
    found = by_labels if wanted == "auto" else wanted
    if several and found != "11point_mAP":
        raise SourceError(
            f"{found} asks for one class per picture, the labels give several", fix="--metric 11point_mAP"
        )
    if found == "roc_auc" and len(names.names) != 2:
        raise SourceError(
            f"ROC-AUC is for two classes, not {len(names.names)}", fix="--metric accuracy or mean-per-class"
        )
    return found


def _print(found: Measured, extras: Extras, pictures: LabelledImages | LabelledRows) -> None:
    tables = [*found.short, *(extras.learned.tables if extras.learned is not None else [])]
    print("\n\n".join(map(text_table, tables)))
    if extras.compared is not None:
        print("\n".join(["", *extras.compared[0]]))
    if isinstance(pictures, LabelledImages) and pictures.remarks:
        print("\n".join(["", *pictures.remarks]))
