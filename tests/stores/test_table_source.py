"""CSV, TSV and JSONL tables: names, filters, quotes, encodings, paths that stay inside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cnclip.errors import SourceError
from cnclip.stores.raw import SourceOptions, read_source
from cnclip.stores.raw.table import TableColumns


@pytest.fixture
def folder(tmp_path: Path, raw: Any) -> Path:
    (tmp_path / "图").mkdir()
    for number, name in enumerate(("猫.png", "狗.png", "鸟.png")):
        (tmp_path / "图" / name).write_bytes(raw.draw(number))
    return tmp_path


def columns(**names: Any) -> SourceOptions:
    return SourceOptions(columns=TableColumns(**names))


def test_csv_with_quotes_line_ends_in_cells_and_bom(folder: Path, raw: Any) -> None:
    file = folder / "a.csv"
    file.write_bytes(
        '\ufeffimage,caption\r\n图/猫.png,"猫,白色,""可爱"""\r\n图/狗.png,"两行\r\n标题"\r\n'.encode()
    )
    images, texts, bad = raw.read_all(read_source(file))
    assert [(image.image_id, image.where) for image in images] == [
        ("图/猫.png", "a.csv:2"),
        ("图/狗.png", "a.csv:4"),
    ]
    assert images[1].image == raw.draw(1)
    assert [(text.text_id, text.caption, text.image_ids) for text in texts] == [
        ("2", '猫,白色,"可爱"', ("图/猫.png",)),
        ("4", "两行\n标题", ("图/狗.png",)),
    ]
    assert bad == []


@pytest.mark.parametrize("end", ['显示器19"大屏', '显示器19"', "显示器", '"显示器"'])
def test_an_unclosed_quote_costs_its_own_line_only(folder: Path, raw: Any, end: str) -> None:
    rows = [f"图/猫.png,第{number}句" for number in range(300)]
    rows[100] = '图/猫.png,"没闭合的引号'
    rows[200] = f"图/猫.png,{end}"
    file = folder / "a.csv"
    file.write_text("\n".join(["image,caption", *rows]), encoding="utf-8")
    _, texts, bad = raw.read_all(read_source(file))
    assert {row.where for row in bad} == {"a.csv:102"}
    assert len(texts) == 299 and texts[-1].caption == "第299句"


def test_a_quote_that_swallows_a_few_rows_and_closes_is_seen(folder: Path, raw: Any) -> None:
    rows = [f"图/猫.png,第{number}句" for number in range(20)]
    rows[5], rows[9] = '图/猫.png,"没闭合', '图/猫.png,显示器19"'
    file = folder / "a.csv"
    file.write_text("\n".join(["image,caption", *rows]), encoding="utf-8")
    _, texts, bad = raw.read_all(read_source(file))
    assert {row.where for row in bad} == {"a.csv:7"} and len(texts) == 19


def test_tsv_takes_quotes_as_they_are(folder: Path, raw: Any) -> None:
    file = folder / "a.tsv"
    file.write_text('path\ttitle\n图/猫.png\t"没有结束的引号\n图/狗.png\t狗\n', encoding="utf-8")
    _, texts, bad = raw.read_all(read_source(file))
    assert [text.caption for text in texts] == ['"没有结束的引号', "狗"]
    assert bad == []


def test_jsonl_with_lists_of_captions_ids_and_a_filter(folder: Path, raw: Any) -> None:
    file = folder / "a.jsonl"
    rows = [
        {"image": "图/猫.png", "image_id": 7, "split": "train", "captions": ["猫", "白猫"]},
        {"image": "图/狗.png", "split": "val", "caption": "狗"},
        {"image": "图/鸟.png", "split": "train", "caption": "鸟", "text_id": "t"},
    ]
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    images, texts, bad = raw.read_all(read_source(file, options=columns(where={"split": "train"})))
    assert [image.image_id for image in images] == ["7", "图/鸟.png"]
    assert [(text.text_id, text.caption, text.image_ids) for text in texts] == [
        ("1#1", "猫", ("7",)),
        ("1#2", "白猫", ("7",)),
        ("t", "鸟", ("图/鸟.png",)),
    ]
    assert bad == []


def test_columns_of_other_names_and_separators(folder: Path, raw: Any) -> None:
    file = folder / "a.csv"
    file.write_bytes("编号;文件;说明\n甲;猫.png;一只猫\n".encode("gb18030"))
    options = SourceOptions(
        encoding="gb18030",
        delimiter="semicolon",
        columns=TableColumns(image="文件", caption="说明", image_id="编号", image_root=folder / "图"),
    )
    images, texts, bad = raw.read_all(read_source(file, options=options))
    assert (images[0].image_id, images[0].image) == ("甲", raw.draw(0))
    assert texts[0].caption == "一只猫"
    assert bad == []


