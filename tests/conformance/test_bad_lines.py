"""Malformed cn_clip files, each with one fault: exit 3, the file and line named, a fix, nothing written."""

from __future__ import annotations

import base64
import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Draw = Callable[..., bytes]
CnClip = Callable[..., Path]
Cli = Callable[..., Any]

IMAGES, TEXTS = "train_imgs.tsv", "train_texts.jsonl"


def text(**changes: object) -> bytes:
    """A caption's line, with some fields changed; None leaves one out."""
    row: dict[str, object] = {"text_id": 9, "text": "一只猫", "image_ids": [0], **changes}
    kept = {name: value for name, value in row.items() if value is not ...}
    return json.dumps(kept, ensure_ascii=False).encode("utf-8", "surrogatepass")


# fault -> (line that follows the one good line, what the message says)
CAPTIONS: dict[str, tuple[bytes, str]] = {
    "GBK": (text(text="两条狗在草地上").decode().encode("gb18030"), "looks like GB18030"),
    "invalid UTF-8": (b'{"text_id": 9, "text": "\xff", "image_ids": [0]}', "not utf-8: byte 25"),
    "UTF-16 without a mark": (text().decode().encode("utf-16-le"), "not utf-8"),
    "BOM inside of the file": (b"\xef\xbb\xbf" + text(), "not JSON"),
    "NUL": (text(text="猫\x00狗"), "holds NUL"),
    "NUL as it is": (b'{"text_id": 9, "text": "\x00", "image_ids": [0]}', "not JSON"),
    "lone surrogate": (b'{"text_id": 9, "text": "\\ud800", "image_ids": [0]}', "U+D800"),
    "surrogate in UTF-8": (text(text="\udc00"), "not utf-8"),
    "empty caption": (text(text=""), "empty caption"),
    "blank caption": (text(text=" \t　\u200b\ufeff"), "empty caption"),
    "caption of 70 kB": (text(text="长" * 24_000), "caption too long: 72000 bytes"),
    "no JSON": (b"{'text_id': 9}", "not JSON"),
    "cut in the middle": (text()[:-9], "not JSON"),
    "two objects": (text() + text(), "not JSON"),
    "a list": (b'[9, "x", [0]]', "not a JSON object"),
    "nested without end": (b"[" * 100_000, "not JSON"),
    "number of 5000 digits": (text(text_id="@").replace(b'"@"', b"1" * 5000), "not JSON"),
    "text missing": (text(text=...), "missing field: text; found text_id, image_ids"),
    "image_ids missing": (text(image_ids=...), "missing field: image_ids"),
    "text_id missing": (text(text_id=...), "missing field: text_id"),
    "other names": (b'{"id": 9, "caption": "x", "images": [0]}', "missing field: text_id, text, image_ids"),
    "text null": (text(text=None), "text is null"),
    "text a number": (text(text=7), "wrong type"),
    "text a list": (text(text=["猫"]), "text is a list"),
    "image_ids a string": (text(image_ids="0"), "image_ids is a string, must be a list"),
    "image_ids a number": (text(image_ids=0), "must be a list of ids"),
    "image_ids nested": (text(image_ids=[[0]]), "image_ids[0] is a list"),
    "image_ids with a fraction": (text(image_ids=[0.0]), "image_ids[0] is a fraction"),
    "image_ids with null": (text(image_ids=[None]), "image_ids[0] is null"),
    "text_id true": (text(text_id=True), "text_id is true/false"),
    "text_id an object": (text(text_id={}), "text_id is an object"),
    "text_id empty": (text(text_id="  "), "empty id"),
    "text_id with NUL": (text(text_id="a\x00"), "holds NUL"),
    "dangling id": (text(image_ids=[42]), "dangling id: the source has no picture '42'"),
    "dangling id among good ones": (text(image_ids=[0, "042"]), "dangling id"),
    "duplicate id": (text(text_id=0), f"another caption has it at {TEXTS}:1"),
}

