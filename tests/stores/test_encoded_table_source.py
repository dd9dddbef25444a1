"""Tables as people save them: encodings that are detected and said, Excel's CSV, gzip."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from cnclip.errors import SourceError
from cnclip.stores.raw import SourceOptions, detect, read_source
from cnclip.stores.raw.encodings import detect_encoding

ROWS = [
    ("图/猫.png", '一只白猫,"可爱"'),
    ("图/狗.png", "两只狗；在草地上奔跑"),
    ("图/鸟.png", "小鸟在树枝上唱歌"),
]
TRADITIONAL = "我們在臺灣的夜市裡看見許多好吃的東西，還有一隻貓在窗邊睡覺"


@pytest.fixture
def folder(tmp_path: Path, raw: Any) -> Path:
    (tmp_path / "图").mkdir()
    for number, name in enumerate(("猫.png", "狗.png", "鸟.png")):
        (tmp_path / "图" / name).write_bytes(raw.draw(number))
    return tmp_path


def table(separator: str, line_end: str = "\r\n", first: str = "") -> str:
    def quoted(cell: str) -> str:
        needs = any(character in cell for character in (separator, '"', "\n"))
        return '"' + cell.replace('"', '""') + '"' if needs else cell

    rows = [("image", "caption"), *ROWS]
    return first + "".join(separator.join(map(quoted, row)) + line_end for row in rows)


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-8", "utf-8 (3 of 3 lines)"),
        ("utf-8-sig", "utf-8 with a byte order mark (utf-8-sig)"),
        ("gb18030", "gb18030 (3 of 3 lines)"),
        ("gbk", "gb18030 (3 of 3 lines)"),
        ("utf-16", "utf-16, by its byte order mark"),
    ],
)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_encoding_and_separator_are_detected(
    folder: Path, raw: Any, encoding: str, said: str, separator: str
) -> None:
    file = folder / "a.csv"
    text = (
        table(separator) if separator != "\t" or encoding == "utf-16" else table(separator).replace('"', "”")
    )
    file.write_bytes(text.encode(encoding))
    source = read_source(file)
    images, texts, bad = raw.read_all(source)
    assert getattr(source, "encoding_why") == said  # noqa: B009
    assert [image.image_id for image in images] == [name for name, _ in ROWS]
    assert [text.caption for text in texts[1:]] == [caption for _, caption in ROWS[1:]]
    assert [text.where for text in texts] == ["a.csv:2", "a.csv:3", "a.csv:4"]
    assert bad == []


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030", "utf-16-le", "utf-16-be"])
def test_the_line_that_excel_puts_first_is_no_header(folder: Path, raw: Any, encoding: str) -> None:
    mark = "\ufeff" if encoding.startswith("utf-16") else ""
    file = folder / "a.csv"
    file.write_bytes((mark + table(";", first="sep=;\r\n")).encode(encoding))
    _, texts, bad = raw.read_all(read_source(file))
    assert [(text.where, text.caption) for text in texts] == [
        (f"a.csv:{number}", caption) for number, (_, caption) in enumerate(ROWS, 3)
    ]
    assert bad == []


def test_excels_unicode_text_is_a_table_with_quotes(folder: Path, raw: Any) -> None:
    file = folder / "导出.txt"
    file.write_bytes(table("\t").encode("utf-16"))
    assert detect(file).kind == "table"
    _, texts, bad = raw.read_all(read_source(file))
    assert [text.caption for text in texts] == [caption for _, caption in ROWS]
    assert bad == []


def test_big5_is_told_from_gb18030() -> None:
    lines = "\n".join(TRADITIONAL[start:] for start in range(8)).encode("big5")
    assert detect_encoding(lines).encoding == "big5"
    simplified = "我们在台湾的夜市里看见许多好吃的东西，还有一只猫在窗边睡觉"
    lines = "\n".join(simplified[start:] for start in range(8)).encode("gb18030")
    assert detect_encoding(lines).encoding == "gb18030"


@pytest.mark.parametrize(
    ("sample", "encoding"),
    [
        (b"", "utf-8"),
        (b"image,caption\n", "utf-8"),
        ("猫".encode(), "utf-8"),
        ("猫狗".encode("gb18030"), "gb18030"),
        (b"\xff\xfe", "utf-16"),
        (b"\x80\x81\xff\xff\n" * 9, "utf-8"),
        ("一只猫\n".encode() * 9 + "两只狗在草地\n".encode("gb18030"), "utf-8"),
        ("两只狗在草地\n".encode("gb18030") * 9 + "猫".encode()[:2], "gb18030"),
    ],
)
def test_encodings_of_short_and_mixed_texts(sample: bytes, encoding: str) -> None:
    assert detect_encoding(sample).encoding == encoding


def test_gzip_tables_are_read_and_cut_ones_refused(folder: Path, raw: Any) -> None:
    file = folder / "a.csv.gz"
    whole = gzip.compress(table(",").encode())
    file.write_bytes(whole)
    _, texts, bad = raw.read_all(read_source(file))
    assert [text.caption for text in texts] == [caption for _, caption in ROWS]
    assert bad == []
    for damaged in (whole[:-9], whole[: len(whole) // 2], whole[:40] + b"\0" * 9 + whole[49:]):
        file.write_bytes(damaged)
        with pytest.raises(SourceError, match=r"a\.csv\.gz is cut or damaged after line"):
            raw.read_all(read_source(file))


def test_utf_16_that_breaks_off_is_an_error(folder: Path, raw: Any) -> None:
    file = folder / "a.csv"
    file.write_bytes(table(",").encode("utf-16")[:-1])
    with pytest.raises(SourceError, match="cut or damaged after line 3"):
        raw.read_all(read_source(file))


@pytest.mark.parametrize("name", ["metadata.jsonl", "metadata.csv", "别的.csv"])
def test_the_table_of_a_picture_folder_is_found(folder: Path, raw: Any, name: str) -> None:
    if name.endswith("jsonl"):
        (folder / name).write_text('{"file_name": "图/猫.png", "text": "猫"}\n', encoding="utf-8")
    else:
        (folder / name).write_text("file_name,text\n图/猫.png,猫\n", encoding="utf-8")
    (folder / "notes.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    assert detect(folder).kind == "table"
    _, texts, bad = raw.read_all(read_source(folder))
    assert [text.caption for text in texts] == ["猫"]
    assert bad == []


def test_an_encoding_that_is_given_is_not_guessed(folder: Path, raw: Any) -> None:
    file = folder / "a.csv"
    file.write_bytes(table(",").encode("gb18030"))
    with pytest.raises(SourceError):
        read_source(file, options=SourceOptions(encoding="utf-16"))
    assert len(raw.read_all(read_source(file, options=SourceOptions(encoding="gb18030")))[1]) == 3


def test_a_json_list_is_a_table_too(folder: Path, raw: Any) -> None:
    file = folder / "train.json"
    rows = [
        {"image": "图/猫.png", "caption": ["猫", "白猫"]},
        7,
        {"image": "图/狗.png", "caption": "狗"},
        {"image": "图/没有.png", "caption": "无"},
    ]
    file.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    assert detect(file).kind == "table"
    images, texts, bad = raw.read_all(read_source(file))
    assert [image.image_id for image in images] == ["图/猫.png", "图/狗.png"]
    assert [(text.text_id, text.caption) for text in texts] == [
        ("1#1", "猫"),
        ("1#2", "白猫"),
        ("3", "狗"),
        ("4", "无"),
    ]
    assert [(row.where, row.reason.partition(":")[0]) for row in bad] == [
        ("train.json:2", "not a JSON object"),
        ("train.json:4", "no such picture file"),
    ]
