"""Generated dirty sources: every row is written, rejected with its line, or a repeat; none is lost."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cnclip.images.reencode import check_picture
from cnclip.stores.accounts import BuildReport, RowCount
from cnclip.stores.raw import SourceKind, read_source
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import BuildOptions, build_store

Draw = Callable[..., bytes]
BAD_CAPTIONS: tuple[Any, ...] = ("", " \u3000\u200b", None, 7, ["猫"], "猫\x00", "\ud800", "长" * 30_000)
BAD_PICTURES = (b"", b"<html>", b"\x89PNG\r\n\x1a\n", bytes(40))


@dataclass
class Expected:
    """What must become of the rows, and what the store then holds."""

    images: RowCount = field(default_factory=RowCount)
    texts: RowCount = field(default_factory=RowCount)
    pictures: dict[str, bytes] = field(default_factory=dict)
    captions: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    bad_places: list[str] = field(default_factory=list)
    missing_links: int = 0


def dirty_cn_clip(folder: Path, generator: random.Random, draw: Draw) -> Expected:
    """A cn_clip split of up to 80 rows with every kind of fault, and what must become of it."""
    expected = Expected()
    image_lines, text_lines = [], []
    for number in range(1, generator.randrange(3, 40)):
        where = f"train_imgs.tsv:{number}"
        name = str(generator.randrange(12))
        data = draw(generator.randrange(3))
        line = f"{name}\t".encode() + base64.b64encode(data)
        fault = generator.choice(["none", "none", "none", "base64", "picture", "columns", "id", "blank"])
        if fault == "blank":
            image_lines.append(b" \t ")
            continue
        if fault == "base64":
            line = f"{name}\t@@@".encode()
        elif fault == "picture":
            line = f"{name}\t".encode() + base64.b64encode(generator.choice(BAD_PICTURES[1:]))
        elif fault == "columns":
            line = line + b"\tx"
        elif fault == "id":
            line = b"\xff" + line
        image_lines.append(line)
        if fault != "none" or expected.pictures.get(name, data) != data:
            expected.images.rejected += 1
            expected.bad_places.append(where)
        elif name in expected.pictures:
            expected.images.deduplicated += 1
        else:
            expected.images.written += 1
            expected.pictures[name] = data
    for number in range(1, generator.randrange(2, 40)):
        where = f"train_texts.jsonl:{number}"
        name = str(generator.randrange(15))
        links = [str(generator.randrange(14)) for _ in range(generator.randrange(3))]
        row = {"text_id": name, "text": f"第{generator.randrange(2)}句", "image_ids": links}
        fault = generator.choice(["none", "none", "none", "text", "ids", "field", "json"])
        if fault == "text":
            row["text"] = generator.choice(BAD_CAPTIONS)
        elif fault == "ids":
            row["image_ids"] = generator.choice(["1", None, [1.5], {"1": 1}])
        elif fault == "field":
            del row[generator.choice(list(row))]
        line = json.dumps(row).encode()
        text_lines.append(line[:-2] if fault == "json" else line)
        unique = tuple(dict.fromkeys(links))
        kept = tuple(link for link in unique if link in expected.pictures)
        caption = (str(row.get("text")), kept)
        if fault != "none":
            expected.texts.rejected += 1
            expected.bad_places.append(where)
        elif name in expected.captions and expected.captions[name] == (caption[0], unique):
            expected.texts.deduplicated += 1
        elif name in expected.captions or (unique and not kept):
            expected.texts.rejected += 1
            expected.bad_places.append(where)
        else:
            expected.texts.written += 1
            expected.captions[name] = (caption[0], unique)
            expected.missing_links += len(unique) - len(kept)
            expected.bad_places += [where] * (len(unique) - len(kept))
    expected.captions = {
        name: (text, tuple(link for link in links if link in expected.pictures))
        for name, (text, links) in expected.captions.items()
    }
    folder.mkdir()
    (folder / "train_imgs.tsv").write_bytes(b"".join(line + b"\n" for line in image_lines))
    (folder / "train_texts.jsonl").write_bytes(b"".join(line + b"\n" for line in text_lines))
    return expected


def dirty_table(folder: Path, generator: random.Random, draw: Draw) -> Expected:
    """A JSONL table, one caption a row; each row counts as a picture row and as a caption row."""
    expected = Expected()
    folder.mkdir()
    files = {f"图{number}.png": draw(number) for number in range(4)}
    broken = {f"坏{number}.png": data for number, data in enumerate(BAD_PICTURES)}
    for name, data in {**files, **broken}.items():
        (folder / name).write_bytes(data)
    lines = []
    for number in range(1, generator.randrange(3, 40)):
        where = f"t.jsonl:{number}"
        name = generator.choice([*files, *files, *broken, "没有.png", "../t.jsonl", 7])
        caption = generator.choice(["一只猫", "两只狗𠮷", *BAD_CAPTIONS])
        fault = generator.choice(["none"] * 6 + ["json", "field"])
        row = {"image": name, "caption": caption}
        if fault == "field":
            del row["image"]
        line = json.dumps(row)
        lines.append(line[:-1] if fault == "json" else line)
        good_picture = fault == "none" and name in files
        if not good_picture:
            expected.images.rejected += 1
            expected.bad_places.append(where)
        elif name in expected.pictures:
            expected.images.deduplicated += 1
        else:
            expected.images.written += 1
            expected.pictures[str(name)] = files[str(name)]
        if fault != "none":
            continue  # no row to take a caption from: told once, as a picture row
        text_id, text = (f"{number}#1", caption[0]) if isinstance(caption, list) else (str(number), caption)
        if good_picture and text in ("一只猫", "两只狗𠮷", "猫"):
            expected.texts.written += 1
            expected.captions[text_id] = (text, (str(name),))
        else:
            expected.texts.rejected += 1
            expected.bad_places.append(where)
    (folder / "t.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return expected


def judge(report: BuildReport, expected: Expected, source: Path) -> None:
    rejects = report.rejects.read_text(encoding="utf-8").splitlines() if report.rejects else []
    rows = [json.loads(line) for line in rejects]
    assert all(row["reason"] and row["kind"] in ("image", "text", "link") for row in rows)
    assert sum(report.reasons.values()) == len(rows)
    places = sorted(row["where"] for row in rows)
    assert places == sorted(expected.bad_places)
    assert report.image_rows == expected.images
    assert report.text_rows == expected.texts
    assert report.missing_links == expected.missing_links
    assert len(rows) == report.image_rows.rejected + report.text_rows.rejected + report.missing_links
    with StoreReader(report.path) as reader:
        stored = [reader.image(index) for index in range(reader.image_count)]
        assert {image.image_id: image.image for image in stored} == expected.pictures
        captions = [reader.text(index) for index in range(reader.text_count)]
        assert {text.text_id: (text.caption, text.image_ids) for text in captions} == expected.captions
        facts = reader.header.facts
        for stream, counted in (("image_rows", report.image_rows), ("text_rows", report.text_rows)):
            said = facts[stream]
            assert (
                said["rows_in"]
                == counted.rows_in
                == said["written"] + said["rejected"] + said["deduplicated"]
            )


@pytest.mark.parametrize("count", [pytest.param(40, id="few"), pytest.param(1000, marks=pytest.mark.nightly)])
@pytest.mark.parametrize(
    ("make", "kind"), [(dirty_cn_clip, "cn_clip"), (dirty_table, "table")], ids=["cn_clip", "table"]
)
def test_every_row_is_accounted_for(
    make: Callable[..., Expected], kind: SourceKind, count: int, draw: Draw, tmp_path: Path
) -> None:
    built = 0
    for number in range(count):
        source = tmp_path / f"源{number}"
        expected = make(source, random.Random(f"{kind} {number}"), draw)
        if not expected.pictures:
            continue
        report = build_store(
            read_source(source / "t.jsonl" if kind == "table" else source, kind),
            tmp_path / f"s{number}",
            prepare=check_picture,
            options=BuildOptions(on_bad="skip", max_bad_share=1.0, workers=1 + number % 2),
        )
        judge(report, expected, source)
        built += 1
    assert built > count // 2
