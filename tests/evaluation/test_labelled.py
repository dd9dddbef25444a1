"""Pictures with their class: folders and lines, stores and label files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnclip.errors import SourceError
from cnclip.evaluation.class_folders import FolderImages
from cnclip.evaluation.classes import ClassNames
from cnclip.evaluation.labelled import from_class_folders, from_labelled_store
from cnclip.stores.reader import StoreReader


def classes(*names: str, ids: list[str] | None = None) -> ClassNames:
    return ClassNames(list(names), ids, Path("classes.txt"))


def tree(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(file.encode())
    return root


def test_pictures_come_folder_by_folder_and_other_files_are_counted(tmp_path: Path) -> None:
    root = tree(tmp_path, "b/2.PNG", "b/1.jpg", "a/里/3.webp", "a/notes.txt", ".git/x.png", "a/.hidden.png")
    images = FolderImages(root)
    assert images.folders == ["a", "b"]
    assert [images.image(i).image_id for i in range(images.image_count)] == [
        "a/里/3.webp",
        "b/1.jpg",
        "b/2.PNG",
    ]
    assert images.image(1).image == b"b/1.jpg"
    assert images.folder_of.tolist() == [0, 1, 1]
    assert images.ignored == 1


def test_numbered_folders_sort_by_number(tmp_path: Path) -> None:
    root = tree(tmp_path, *(f"{number}/a.png" for number in (0, 1, 2, 10, 11)))
    assert FolderImages(root).folders == ["0", "1", "2", "10", "11"]


def test_lines_belong_to_folders_in_sorted_order(tmp_path: Path) -> None:
    root = tree(tmp_path, "000/a.png", "001/a.png", "002/a.png", "002/b.png")
    assert from_class_folders(root, classes("猫", "狗", "鸟")).labels.tolist() == [0, 1, 2, 2]


def test_names_or_ids_that_equal_the_folders_decide_over_the_order(tmp_path: Path) -> None:
    root = tree(tmp_path, "猫/a.png", "狗/a.png")  # sorted: 狗 (U+72D7), 猫 (U+732B)
    assert from_class_folders(root, classes("猫", "狗")).labels.tolist() == [1, 0]
    assert from_class_folders(root, classes("cat", "dog", ids=["猫", "狗"])).labels.tolist() == [1, 0]


def test_numbered_folders_do_not_take_lines_with_other_ids(tmp_path: Path) -> None:
    root = tree(tmp_path, "000/a.png", "001/a.png")  # whether 000 is the cat is only a guess
    with pytest.raises(SourceError, match="do not belong together"):
        from_class_folders(root, classes("猫", "狗", ids=["cat", "dog"]))


@pytest.mark.parametrize(
    "given",
    [
        classes("猫", "狗", "鸟"),
        classes("猫"),
        classes("a", "狗"),
        classes("猫", "狗", ids=["a", "c"]),
    ],
)
def test_lines_that_do_not_belong_to_the_folders_are_an_error_with_both_lists(
    tmp_path: Path, given: ClassNames
) -> None:
    root = tree(tmp_path, "a/1.png", "b/1.png")
    with pytest.raises(SourceError, match="do not belong together") as caught:
        from_class_folders(root, given)
    assert caught.value.where == "classes.txt"
    for name in ("a", "b", *(given.ids or given.names)):
        assert name in caught.value.what


def test_a_reader_is_told_what_was_left_out_and_where_only_the_order_joins_names_and_folders(
    tmp_path: Path,
) -> None:
    root = tree(
        tmp_path, *(f"{number:03}/a.png" for number in range(9)), "散图.png", "000/说明.txt", "表.csv"
    )
    found = from_class_folders(root, classes(*"甲乙丙丁戊己庚辛壬"))
    order, outside, ignored = found.remarks
    assert order.endswith("000 = 甲, 001 = 乙, 002 = 丙, …, 006 = 庚, 007 = 辛, 008 = 壬")
    assert outside.startswith("1 张图片不在类别文件夹里") and ignored.startswith("1 个文件的名字不像图片")
    named = tree(tmp_path / "名", "猫/a.png", "狗/a.png")
    assert from_class_folders(named, classes("猫", "狗")).remarks == []


def test_empty_and_missing_trees_are_errors(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such folder"):
        FolderImages(tmp_path / "no")
    with pytest.raises(SourceError, match="no class folders"):
        FolderImages(tmp_path)
    (tmp_path / "空").mkdir()
    with pytest.raises(SourceError, match="without pictures") as caught:
        FolderImages(tmp_path)
    assert "空" in str(caught.value)


def test_a_stores_unlabelled_pictures_are_left_out_and_counted(store: StoreReader, label_file: Path) -> None:
    found = from_labelled_store(store, label_file, classes("圆", "方"))
    assert (found.source.image_count, found.unlabelled) == (12, 1)
    assert found.fingerprint == store.fingerprint
    for index, (number, label) in enumerate(zip(found.indices, found.labels, strict=True)):
        assert found.source.image(index).image_id == store.image_id(int(number))
        assert found.source.image(index).image_id[1] == "圆方"[int(label)]
    assert found.labels.dtype == np.int64


def test_a_label_for_a_picture_that_is_not_there_is_an_error(store: StoreReader, tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    path.write_text('{"image_id": "鬼", "label": "猫"}\n', encoding="utf-8")
    with pytest.raises(SourceError, match="not in the store, the first is '鬼'"):
        from_labelled_store(store, path, classes("猫"))


def test_a_stores_label_sets_become_marks(store: StoreReader, tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    lines = ['{"image_id": "红圆.png", "labels": ["红", "圆"]}']
    lines += ['{"image_id": "绿圆.png", "labels": ["圆"], "unsure": ["红"]}']
    path.write_text("\n".join(lines), encoding="utf-8")
    found = from_labelled_store(store, path, classes("红", "圆"))
    assert found.marks is not None
    ids = [found.source.image(index).image_id for index in range(2)]
    assert dict(zip(ids, found.marks.tolist(), strict=True)) == {"红圆.png": [1, 1], "绿圆.png": [-1, 1]}
    assert found.labels.tolist() == [-1, -1] and found.unlabelled == 11
