"""Class names, templates and labels are read strictly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cnclip.errors import SourceError
from cnclip.evaluation.classes import (
    ClassNames,
    has_label_sets,
    name_groups,
    read_class_names,
    read_label_sets,
    read_labels,
    read_templates,
)
from cnclip.text.wordpiece import UNK_ID, encode_ids

ROOT = Path(__file__).parents[2]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_names_stand_one_on_a_line(tmp_path: Path) -> None:
    found = read_class_names(write(tmp_path / "类.txt", "\ufeff猫\r\n 狗 \r\n鸟\r\n"))
    assert (found.names, found.ids) == (["猫", "狗", "鸟"], None)


def test_ids_stand_before_a_tab(tmp_path: Path) -> None:
    found = read_class_names(write(tmp_path / "c.txt", "cat\t猫\ndog\t狗"))
    assert (found.names, found.ids) == (["猫", "狗"], ["cat", "dog"])


@pytest.mark.parametrize(
    ("text", "message", "where"),
    [
        ("猫\n\n狗\n", "blank line", ":2"),
        ("猫\n狗\n\n", "blank line", ":3"),
        ("猫\n狗\n　\n", "blank line", ":3"),
        ("猫\n狗\n猫\n", r"stands twice \(猫: lines 1, 3\)", ""),
        ("a\t猫\n狗\n", "some lines only", ":2"),
        ("a\t猫\na\t狗\n", "class id stands twice", ""),
        ("a\tb\t猫\n", "some lines only", ":1"),
        ("a\t猫\nb\t\n", "without a name", ":2"),
        ("\t猫\nb\t狗\n", "without an id", ":1"),
        ("T恤\n裤子\nＴ恤\n", r"reads alike: 'T恤' \(line 1\), 'Ｔ恤' \(line 3\)", ""),
        ("iPhone\niphone\n", "reads alike", ""),
        ("猫\n猫\u200b\n", "reads alike", ""),
        ("", "without any", ""),
    ],
)
def test_what_would_shift_or_merge_classes_is_an_error(
    tmp_path: Path, text: str, message: str, where: str
) -> None:
    path = write(tmp_path / "c.txt", text)
    with pytest.raises(SourceError, match=message) as caught:
        read_class_names(path)
    assert str(caught.value.where).endswith(str(path) + where)


def test_a_missing_or_undecodable_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file") as caught:
        read_class_names(tmp_path / "nichts.txt")
    assert "one name on each line" in str(caught.value.fix)
    with pytest.raises(SourceError, match="is a folder") as caught:
        read_class_names(tmp_path)
    assert "one name on each line" in str(caught.value.fix)
    (tmp_path / "gbk.txt").write_bytes("猫\n狗\n".encode("gbk"))
    with pytest.raises(SourceError, match="cannot read") as caught:
        read_templates(tmp_path / "gbk.txt")
    assert "UTF-8" in str(caught.value)


def test_repeated_templates_stay_and_each_needs_a_place_for_the_name(tmp_path: Path) -> None:
    assert read_templates(write(tmp_path / "t.txt", "{}\n一张{}的图\n{}\n")) == ["{}", "一张{}的图", "{}"]
    with pytest.raises(SourceError, match="without") as caught:
        read_templates(write(tmp_path / "t.txt", "{}\n一张图\n"))
    assert str(caught.value.where).endswith("t.txt:2")


def labels(path: Path, rows: list[object]) -> Path:
    return write(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def test_labels_are_ids_names_or_line_numbers(tmp_path: Path) -> None:
    rows = [{"image_id": "a", "label": "狗"}, {"image_id": 7, "label": 0}, {"image_id": "a", "label": 1}]
    names = ClassNames(["猫", "狗"], None, tmp_path / "c.txt")
    assert read_labels(labels(tmp_path / "l.jsonl", rows), names) == {"a": 1, "7": 0}
    with_ids = ClassNames(["猫", "狗"], ["1", "0"], tmp_path / "c.txt")
    assert read_labels(labels(tmp_path / "l.jsonl", rows[:2]), with_ids) == {"a": 1, "7": 1}


def test_names_that_are_numbers_are_not_taken_for_line_numbers(tmp_path: Path) -> None:
    names = ClassNames(["1", "2"], None, tmp_path / "c.txt")
    assert read_labels(labels(tmp_path / "l.jsonl", [{"image_id": "a", "label": 1}]), names) == {"a": 0}
    with pytest.raises(SourceError, match="'0' is not in"):
        read_labels(labels(tmp_path / "l.jsonl", [{"image_id": "a", "label": 0}]), names)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"image_id": "b", "label": "鱼"}, "'鱼' is not in"),
        ({"image_id": "a", "label": "猫"}, "two different labels"),
        ({"image_id": "b"}, "not a label"),
        (["b", "猫"], "not a label"),
    ],
)
def test_bad_label_lines_are_errors_with_their_line(tmp_path: Path, row: object, message: str) -> None:
    path = labels(tmp_path / "l.jsonl", [{"image_id": "a", "label": "狗"}, row])
    with pytest.raises(SourceError, match=message) as caught:
        read_labels(path, ClassNames(["猫", "狗"], None, tmp_path / "c.txt"))
    assert str(caught.value.where).endswith("l.jsonl:2")


def test_namesakes_are_allowed_when_asked_for_and_only_ids_or_line_numbers_tell_them_apart(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "c.txt", "导弹\n猫\n导弹\n")
    with pytest.raises(SourceError, match=r"stands twice \(导弹: lines 1, 3\)") as caught:
        read_class_names(path)
    assert "--allow-repeated-names" in str(caught.value.fix)
    names = read_class_names(path, repeats=True)
    assert names.names == ["导弹", "猫", "导弹"]
    by_line = [{"image_id": "a", "label": 2}, {"image_id": "b", "label": "猫"}]
    assert read_labels(labels(tmp_path / "l.jsonl", by_line), names) == {"a": 2, "b": 1}
    with pytest.raises(SourceError, match="name of several classes"):
        read_labels(labels(tmp_path / "l.jsonl", [{"image_id": "a", "label": "导弹"}]), names)
    with pytest.raises(SourceError, match="class id stands twice"):
        read_class_names(write(tmp_path / "d.txt", "a\t导弹\na\t导弹\n"), repeats=True)


def test_label_sets_say_what_is_shown_and_what_is_unsure(tmp_path: Path) -> None:
    names = ClassNames(["猫", "狗", "鸟"], None, tmp_path / "c.txt")
    rows = [{"image_id": "a", "labels": ["狗", "猫"]}, {"image_id": "b", "labels": [], "unsure": ["鸟"]}]
    path = labels(tmp_path / "l.jsonl", rows)
    assert has_label_sets(path)
    assert {key: mark.tolist() for key, mark in read_label_sets(path, names).items()} == {
        "a": [1, 1, 0],
        "b": [0, 0, -1],
    }
    assert not has_label_sets(labels(tmp_path / "m.jsonl", [{"image_id": "a", "label": "labels"}]))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"image_id": "b", "labels": ["鱼"]}, "'鱼' is not in"),
        ({"image_id": "b", "labels": ["猫"], "unsure": ["鱼"]}, "'鱼' is not in"),
        ({"image_id": "b", "labels": "猫"}, "not a list"),
        ({"image_id": "a", "labels": []}, "image a stands twice"),
        ({"image_id": "b", "label": "猫"}, "not a label"),
    ],
)
def test_bad_label_sets_are_errors_with_their_line(tmp_path: Path, row: object, message: str) -> None:
    path = labels(tmp_path / "l.jsonl", [{"image_id": "a", "labels": ["狗"]}, row])
    with pytest.raises(SourceError, match=message) as caught:
        read_label_sets(path, ClassNames(["猫", "狗"], None, tmp_path / "c.txt"))
    assert str(caught.value.where).endswith("l.jsonl:2")


@pytest.mark.parametrize("path", sorted((ROOT / "eval" / "labels").glob("*.txt")), ids=lambda path: path.name)
def test_shipped_class_names_can_be_read_and_hold_no_character_that_the_model_does_not_know(
    path: Path,
) -> None:
    names = read_class_names(path).names
    assert len(names) > 1
    assert [name for name in names if UNK_ID in encode_ids([name])[0]] == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / "eval" / "templates").glob("*.txt")), ids=lambda path: path.name
)
def test_shipped_templates_can_be_read_and_hold_no_repetition(path: Path) -> None:
    templates = read_templates(path)
    assert len(set(templates)) == len(templates) > 1


def test_names_that_the_tokenizer_reads_alike_can_be_allowed(tmp_path: Path) -> None:
    path = write(tmp_path / "c.txt", "T恤\nＴ恤\n狗\n")
    assert read_class_names(path, repeats=True).names == ["T恤", "Ｔ恤", "狗"]
    assert name_groups(["T恤", "Ｔ恤", "狗", "t恤", "鳐鱼", "鳟鱼"]).tolist() == [0, 0, 1, 0, 2, 2]


def test_a_class_is_not_shown_and_unsure_at_once(tmp_path: Path) -> None:
    classes = ClassNames(["猫", "狗"], None, tmp_path / "c.txt")
    path = write(tmp_path / "l.jsonl", '{"image_id": "a", "labels": ["猫"], "unsure": ["狗", "猫"]}\n')
    with pytest.raises(SourceError, match="猫 is both shown and unsure"):
        read_label_sets(path, classes)
