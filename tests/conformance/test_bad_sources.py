"""Malformed tables, folders, archives and databases: the right exit code, the place, a fix, no store."""

from __future__ import annotations

import base64
import gzip
import io
import json
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb
import pytest

Draw = Callable[..., bytes]
Cli = Callable[..., Any]
Write = Callable[[Path, bytes], Path]


def table(name: str, content: str | bytes, encoding: str = "utf-8") -> Write:
    """A table beside the picture 猫.png."""

    def write(folder: Path, picture: bytes) -> Path:
        (folder / "猫.png").write_bytes(picture)
        data = content if isinstance(content, bytes) else content.encode(encoding)
        (folder / name).write_bytes(data)
        return folder / name

    return write


def files(**contents: str | bytes) -> Write:
    """Files by name, `__` for a slash and `_` for a dot; 0 is the picture."""

    def write(folder: Path, picture: bytes) -> Path:
        for name, content in contents.items():
            path = folder / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            data = picture if content == "0" else content
            path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return folder

    return write


def shard(*members: tuple[str, str | bytes], name: str = "0.tar", cut: int = 0, flip: int = -1) -> Write:
    """A tar whose first members are whole, cut by some bytes or with a flipped bit."""

    def write(folder: Path, picture: bytes) -> Path:
        whole: list[tuple[str, str | bytes]] = [("a.png", "0"), ("a.txt", "好"), *members]
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for member, content in whole:
                data = picture if content == "0" else content
                data = data if isinstance(data, bytes) else data.encode()
                info = tarfile.TarInfo(member)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        packed = bytearray(buffer.getvalue())
        if flip >= 0:
            packed[flip] ^= 4
        data = gzip.compress(bytes(packed)) if name.endswith("gz") else bytes(packed)
        (folder / name).write_bytes(data[: len(data) - cut])
        return folder / name

    return write


def parquet(rows: dict[str, list[Any]], cut: int = 0, middle: bytes = b"") -> Write:
    def write(folder: Path, picture: bytes) -> Path:
        import pyarrow
        from pyarrow import parquet

        cells = {name: [picture if cell == "0" else cell for cell in column] for name, column in rows.items()}
        path = folder / "train.parquet"
        parquet.write_table(pyarrow.table(cells), path, compression="none")
        data = path.read_bytes()
        path.write_bytes(data[:40] + middle + data[40 + len(middle) : len(data) - cut])
        return path

    return write


def database(
    *, pairs: dict[bytes, bytes] | None = None, images: dict[bytes, bytes] | None = None, cut: int = 0
) -> Write:
    """cn_clip's LMDB with one pair, and some records changed."""

    def write(folder: Path, picture: bytes) -> Path:
        good = pickle.dumps((1, 1, "一只猫"))
        for part, records in (
            ("pairs", {b"0": good, b"num_samples": b"1", **(pairs or {})}),
            ("imgs", {b"1": base64.b64encode(picture), b"num_images": b"1", **(images or {})}),
        ):
            (folder / "train" / part).mkdir(parents=True)
            opened = lmdb.open(str(folder / "train" / part), map_size=1 << 20)
            with opened as environment, environment.begin(write=True) as transaction:
                for key, value in records.items():
                    transaction.put(key, value)
        data = folder / "train" / "imgs" / "data.mdb"
        data.write_bytes(data.read_bytes()[: data.stat().st_size - cut])
        return folder / "train"

    return write


def coco(**changes: Any) -> str:
    content = {
        "images": [{"id": 1, "file_name": "猫.png"}],
        "annotations": [{"id": 1, "image_id": 1, "caption": "一只猫"}],
    }
    return json.dumps({**content, **changes}, ensure_ascii=False)


def link_out(folder: Path, picture: bytes) -> Path:
    (folder.parent / "外.png").write_bytes(picture)
    (folder / "a.png").symlink_to(folder.parent / "外.png")
    (folder / "a.txt").write_text("外面的图")
    return files(b_png="0", b_txt="好")(folder, picture)


def name_of_bytes(folder: Path, picture: bytes) -> Path:
    with open(bytes(folder) + b"/\xff\xfe.png", "wb") as file:
        file.write(picture)
    return files(b_png="0", b_txt="好")(folder, picture)


def nowhere(folder: Path, picture: bytes) -> Path:
    return folder / "没有"