PICTURES: dict[str, tuple[bytes, str]] = {
    "no tab": (b"8", "columns: found 1"),
    "spaces for a tab": (b"8 iVBORw==", "columns: found 1"),
    "two tabs": (b"8\tiVBORw==\tx", "columns: found 3"),
    "no id": (b"\tiVBORw==", "empty id"),
    "id in GBK": ("猫咪".encode("gb18030") + b"\tiVBORw==", "not utf-8"),
    "id with NUL": (b"8\x00\tiVBORw==", "holds NUL"),
    "no base64": (b"8\t", "bad base64"),
    "foreign characters": (b"8\tiVB!Rw==", "bad base64"),
    "space in base64": (b"8\tiVBO Rw==", "bad base64"),
    "padding missing": (b"8\tiVBORw=", "bad base64"),
    "padding too much": (b"8\tiVBORw======", "bad base64"),
    "two alphabets": (b"8\t-_+/", "mixes the standard and the URL-safe"),
    "a path": (b"8\t/home/user/cat.jpg", "bad base64"),
    "random bytes": (b"8\t" + base64.b64encode(bytes(range(256))), "not an image of an accepted format"),
    "a web page": (b"8\t" + base64.b64encode(b"<!DOCTYPE html><p>404"), "it begins with b'<!DOCTYPE html>"),
    "four bytes of a PNG": (b"8\tiVBORw==", "not an image"),
}


def check(cli: Cli, source: Path, place: str, message: str, target: Path, *words: str) -> None:
    """Build, and be refused in the form that every error has."""
    ended = cli("data", "build", source, target, *words)
    assert ended.code == 3, ended
    assert ended.is_told(), ended.err
    assert message in ended.err, ended.err
    assert place in ended.err, ended.err
    assert str(source.parent) in ended.place or str(source) in ended.place
    assert not target.exists()
    assert not list(target.parent.glob(".*"))


@pytest.mark.parametrize("fault", CAPTIONS)
def test_a_bad_caption_is_refused_by_line(fault: str, cn_clip: CnClip, cli: Cli, tmp_path: Path) -> None:
    line, message = CAPTIONS[fault]
    source = cn_clip(tmp_path / "源", texts=[line, text(text_id=10)])
    check(cli, source, f"{TEXTS}:2", message, tmp_path / "out" / "s")
    (row,) = (tmp_path / "out" / "s.rejects.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(row)["where"] == f"{TEXTS}:2"


@pytest.mark.parametrize("fault", PICTURES)
def test_a_bad_picture_row_is_refused_by_line(fault: str, cn_clip: CnClip, cli: Cli, tmp_path: Path) -> None:
    line, message = PICTURES[fault]
    source = cn_clip(tmp_path / "源", images=[line])
    check(cli, source, f"{IMAGES}:2", message, tmp_path / "out" / "s")


def test_another_picture_of_the_same_id_is_refused_with_both_lines(
    cn_clip: CnClip, draw: Draw, cli: Cli, tmp_path: Path
) -> None:
    source = cn_clip(tmp_path / "源", images=[b"0\t" + base64.b64encode(draw(5))])
    both = f"{IMAGES}:2 [0] duplicate id: another picture has it at {IMAGES}:1"
    check(cli, source, f"{IMAGES}:2", both, tmp_path / "out" / "s")


@pytest.mark.parametrize(("form", "kept"), [("PNG", 0.5), ("JPEG", 0.5), ("WEBP", 0.5), ("GIF", 0.5)])
def test_a_cut_picture_is_refused_by_line(
    form: str, kept: float, cn_clip: CnClip, draw: Draw, cli: Cli, tmp_path: Path
) -> None:
    whole = draw(3, size=64, form=form)
    line = b"8\t" + base64.b64encode(whole[: int(len(whole) * kept)])
    source = cn_clip(tmp_path / "源", images=[line])
    check(
        cli, source, f"{IMAGES}:2", "bad picture: the image is truncated or damaged", tmp_path / "out" / "s"
    )


def utf_16(folder: Path) -> None:
    content = (folder / TEXTS).read_text(encoding="utf-8")
    (folder / TEXTS).write_text(content, encoding="utf-16")


def cut_gzip(folder: Path) -> None:
    packed = gzip.compress((folder / TEXTS).read_bytes() * 3)
    (folder / TEXTS).unlink()
    (folder / f"{TEXTS}.gz").write_bytes(packed[:-12])


def gzip_with_a_flipped_bit(folder: Path) -> None:
    packed = bytearray(gzip.compress((folder / TEXTS).read_bytes()))
    packed[-7] ^= 1
    (folder / TEXTS).unlink()
    (folder / f"{TEXTS}.gz").write_bytes(packed)


def gzip_without_its_ending(folder: Path) -> None:
    (folder / TEXTS).write_bytes(gzip.compress((folder / TEXTS).read_bytes()))


def no_texts(folder: Path) -> None:
    (folder / TEXTS).unlink()


def no_images(folder: Path) -> None:
    (folder / IMAGES).unlink()


def nothing_in_it(folder: Path) -> None:
    (folder / IMAGES).write_bytes(b"")
    (folder / TEXTS).write_bytes(b"\n\n")


FILES: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "UTF-16": (utf_16, TEXTS, "is UTF-16"),
    "gzip that is cut": (cut_gzip, f"{TEXTS}.gz", "cut or damaged after line"),
    "gzip with a flipped bit": (gzip_with_a_flipped_bit, f"{TEXTS}.gz", "CRC"),
    "gzip without .gz": (gzip_without_its_ending, TEXTS, "compressed (gzip)"),
    "captions missing": (no_texts, TEXTS, "no such file"),
    "pictures missing": (no_images, IMAGES, "no such file"),
    "empty files": (nothing_in_it, "", "the source has no pictures"),
}


