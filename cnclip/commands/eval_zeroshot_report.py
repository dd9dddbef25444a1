"""What `cnclip eval zeroshot` writes: results.json, report.md, and a page with pictures of the confusions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnclip.commands.eval_zeroshot_run import Learned, Measured, ZeroShotOptions, picture_ranks
from cnclip.commands.evaluate_parts import Subject, write_results
from cnclip.evaluation.embed import ImageSource
from cnclip.evaluation.examples import Picture, QueryResult
from cnclip.evaluation.labelled import LabelledImages, LabelledRows
from cnclip.evaluation.page import Section, write_page
from cnclip.evaluation.per_picture import FILE_NAME, save_pictures
from cnclip.evaluation.zeroshot_findings import Shown


@dataclass(frozen=True)
class Extras:
    """What was asked for beside the numbers.

    Attributes:
        learned: template weights.
        compared: sentences on an earlier run, and their figures for results.json.
    """

    learned: Learned | None = None
    compared: tuple[list[str], dict[str, Any]] | None = None


def write_report(
    subject: Subject,
    pictures: LabelledImages | LabelledRows,
    found: Measured,
    extras: Extras,
    options: ZeroShotOptions,
) -> Path:
    """Write results.json, per_picture.npz, report.md and report.html; returns the page.

    Raises:
        ResourceError: disk full or no permission.
    """
    assert options.output is not None
    title = f"零样本分类报告 Zero-shot report: {subject.short_name}"
    lines = [
        f"模型 model: {options.checkpoint}",
        f"数据 data: {options.data}" + (f" ({options.dataset})" if options.dataset else ""),
        f"类名 classes: {options.classes} ({len(options.names)})",
        f"模板 templates: {options.template_set} ({len(options.templates)})",
        f"命令 command: {options.command}",
        *(pictures.remarks if isinstance(pictures, LabelledImages) else []),
        *(extras.compared[0] if extras.compared is not None else []),
    ]
    tables = [*found.full, *(extras.learned.tables if extras.learned is not None else [])]
    fingerprint: str | None = _task_fingerprint(pictures, options.names)
    content = {
        **found.content,
        "unlabelled": pictures.unlabelled if isinstance(pictures, LabelledImages) else 0,
        "template_weights": None if extras.learned is None else extras.learned.content,
        "templates": options.templates,
        "dataset": options.dataset,
        "against": None if extras.compared is None else extras.compared[1],
        "run": subject.account({"path": str(options.data), "fingerprint": fingerprint})
        | {"command": options.command},
    }
    page = options.output / "report.html"
    sections = []
    if isinstance(pictures, LabelledImages) and found.groups:
        queries = _with_pictures(found.groups, pictures.source)
        sections.append(Section(found.group_title, {"": queries}, "✓ 认对的 right, ✗ 认错的 wrong"))
    write_page(page, title, lines=lines, tables=tables, sections=sections)
    save_pictures(options.output / FILE_NAME, picture_ranks(pictures, found, options))
    write_results(options.output, title, content, lines=lines, tables=tables)
    return page


def _task_fingerprint(pictures: LabelledImages | LabelledRows, names: Sequence[str]) -> str:
    """Sha256 of the pictures, their labels and the class names: runs that share it can be compared."""
    content = pictures.content if isinstance(pictures, LabelledImages) else pictures.fingerprint
    digest = hashlib.sha256("\n".join([str(content), *names]).encode("utf-8", "surrogatepass"))
    digest.update(pictures.labels.astype("<i8").tobytes())
    if pictures.marks is not None:
        digest.update(pictures.marks.tobytes())
    return digest.hexdigest()


def _with_pictures(groups: Sequence[tuple[str, list[Shown]]], source: ImageSource) -> list[QueryResult]:
    return [
        QueryResult(
            heading,
            [Picture(source.image(each.place).image, each.label, each.score, each.correct) for each in shown],
        )
        for heading, shown in groups
    ]