GOOD_ROW = "image,caption\n猫.png,一只猫\n"
JSON_ROW = '{"image": "猫.png", "caption": "一只猫"}\n'
BOMB = b"cos\nsystem\n(S'true'\ntR."
COCO_CUT = coco(annotations=[{"id": n, "image_id": 1, "caption": "猫"} for n in (1, 2)])[:-20]
COCO_CUT_EARLY = coco()[:30]
# fault -> (writer, place, what the message says, exit code)
FAULTS: dict[str, tuple[Write, str, str, int]] = {
    "csv: no column of pictures": (table("t.csv", "a,caption\nx,y\n"), "t.csv:1", "no image column", 3),
    "csv: no column of captions": (table("t.csv", "image,b\nx,y\n"), "t.csv:1", "no caption column", 3),
    "csv: a column twice": (table("t.csv", "image,caption,image\n"), "t.csv:1", "named twice", 3),
    "csv: empty": (table("t.csv", ""), "t.csv:1", "the table is empty", 3),
    "csv: only a BOM": (table("t.csv", b"\xef\xbb\xbf"), "t.csv:1", "the table is empty", 3),
    "csv: a cell too few": (table("t.csv", GOOD_ROW + "猫.png\n"), "t.csv:3", "columns: found 1", 3),
    "csv: a cell too many": (table("t.csv", GOOD_ROW + "猫.png,a,b\n"), "t.csv:3", "columns: found 3", 3),
    "csv: a quote left open": (table("t.csv", GOOD_ROW + '猫.png,"a\nb\n'), "t.csv:3", "not CSV", 3),
    "csv: text behind a quote": (table("t.csv", GOOD_ROW + '猫.png,"a"b\n'), "t.csv:3", "not CSV", 3),
    "csv: NUL": (table("t.csv", GOOD_ROW + "猫.png,a\x00\n"), "t.csv:3", "", 3),
    "csv: picture missing": (table("t.csv", GOOD_ROW + "狗.png,狗\n"), "t.csv:3", "no such picture file", 3),
    "csv: path leads out": (table("t.csv", GOOD_ROW + "../猫.png,x\n"), "t.csv:3", "", 3),
    "csv: absolute path": (table("t.csv", GOOD_ROW + "/etc/hostname,x\n"), "t.csv:3", "outside of the im", 3),
    "csv: no path": (table("t.csv", GOOD_ROW + ",x\n"), "t.csv:3", "empty id", 3),
    "csv: no caption": (table("t.csv", GOOD_ROW + "猫.png,\n"), "t.csv:3", "empty caption", 3),
    "csv: GBK among UTF-8": (
        table("t.csv", (GOOD_ROW * 3).encode() + "猫.png,两条狗\n".encode("gb18030")), ":7", "GB18030", 3),
    "csv: UTF-16 cut": (table("t.csv", GOOD_ROW.encode("utf-16")[:-1]), "t.csv:", "cut or damaged", 3),
    "csv: gzip cut": (table("t.csv.gz", gzip.compress(GOOD_ROW.encode())[:-9]), "t.csv.gz", "cut", 3),
    "tsv: a cell too many": (
        table("t.tsv", "image\tcaption\n猫.png\ta\tb\n"), "t.tsv:2", "columns: found 3", 3),
    "tsv: commas": (table("t.tsv", GOOD_ROW), "t.tsv:1", "no image column", 3),
    "jsonl: field missing": (table("t.jsonl", JSON_ROW + '{"image": "猫.png"}'), "t.jsonl:2", "missing", 3),
    "jsonl: caption a number": (
        table("t.jsonl", JSON_ROW + '{"image": "猫.png", "caption": 7}'), "t.jsonl:2", "wrong type", 3),
    "jsonl: no captions": (
        table("t.jsonl", JSON_ROW + '{"image": "猫.png", "captions": []}'), "t.jsonl:2", "wrong type", 3),
    "jsonl: a caption null": (
        table("t.jsonl", JSON_ROW + '{"image": "猫.png", "captions": ["a", null]}'), ":2", "null", 3),
    "jsonl: image a list": (
        table("t.jsonl", JSON_ROW + '{"image": ["猫.png"], "caption": "a"}'), ":2", "wrong type", 3),
    "jsonl: line cut": (table("t.jsonl", JSON_ROW + JSON_ROW[:-8]), "t.jsonl:2", "not JSON", 3),
    "json: list cut": (table("t.json", f"[{JSON_ROW}, {JSON_ROW}"[:-6]), "t.json", "not JSON", 3),
    "folder: caption without picture": (files(a_png="0", a_txt="好", b_txt="x"), "b.txt", "no picture", 3),
    "folder: GBK": (files(a_png="0", a_txt="两条狗".encode("gb18030")), "a.txt:1", "GB18030", 3),
    "folder: picture of 0 bytes": (files(a_png="0", a_txt="好", b_png=""), "b.png", "0 bytes", 3),
    "folder: a web page": (files(a_png="0", a_txt="好", b_jpg="<html>"), "b.jpg", "not an image", 3),
    "folder: blank line": (files(a_png="0", a_txt="好\n\u3000\u200b\n"), "a.txt:2", "empty caption", 3),
    "folder: sidecar is no JSON": (files(a_png="0", a_json="{"), "a.json", "not JSON", 3),
    "folder: no pictures": (files(a_doc="x"), "", "the folder holds 1 .doc", 3),
    "folder: empty": (files(), "", "the folder holds nothing", 3),
    "folder: link to the outside": (link_out, "a.png", "", 3),
    "folder: name that is no text": (name_of_bytes, ".png", "", 3),
    "classes: label without folder": (
        files(labels_txt="猫\t猫\n鱼\t鱼\n", 猫__a_png="0"), "labels.txt", "", 3),
    "coco: cut before its captions": (
        files(captions_json=COCO_CUT_EARLY, 猫_png="0"), "captions.json", "not JSON", 3),
    "coco: cut": (files(captions_json=COCO_CUT, 猫_png="0"), "captions.json", "not JSON", 3),
    "coco: picture missing": (files(captions_json=coco()), "captions.json", "no picture 猫.png", 3),
    "coco: caption missing": (
        files(captions_json=coco(annotations=[{"id": 1, "image_id": 1, "caption": None}]), 猫_png="0"),
        "captions.json", "caption is null", 3),
    "coco: unknown picture": (
        files(captions_json=coco(annotations=[{"id": 1, "image_id": 7, "caption": "x"}]), 猫_png="0"),
        "captions.json", "dangling id", 3),
    "flickr: no caption": (
        files(captions_txt="猫.png#0 猫\n猫.png#1\n猫.png#2 猫\n", 猫_png="0"), "captions.txt:2", "", 3),
    "flickr: picture missing": (
        files(captions_txt="猫.png#0 一只猫\n狗.png#0 狗\n", 猫_png="0"), "captions.txt:2", "no such", 3),
    "tar: cut": (shard(("b.png", "0"), cut=9000), "0.tar@", "damaged archive: truncated", 3),
    "tar: header with a flipped bit": (shard(("b.png", "0"), flip=2050), "0.tar@2048", "bad checksum", 3),
    "tar: no tar": (table("0.tar", b"\x07" * 2000), "0.tar@0", "damaged header", 3),
    "tar: empty file": (table("0.tar", b""), "0.tar@0", "truncated", 3),
    "tar: caption without picture": (shard(("b.txt", "x")), "0.tar@2048", "no picture", 3),
    "tar: GBK": (shard(("b.png", "0"), ("b.txt", "两条狗".encode("gb18030"))), "0.tar@", "not utf-8", 3),
    "tar: cut picture": (shard(("b.png", b"\x89PNG\r\n\x1a\n"), ("b.txt", "x")), "0.tar@", "bad picture", 3),
    "tar: gzip cut": (shard(("b.png", "0"), name="0.tar.gz", cut=30), "0.tar.gz", "damaged archive", 3),
    "parquet: footer cut": (parquet({"image": ["0"], "caption": ["x"]}, cut=5), "train.parquet", "again", 3),
    "parquet: middle damaged": (
        parquet({"image": ["0"], "caption": ["x" * 900]}, middle=b"\xff" * 60), "train.parquet", "", 3),
    "parquet: null": (parquet({"image": ["0", None], "caption": ["x", "y"]}), "train.parquet:2", "", 3),
    "parquet: captions are numbers": (
        parquet({"image": ["0"], "caption": [7]}), "train.parquet:1", "wrong type", 3),
    "parquet: no pictures": (parquet({"a": ["0"], "caption": ["x"]}), "train.parquet", "no image column", 3),
    "lmdb: cut": (database(cut=4096), "imgs", "LMDB", 4),
    "lmdb: count too small": (
        database(pairs={b"1": pickle.dumps((1, 2, "旧"))}), "pairs/1", "stale pair", 3),
    "lmdb: no base64": (database(images={b"1": b"!"}), "imgs/1", "bad base64", 3),
    "lmdb: pair of two": (database(pairs={b"0": pickle.dumps((1, "x"))}), "pairs/0", "wrong type", 3),
    "lmdb: pickle that calls": (database(pairs={b"0": BOMB}), "pairs/0", "nothing of it was run", 8),
    "nothing there": (nowhere, "没有", "no such file or folder", 3),
    "a file of no kind": (table("a.docx", b"PK\x03\x04"), "a.docx", "not a known source", 3),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_malformed_source_is_refused(fault: str, draw: Draw, cli: Cli, tmp_path: Path) -> None:
    write, place, message, code = FAULTS[fault]
    folder = tmp_path / "源"
    folder.mkdir()
    source = write(folder, draw(1))
    target = tmp_path / "out" / "s"
    ended = cli("data", "build", source, target)
    assert ended.code == code, ended
    assert ended.is_told(), ended.err
    assert place in ended.err and message in ended.err, ended.err
    assert str(folder) in ended.place
    assert not target.exists() and not list(target.parent.glob(".*"))