@pytest.mark.parametrize("fault", FILES)
def test_a_bad_file_is_refused_by_name(fault: str, cn_clip: CnClip, cli: Cli, tmp_path: Path) -> None:
    damage, place, message = FILES[fault]
    source = cn_clip(tmp_path / "源", 3)
    damage(source)
    check(cli, source, place, message, tmp_path / "out" / "s")


def test_bad_zips_are_refused_by_name(cn_clip: CnClip, cli: Cli, tmp_path: Path) -> None:
    folder = cn_clip(tmp_path / "源", 3)
    path = tmp_path / "MUGE.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(folder / IMAGES, f"MUGE/{IMAGES}")
        archive.write(folder / TEXTS, f"MUGE/{TEXTS}")
    whole = path.read_bytes()
    target = tmp_path / "out" / "s"
    path.write_bytes(whole[: len(whole) // 2])
    check(cli, path, "MUGE.zip", "not a whole zip archive", target)
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 0x10
    path.write_bytes(flipped)
    check(cli, path, "MUGE.zip", "damaged", target)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "无")
    check(cli, path, "MUGE.zip", "not a known source", target)


def test_what_only_looks_bad_is_read(cn_clip: CnClip, cli: Cli, tmp_path: Path) -> None:
    plain = cn_clip(tmp_path / "a" / "源", 3)
    for fault, change in {
        "BOM": lambda data: b"\xef\xbb\xbf" + data,
        "CRLF": lambda data: data.replace(b"\n", b"\r\n"),
        "blank lines": lambda data: data.replace(b"\n", b"\n\n \n"),
        "no line end at the end": lambda data: data.rstrip(b"\n"),
    }.items():
        folder = tmp_path / fault / "源"
        folder.mkdir(parents=True)
        for name in (IMAGES, TEXTS):
            (folder / name).write_bytes(change((plain / name).read_bytes()))
        assert cli("data", "build", folder, tmp_path / fault / "s").code == 0
    assert cli("data", "build", plain, tmp_path / "a" / "s").code == 0
    prints = {
        json.loads(header.read_text(encoding="utf-8"))["fingerprint"]
        for header in tmp_path.glob("*/s/header.json")
    }
    assert len(prints) == 1
