"""The text files of zero-shot classification: class names, prompt templates, labels of a store's pictures.

Class-name file, one class per line, UTF-8:

    苹果                    line i belongs to the i-th folder, or to the label "苹果"
    food-fruit<TAB>水果      with an id: belongs to the folder, or the label, `food-fruit`

Ids remove the positional trap; a file has them on every line or on none. Blank lines and repeated names are
errors, since either shifts or merges classes without a sign; so are names that the tokenizer reads alike:
T恤 and Ｔ恤, or 鳐鱼 and 鳟鱼, whose first characters it does not know. Repeated names can be allowed
(ImageNet's Chinese names have three pairs of namesakes): they stay separate classes with the same prompt.

Template file: one sentence per line with `{}` where the name goes; a line that stands twice counts twice.

Label file of a store: JSONL, `{"image_id": "...", "label": "..."}` on each line; a label is a class id or a
class name; where the file has no ids and no name is a number, the number of its line, counted from 0, is good
too. Pictures that show several classes: `{"image_id": "...", "labels": ["...", ...], "unsure": ["..."]}` on
every line; what is unsure is neither shown nor not shown (VOC's difficult objects).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnclip.errors import SourceError
from cnclip.evaluation.class_metrics import Marks
from cnclip.evaluation.rows import Indices
from cnclip.evaluation.text_lines import read_lines
from cnclip.text.wordpiece import encode_ids

_DIFFER = {
    "class name": "make the names differ; eval zeroshot --allow-repeated-names keeps namesakes, and counts"
    " all their pictures as wrong",
    "class id": "make the ids differ",
}


@dataclass(frozen=True)
class ClassNames:
    """The classes in the order of their file.

    Attributes:
        names: what a prompt says.
        ids: what a folder or label says; None where the file gives names only.
        path: the file, for messages.
    """

    names: list[str]
    ids: list[str] | None
    path: Path


def read_class_names(path: Path, *, repeats: bool = False) -> ClassNames:
    """Read a class-name file.

    Args:
        path: the file.
        repeats: a name may stand twice; an id never.

    Raises:
        SourceError: empty, a blank line, ids on some lines only, an empty name or id, or a name or id that
            stands twice.
    """
    lines = read_lines(path, "class names")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise SourceError(
                "a blank line would shift the classes", where=f"{path}:{number}", fix="remove the line"
            )
    tabs = [line.count("\t") for line in lines]
    if max(tabs) > 1 or len(set(tabs)) > 1:
        number = next(index for index, count in enumerate(tabs, 1) if count > 1 or count != tabs[0])
        raise SourceError(
            "ids stand on some lines only",
            where=f"{path}:{number}",
            fix="write `id<TAB>name` on every line or on none",
        )
    names = [line.split("\t")[-1].strip() for line in lines]
    _refuse_blanks(names, path, "a name")
    if not repeats:
        _refuse_repeats(names, path, "class name")
        _refuse_alike(names, path)
    if not tabs[0]:
        return ClassNames(names=names, ids=None, path=path)
    ids = [line.split("\t")[0].strip() for line in lines]
    _refuse_blanks(ids, path, "an id")
    _refuse_repeats(ids, path, "class id")
    return ClassNames(names=names, ids=ids, path=path)


def name_groups(names: Sequence[str]) -> Indices:
    """A number for each name, the same for names that the tokenizer reads alike: int64 [len(names)]."""
    number: dict[tuple[int, ...], int] = {}
    keys = (tuple(ids) for ids in encode_ids(names))
    return np.array([number.setdefault(key, len(number)) for key in keys], dtype=np.int64)


def read_templates(path: Path) -> list[str]:
    """Read a template file; repeated lines stay repeated.

    Raises:
        SourceError: empty, or a line without `{}`.
    """
    lines = [line.strip() for line in read_lines(path, "templates")]
    for number, line in enumerate(lines, 1):
        if "{}" not in line:
            raise SourceError(
                f"a template without {{}}: {line!r}", where=f"{path}:{number}", fix="write {} for the name"
            )
    return lines


def read_labels(path: Path, classes: ClassNames) -> dict[str, int]:
    """Read a label file: image id -> class number.

    Raises:
        SourceError: not JSON, a missing key, an unknown label, or an image with two different labels.
    """
    number = _class_numbers(classes)
    labels: dict[str, int] = {}
    for where, row in _rows(path, "label"):
        image_id = str(row["image_id"])
        found = _number(row["label"], number, classes, where)
        if labels.setdefault(image_id, found) != found:
            raise SourceError(f"image {image_id} has two different labels", where=where, fix="keep one")
    return labels


def has_label_sets(path: Path) -> bool:
    """Whether a label file gives several classes per picture, by its first line."""
    return '"labels":' in read_lines(path, "labels")[0].replace(" ", "")


def read_label_sets(path: Path, classes: ClassNames) -> dict[str, Marks]:
    """Read a label file of pictures that show several classes: image id -> int8 [C], see class_metrics.Marks.

    Raises:
        SourceError: as for read_labels; a class both shown and unsure; an image that stands twice.
    """
    number = _class_numbers(classes)
    marks: dict[str, Marks] = {}
    for where, row in _rows(path, "labels"):
        image_id, unsure = str(row["image_id"]), row.get("unsure", [])
        if not isinstance(row["labels"], list) or not isinstance(unsure, list):
            raise SourceError(
                "labels are not a list", where=where, fix='write "labels": ["...", "..."], "unsure": []'
            )
        if image_id in marks:
            raise SourceError(f"image {image_id} stands twice", where=where, fix="put its labels on one line")
        doubtful = [_number(label, number, classes, where) for label in unsure]
        shown = [_number(label, number, classes, where) for label in row["labels"]]
        if both := sorted({*doubtful} & {*shown}):
            raise SourceError(
                f"{classes.names[both[0]]} is both shown and unsure", where=where, fix="put it into one list"
            )
        mark: Marks = np.zeros(len(classes.names), dtype=np.int8)
        mark[doubtful], mark[shown] = -1, 1
        marks[image_id] = mark
    return marks


def _rows(path: Path, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Place and content of each line of a label file."""
    for line_number, line in enumerate(read_lines(path, "labels"), 1):
        where = f"{path}:{line_number}"
        try:
            row = json.loads(line)
            row["image_id"], row[key]
        except (json.JSONDecodeError, KeyError, TypeError, RecursionError):
            example = '["..."]' if key == "labels" else '"..."'
            raise SourceError(
                f"not a label: {line[:80]!r}",
                where=where,
                fix=f'write {{"image_id": "...", "{key}": {example}}}',
            ) from None
        yield where, row


