"""Sidecar JSON beside pictures, and class folders whose captions come from templates."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cnclip.errors import SourceError
from cnclip.stores.raw import SourceOptions, detect, read_source


def test_sidecar_json_brings_one_or_many_captions(tmp_path: Path, raw: Any) -> None:
    rows: dict[str, Any] = {
        "a": {"caption": "一只猫", "width": 8},
        "b": {"text": "两只狗", "text_id": "t"},
        "c": {"captions": ["三只鸟", "", "鸟群"]},
        "d": {"url": "x"},
        "e": ["列表"],
    }
    for number, (name, row) in enumerate(rows.items()):
        (tmp_path / f"{name}.png").write_bytes(raw.draw(number))
        (tmp_path / f"{name}.json").write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")
    (tmp_path / "stats.json").write_text("{}")
    (tmp_path / "f.png").write_bytes(raw.draw(9))
    (tmp_path / "f.txt").write_text("鱼", encoding="utf-8")
    assert detect(tmp_path).kind == "folder"
    images, texts, bad = raw.read_all(read_source(tmp_path))
    assert len(images) == 6
    assert [(text.text_id, text.caption, text.image_ids) for text in texts] == [
        ("a.json", "一只猫", ("a.png",)),
        ("t", "两只狗", ("b.png",)),
        ("c.json#1", "三只鸟", ("c.png",)),
        ("c.json#3", "鸟群", ("c.png",)),
        ("f.txt#1", "鱼", ("f.png",)),
    ]
    assert [(row.where, row.reason.partition(":")[0]) for row in bad] == [
        ("c.json", "empty caption"),
        ("d.json", "missing field"),
        ("e.json", "not a JSON object"),
    ]


def test_sidecar_json_that_is_huge_or_no_text_is_reported(tmp_path: Path, raw: Any) -> None:
    for name, data in (("a", b" " * (2 << 20)), ("b", b"\xff"), ("c", b"{" * 9999)):
        (tmp_path / f"{name}.png").write_bytes(raw.draw(1))
        (tmp_path / f"{name}.json").write_bytes(data)
    _, texts, bad = raw.read_all(read_source(tmp_path))
    assert texts == []
    assert [row.reason.partition(":")[0] for row in bad] == [
        "caption file too large",
        "not utf-8",
        "not JSON",
    ]


@pytest.fixture
def classes(tmp_path: Path, raw: Any) -> Path:
    root = tmp_path / "动物"
    for number, name in enumerate(("cat", "dog", "zebra")):
        (root / name / "deep").mkdir(parents=True)
        (root / name / "1.png").write_bytes(raw.draw(number))
        (root / name / "deep" / "2.png").write_bytes(raw.draw(10 + number))
    (root / "labels.txt").write_text("dog\t狗\ncat\t猫\nzebra\t斑马\n", encoding="utf-8")
    return root


def test_class_folders_get_a_caption_from_every_template(classes: Path, tmp_path: Path, raw: Any) -> None:
    assert detect(classes).kind == "classes"
    templates = tmp_path / "templates.txt"
    templates.write_text("{}\n一张{}的照片，{}\n", encoding="utf-8")
    images, texts, bad = raw.read_all(read_source(classes, options=SourceOptions(templates=templates)))
    assert [image.image_id for image in images] == [
        f"{name}/{file}" for name in ("cat", "dog", "zebra") for file in ("1.png", "deep/2.png")
    ]
    assert [(text.text_id, text.caption, text.image_ids) for text in texts][:3] == [
        ("cat/1.png#1", "猫", ("cat/1.png",)),
        ("cat/1.png#2", "一张猫的照片，猫", ("cat/1.png",)),
        ("cat/deep/2.png#1", "猫", ("cat/deep/2.png",)),
    ]
    assert len(texts) == 12
    assert bad == []
    assert len(raw.read_all(read_source(classes))[1]) == 30


def test_a_label_file_elsewhere_by_position_or_in_gb18030(classes: Path, tmp_path: Path, raw: Any) -> None:
    (classes / "labels.txt").unlink()
    labels = tmp_path / "names.txt"
    for content in ("猫\n狗\n斑马\n".encode(), "cat\t猫\ndog\t狗\nzebra\t斑马\n".encode("gb18030")):
        labels.write_bytes(content)
        options = SourceOptions(labels=labels)
        texts = raw.read_all(read_source(classes, "classes", options=options))[1]
        assert [text.caption for text in texts[::10]] == ["猫", "狗", "斑马"]
    (classes / "cat").rename(classes / "猫")
    (classes / "dog").rename(classes / "狗")
    (classes / "zebra").rename(classes / "斑马")
    labels.write_text("猫\n狗\n斑马\n", encoding="utf-8")
    texts = raw.read_all(read_source(classes, "classes", options=SourceOptions(labels=labels)))[1]
    assert {text.image_ids[0].partition("/")[0]: text.caption for text in texts[::10]} == {
        name: name for name in ("猫", "狗", "斑马")
    }


@pytest.mark.parametrize(
    ("labels", "what"),
    [
        ("dog\t狗\ncat\t猫\n", "no name for the folder zebra"),
        ("dog\t狗\ncat\t猫\nzebra\t马\nfox\t狐\n", "no folder for the class fox"),
        ("dog\t狗\ncat\nzebra\t马\n", "ids on some lines only"),
        ("dog\t狗\ndog\t猫\nzebra\t马\n", "names a class twice"),
        ("猫\n狗\n", "2 names for 3 class folders"),
        ("", "empty"),
    ],
)
def test_label_files_that_do_not_fit_are_refused(classes: Path, labels: str, what: str) -> None:
    (classes / "labels.txt").write_text(labels, encoding="utf-8")
    with pytest.raises(SourceError, match=what):
        read_source(classes)


def test_templates_without_a_place_and_missing_labels_are_refused(classes: Path, tmp_path: Path) -> None:
    templates = tmp_path / "templates.txt"
    templates.write_text("一张照片\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"a template without \{\}"):
        read_source(classes, options=SourceOptions(templates=templates))
    (classes / "labels.txt").unlink()
    with pytest.raises(SourceError, match="no label file"):
        read_source(classes, "classes")
    with pytest.raises(SourceError, match="--labels and --templates do not belong to a folder source"):
        read_source(classes, "folder", options=SourceOptions(templates=templates))


def test_names_that_are_no_text_do_not_stop_a_build(classes: Path, tmp_path: Path, raw: Any) -> None:
    bad_name = os.fsdecode(b"\xff\xfe")
    for folder in (classes / "cat", tmp_path / "photos"):
        folder.mkdir(exist_ok=True)
        (folder / f"{bad_name}.png").write_bytes(raw.draw(1))
        (folder / f"{bad_name}.txt").write_text("猫", encoding="utf-8")
        (folder / f"{bad_name}.json").write_text("{}", encoding="utf-8")
    for source in (read_source(classes), read_source(tmp_path / "photos")):
        images, texts, bad = raw.read_all(source)
        assert any("half of a surrogate pair" in row.reason for row in bad)
        words = [word for row in bad for word in (row.where, row.id, row.reason)]
        words += [word for text in texts for word in (text.text_id, text.where, *text.image_ids)]
        words += [word for image in images for word in (image.image_id, image.where)]
        assert "".join(words).encode()
