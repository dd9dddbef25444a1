"""`cnclip data peek`: what was detected, the first pairs, and the problems seen in them."""

from __future__ import annotations

import base64
import io
import json
import shlex
from pathlib import Path

import pytest
from PIL import Image

from cnclip.commands.data import build
from cnclip.commands.data_peek import peek
from cnclip.errors import SourceError


def draw(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 12), (number, 0, 200)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "图片"
    path.mkdir()
    for number in range(7):
        (path / f"{number}.png").write_bytes(draw(number))
    return path


@pytest.fixture
def table(folder: Path) -> Path:
    path = folder / "a.csv"
    rows = [f"{number}.png,第{number}只猫\n" for number in range(7)]
    path.write_bytes(("image,caption\n" + "".join(rows)).encode("gb18030"))
    return path


def test_a_table_is_shown_with_its_encoding_and_first_pairs(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert peek(table, count=2) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{table}: table (a table by its name: .csv)"
    assert "  text: gb18030 (7 of 7 lines)" in lines
    size = len(draw(0))
    assert f"  picture 1: [0.png] PNG 16 x 12, {size} bytes, a.csv:2" in lines
    assert "    caption [2] 第0只猫" in lines
    assert "    caption [3] 第1只猫" in lines
    assert not any("第2只猫" in line for line in lines)  # of a picture that is not shown
    assert "  no problem in the rows read" in lines
    assert lines[-1] == f"next: cnclip data build {shlex.quote(str(table))} STORE"


def test_problems_in_the_rows_read_are_shown_and_all_pictures_taken_where_fewer(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (table.parent / "1.png").write_bytes(b"<html>")
    table.write_text("image,caption\n0.png,一\n1.png,二\nx.png,三\n2.png, \n", encoding="utf-8")
    assert peek(table) == 0
    shown = capsys.readouterr().out
    assert "  picture 2: [1.png] no picture, a.csv:3" in shown
    assert "  problems in the rows read: 3" in shown
    assert "a.csv:4" in shown and "no such picture file" in shown
    assert "a.csv:3 [1.png] bad picture: " in shown
    assert "a.csv:5 [5] empty caption" in shown
    assert "no caption among" in shown


def test_cn_clip_whose_captions_stand_in_another_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = [f"{number}\t{base64.b64encode(draw(number)).decode()}\n" for number in range(9)]
    (tmp_path / "train_imgs.tsv").write_text("".join(images))
    texts = [{"text_id": n, "text": f"第{n}句", "image_ids": [8 - n, 0]} for n in range(9)]
    lines = "".join(json.dumps(text, ensure_ascii=False) + "\n" for text in texts)
    (tmp_path / "train_texts.jsonl").write_text(lines, encoding="utf-8")
    assert peek(tmp_path, count=1) == 0
    shown = capsys.readouterr().out
    assert "files: train_imgs.tsv, train_texts.jsonl" in shown
    assert "    caption [0] 第0句" in shown


def test_a_store_and_a_forced_kind(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build(table, tmp_path / "store", encoding="gb18030")
    capsys.readouterr()
    assert peek(tmp_path / "store", count=3) == 0
    shown = capsys.readouterr().out
    assert "a store of 7 pictures, 7 captions" in shown
    assert "  pair 2: [2.png] PNG 16 x 12" in shown
    assert "第2只猫" in shown
    assert peek(table.parent, kind="folder") == 0
    shown = capsys.readouterr().out
    assert "folder (as told by --kind)" in shown
    assert f"next: cnclip data build {shlex.quote(str(table.parent))} STORE --kind folder" in shown
    with pytest.raises(SourceError, match="no such file or folder"):
        peek(tmp_path / "nothing")
