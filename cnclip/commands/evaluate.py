"""`cnclip eval retrieval` and `cnclip eval zeroshot`: tables, results.json, a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cnclip.commands.evaluate_parts import (
    open_subject,
    read_queries,
    store_embeddings,
    write_results,
)
from cnclip.evaluation.classes import ClassNames, read_class_names, read_templates
from cnclip.evaluation.embed import embed_images
from cnclip.evaluation.evaluate import store_positives
from cnclip.evaluation.examples import Extreme, Gallery, QueryResult, extreme_queries, search_pictures
from cnclip.evaluation.labelled import LabelledImages, from_class_folders, from_labelled_store
from cnclip.evaluation.page import Section, write_page
from cnclip.evaluation.report import recall_table, retrieval_json, zeroshot_json, zeroshot_tables
from cnclip.evaluation.retrieval import recall_at_k
from cnclip.evaluation.zeroshot import build_classifier, classify
from cnclip.stores.reader import StoreReader
from cnclip.tables import text_table

BARE_NAME = ["{}"]
EXTREMES: dict[Extreme, str] = {"worst": "最难的查询 Hardest queries", "best": "最好的查询 Best queries"}


def retrieval(
    checkpoint: str,
    store: Path,
    *,
    output: Path | None = None,
    queries: str | None = None,
    batch_size: int = 64,
    workers: int = 2,
    device: str = "auto",
) -> int:
    """Measure recall@K, text to image and image to text, on a store.

    Prints the table. With --output it also writes results.json, report.md, report.html (opens offline, with
    the best and worst queries and their pictures) and the embeddings, which the same command uses again.

    Examples:
        cnclip eval retrieval checkpoints/emoji-stage2 stores/emoji-heldout
        cnclip eval retrieval ViT-B-16 stores/muge-valid --output reports/muge
        cnclip eval retrieval checkpoints/emoji-stage2 stores/emoji-heldout --queries "红色的水果;下雨天"

    Args:
        checkpoint: a model's name, folder or file.
        store: a folder made by `cnclip data build`.
        output: folder for the report.
        queries: your own queries, parted by ";", or a text file with one on each line.
        batch_size: pictures per forward pass.
        workers: threads that decode pictures.
        device: cpu, cuda, cuda:1 …; auto takes a GPU where there is one.
    """
    wanted = read_queries(queries) if queries is not None else []
    reader = StoreReader(store)
    subject = open_subject(checkpoint, device)
    cache = None if output is None else output / "embeddings"
    images, texts = store_embeddings(subject, reader, cache, batch_size=batch_size, workers=workers)
    with subject.timed("ranks"):
        result = recall_at_k(images.rows, texts.rows, store_positives(reader))
    table = recall_table({subject.short_name: result})
    print(text_table(table))

    gallery = Gallery(reader, images.rows)
    found = search_pictures(subject.model, wanted, gallery) if wanted else []
    _print_answers(found)
    if output is None:
        return 0
    sections = [Section("你的查询 Your queries", {"": found})] if found else []
    for which, heading in EXTREMES.items():
        answers = extreme_queries(result.t2i, gallery, texts.rows, which)
        sections.append(Section(heading, {"": answers}, "✓ 正确的图片 correct picture"))
    title = f"图文检索报告 Retrieval report: {subject.short_name}"
    lines = [f"模型 model: {checkpoint}", f"数据 data: {store} ({reader.fingerprint})"]
    run = subject.account({"path": str(store), "fingerprint": reader.fingerprint})
    results = retrieval_json(result, pairs=reader.pair_count, run=run)
    write_page(output / "report.html", title, lines=lines, tables=[table], sections=sections)
    write_results(output, title, results, lines=lines, tables=[table])
    print(f"report: {output / 'report.html'}")
    return 0


def zeroshot(
    checkpoint: str,
    data: Path,
    classes: Path,
    *,
    templates: Path | None = None,
    labels: Path | None = None,
    output: Path | None = None,
    batch_size: int = 64,
    workers: int = 2,
    device: str = "auto",
) -> int:
    """Classify pictures by the names of their classes, without training.

    The data is a folder with one sub-folder per class, or, with --labels, a store. Prints top-1, top-5 and
    mean per class; with --output it also writes results.json and report.md.

    Examples:
        cnclip eval zeroshot ViT-B-16 photos/ names.txt --templates eval/templates/zh_basic.txt
        cnclip eval zeroshot checkpoints/emoji-stage2 stores/emoji-heldout eval/labels/emoji_groups_zh.txt
            --labels datasets/emoji/heldout_labels.jsonl --templates eval/templates/zh_emoji.txt

    Args:
        checkpoint: a model's name, folder or file.
        data: a folder of class folders, or a store.
        classes: class names, one per line, in the order of the sorted folders, or `id<TAB>name`.
        templates: sentences with {} for the name, one per line; without it the bare name is the prompt.
        labels: JSONL of {"image_id": …, "label": …} for a store; pictures without a label are left out.
        output: folder for the report.
        batch_size: pictures per forward pass.
        workers: threads that decode pictures.
        device: cpu, cuda, cuda:1 …; auto takes a GPU where there is one.
    """
    names = read_class_names(classes)
    sentences = BARE_NAME if templates is None else read_templates(templates)
    pictures = _pictures(data, labels, names)
    subject = open_subject(checkpoint, device)
    with subject.timed("images"):
        table = embed_images(
            subject.model,
            pictures.source,
            transform=subject.transform,
            batch_size=batch_size,
            workers=workers,
        )
    with subject.timed("classifier"):
        classifier = build_classifier(subject.model, names.names, sentences, batch_size=4 * batch_size)
    result = classify(table.rows, classifier, pictures.labels, names.names)
    tables = zeroshot_tables(result)
    print("\n\n".join(map(text_table, tables)))
    if pictures.unlabelled:
        print(f"{pictures.unlabelled} pictures without a label were left out")
    if output is not None:
        title = f"零样本分类报告 Zero-shot report: {subject.short_name}"
        lines = [f"模型 model: {checkpoint}", f"数据 data: {data}", f"类名 classes: {classes}"]
        lines.append(f"模板 templates: {templates or BARE_NAME[0]} ({len(sentences)})")
        run = subject.account({"path": str(data), "fingerprint": pictures.fingerprint})
        results = zeroshot_json(result, unlabelled=pictures.unlabelled, templates=sentences, run=run)
        write_results(output, title, results, lines=lines, tables=tables)
        print(f"report: {output / 'report.md'}")
    return 0


def _pictures(data: Path, labels: Path | None, names: ClassNames) -> LabelledImages:
    if labels is None:
        return from_class_folders(data, names)
    return from_labelled_store(StoreReader(data), labels, names)


def _print_answers(answers: Sequence[QueryResult]) -> None:
    for query, pictures in answers:
        print(f"{query}: " + " | ".join(f"{picture.label} {picture.score:.3f}" for picture in pictures[:5]))