def _number(label: object, number: dict[str, int], classes: ClassNames, where: str) -> int:
    if str(label) in number:
        return number[str(label)]
    known = "、".join((classes.ids or classes.names)[:20])
    raise SourceError(
        f"label {str(label)!r} is not in {classes.path}, or is a name of several classes",
        where=where,
        fix=f"one of: {known} …",
    )


def _class_numbers(classes: ClassNames) -> dict[str, int]:
    count = Counter(classes.names)
    number = {name: index for index, name in enumerate(classes.names) if count[name] == 1}
    if classes.ids is not None:
        return number | {identity: index for index, identity in enumerate(classes.ids)}
    if not any(name.isdigit() for name in classes.names):
        number |= {str(index): index for index in range(len(classes.names))}
    return number


def _refuse_blanks(values: list[str], path: Path, what: str) -> None:
    for number, value in enumerate(values, 1):
        if not value:
            raise SourceError(
                f"a line without {what}", where=f"{path}:{number}", fix="write `id<TAB>name` on every line"
            )


def _refuse_alike(names: list[str], path: Path) -> None:
    """Names that differ on paper only: their classes would share a row, and all their pictures be wrong."""
    groups = name_groups(names)
    counts = np.bincount(groups)
    if counts.max() > 1:
        alike = [place for place, group in enumerate(groups.tolist()) if group == counts.argmax()]
        shown = ", ".join(f"{names[place]!r} (line {place + 1})" for place in alike)
        raise SourceError(
            f"class names that the tokenizer reads alike: {shown}",
            where=str(path),
            fix="say them in other words; full width, upper case and characters unknown to it make no"
            " difference",
        )


def _refuse_repeats(values: list[str], path: Path, what: str) -> None:
    repeated = [value for value, count in Counter(values).items() if count > 1]
    if repeated:
        where = {value: [n for n, other in enumerate(values, 1) if other == value] for value in repeated}
        shown = "; ".join(f"{value}: lines {', '.join(map(str, lines))}" for value, lines in where.items())
        raise SourceError(f"a {what} stands twice ({shown})", where=str(path), fix=_DIFFER[what])