@pytest.mark.parametrize(
    ("header", "what"),
    [
        ("a,b", "no image column"),
        ("image,b", "no caption column"),
        ("image,caption,caption", "named twice"),
        ("", "empty"),
    ],
)
def test_a_header_that_does_not_fit_is_refused_at_once(folder: Path, header: str, what: str) -> None:
    file = folder / "a.csv"
    file.write_text(header and f"{header}\n图/猫.png,x,y\n", encoding="utf-8")
    with pytest.raises(SourceError, match=what):
        read_source(file)


def test_a_missing_filter_column_is_refused_with_the_columns_found(folder: Path) -> None:
    file = folder / "a.csv"
    file.write_text("image,caption\n", encoding="utf-8")
    with pytest.raises(SourceError, match="found image, caption"):
        read_source(file, options=columns(where={"split": "train"}))


def test_bad_rows_are_told_once_each_with_their_line(folder: Path, raw: Any) -> None:
    file = folder / "a.csv"
    file.write_bytes(
        "image,caption\n"
        "图/猫.png,猫\n"  # 2
        "图/没有.png,不在\n"  # 3 no such file
        "图/狗.png\n"  # 4 a column short
        "图/狗.png, \n"  # 5 empty caption
        ",空路径\n"  # 6 empty path
        '"图/鸟.png"x,鸟\n'.encode()  # 7 no CSV
        + b"\xb9\xb7,\xb9\xb7\n"  # 8 GB18030
    )
    images, texts, bad = raw.read_all(read_source(file))
    assert [image.image_id for image in images] == ["图/猫.png", "图/狗.png"]
    assert [(row.where, row.reason.partition(":")[0]) for row in bad] == [
        ("a.csv:3", "no such picture file"),
        ("a.csv:4", "columns"),
        ("a.csv:6", "empty id"),
        ("a.csv:7", "not CSV"),
        ("a.csv:8", "not utf-8"),
        ("a.csv:5", "empty caption"),
    ]
    assert [text.caption for text in texts] == ["猫", "不在"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"image": "图/猫.png"}, "missing field: no caption column"),
        ({"image": "图/猫.png", "captions": []}, "wrong type"),
        ({"image": "图/猫.png", "caption": 5}, "wrong type"),
        ({"image": "图/猫.png", "captions": ["猫", None]}, "wrong type"),
        ({"image": ["图/猫.png"], "caption": "猫"}, "wrong type"),
        ({"image": "图/猫.png", "caption": "猫", "image_id": 1.5}, "wrong type"),
    ],
)
def test_wrong_types_in_jsonl_are_reported(folder: Path, raw: Any, row: dict[str, Any], reason: str) -> None:
    file = folder / "a.jsonl"
    file.write_text(json.dumps(row) + "\n", encoding="utf-8")
    _, _, bad = raw.read_all(read_source(file))
    assert [entry.where for entry in bad] == ["a.jsonl:1"]
    assert bad[0].reason.startswith(reason)


def test_paths_stay_inside_the_image_root(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, raw: Any
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "secret.png"
    outside.write_bytes(raw.draw(9))
    (folder / "图" / "link.png").symlink_to(outside)
    names = [
        f"../{outside.parent.name}/secret.png",
        str(outside),
        "图/link.png",
        "图/../图/猫.png",
        "图\\狗.png",
    ]
    file = folder / "a.jsonl"
    file.write_text(
        "".join(json.dumps({"image": name, "caption": "x"}) + "\n" for name in names), encoding="utf-8"
    )
    images, _, bad = raw.read_all(read_source(file))
    assert [image.where for image in images] == ["a.jsonl:4", "a.jsonl:5"]
    assert all("--image-root" in row.reason or "no such" in row.reason for row in bad)
    assert len(bad) == 3
    wide = columns(image_root=Path("/"))
    absolute = folder / "b.jsonl"
    absolute.write_text(json.dumps({"image": str(outside), "caption": "x"}) + "\n", encoding="utf-8")
    images, _, bad = raw.read_all(read_source(absolute, options=wide))
    assert images[0].image == raw.draw(9)
    assert bad == []


def test_columns_are_refused_for_other_kinds_and_unknown_files_are_named(animals: Path, folder: Path) -> None:
    with pytest.raises(SourceError, match="do not belong to a cn_clip source"):
        read_source(animals, options=columns(image="x"))
    (folder / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(SourceError, match="not a known source"):
        read_source(folder / "a.parquet")


def test_pictures_that_are_not_found_lead_to_the_image_root(folder: Path, tmp_path: Path, raw: Any) -> None:
    (tmp_path / "表").mkdir()
    file = tmp_path / "表" / "a.csv"
    file.write_text("image,caption\n猫.png,猫\n狗.png,狗\n", encoding="utf-8")
    images, _, bad = raw.read_all(read_source(file))
    assert images == []
    assert len(bad) == 2
    assert all("use --image-root" in row.reason for row in bad)
    images, _, bad = raw.read_all(read_source(file, options=columns(image_root=folder / "图")))
    assert (len(images), bad) == (2, [])
