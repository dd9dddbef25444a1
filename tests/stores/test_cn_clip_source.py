"""cn_clip's TSV and JSONL: what is accepted, what is named as bad and where."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from cnclip.errors import SourceError
from cnclip.stores.raw import SourceOptions, read_source
from cnclip.stores.raw.cn_clip import decode_base64
from cnclip.stores.raw.rows import RowProblem

TRICKY = bytes([0xFB, 0xEF, 0xBE, 0xFF, 0xFE])  # its base64 uses both special characters


def test_reads_pictures_and_captions_in_file_order_with_string_ids(animals: Path, raw: Any) -> None:
    images, texts, bad = raw.read_all(read_source(animals))
    assert [image.image_id for image in images] == ["11", "12", "13", "14"]
    assert images[0].image == raw.draw(11)
    assert images[2].where == "train_imgs.tsv:3"
    assert texts[1].caption == "两只狗在草地上"
    assert texts[1].image_ids == ("12", "13")
    assert texts[3].image_ids == ()
    assert texts[4].where == "train_texts.jsonl:5"
    assert bad == []


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_both_base64_alphabets_give_the_same_bytes(encode: Any) -> None:
    assert decode_base64(encode(TRICKY)) == TRICKY


@pytest.mark.parametrize(
    "text",
    [b"++--", b"QUJD=", b"QUJD====", b"QUI", b"QU JD", b"QU\nJD", b"QUJD!", b"", b"=QUJ", b"\xe5\x9b\xbe"],
)
def test_base64_with_anything_foreign_is_refused(text: bytes) -> None:
    with pytest.raises(RowProblem, match="bad base64"):
        decode_base64(text)


def test_older_field_names_are_understood(tmp_path: Path, raw: Any) -> None:
    row = {"query_id": 7, "query_text": "高级感托特包斜挎", "item_ids": [1, 2]}
    folder = raw.write_cn_clip(tmp_path / "d", [(1, raw.draw(1)), (2, raw.draw(2))], [row])
    _, texts, bad = raw.read_all(read_source(folder))
    assert (texts[0].text_id, texts[0].caption, texts[0].image_ids) == ("7", "高级感托特包斜挎", ("1", "2"))
    assert bad == []


def test_line_ends_bom_and_blank_lines_change_nothing(animals: Path, tmp_path: Path, raw: Any) -> None:
    expected = raw.read_all(read_source(animals))[1]
    variants = {
        "crlf": lambda data: data.replace(b"\n", b"\r\n"),
        "no end": lambda data: data.rstrip(b"\n"),
        "bom": lambda data: b"\xef\xbb\xbf" + data,
    }
    for name, change in variants.items():
        folder = tmp_path / name
        folder.mkdir()
        for file in animals.iterdir():
            (folder / file.name).write_bytes(change(file.read_bytes()))
        images, texts, bad = raw.read_all(read_source(folder))
        assert [image.image for image in images] == [raw.draw(number) for number in (11, 12, 13, 14)]
        assert texts == expected
        assert bad == []
    spaced = animals / "train_texts.jsonl"
    spaced.write_bytes(b"\n\n" + spaced.read_bytes() + b"  \n")
    images, texts, bad = raw.read_all(read_source(animals))
    assert [text.caption for text in texts] == [text.caption for text in expected]
    assert texts[0].where == "train_texts.jsonl:3"
    assert bad == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text_id": 1, "text": null, "image_ids": [1]}', "wrong type: text is null"),
        ('{"text_id": 1, "text": "   ", "image_ids": [1]}', "empty caption"),
        ('{"text_id": 1, "text": "\\u200b\\u3000", "image_ids": [1]}', "empty caption"),
        ('{"text_id": 1, "text": "狗", "image_ids": "12"}', "wrong type: image_ids is a string"),
        ('{"text_id": 1, "text": "狗", "image_ids": [[1]]}', "wrong type: image_ids[0] is a list"),
        ('{"text_id": 1, "text": "狗", "image_ids": [1.5]}', "wrong type: image_ids[0] is a fraction"),
        ('{"text_id": true, "text": "狗", "image_ids": [1]}', "wrong type: text_id is true/false"),
        ('{"text_id": " ", "text": "狗", "image_ids": [1]}', "empty id"),
        (
            '{"text_id": 1, "text": "\\ud800", "image_ids": [1]}',
            "bad character: text holds half of a surrogate",
        ),
        ('{"text_id": 1, "text": "a\\u0000b", "image_ids": [1]}', "bad character: text holds NUL"),
        ('{"text_id": 1, "image_ids": [1]}', "missing field: text; found text_id, image_ids"),
        ("[1, 2]", "not a JSON object"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        (
            '{"text_id": 1, "text": "' + "长" * 30_000 + '", "image_ids": [1]}',
            "caption too long: 90000 bytes",
        ),
    ],
)
def test_bad_caption_rows_are_named_by_line(animals: Path, raw: Any, line: str, reason: str) -> None:
    with open(animals / "train_texts.jsonl", "a", encoding="utf-8") as file:
        file.write(line + "\n")
    _, texts, bad = raw.read_all(read_source(animals))
    assert len(texts) == 5
    assert [row.where for row in bad] == ["train_texts.jsonl:6"]
    assert bad[0].reason.startswith(reason)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"15\n", "columns: found 1"),
        (b"15\tQUJD\tQUJD\n", "columns: found 3"),
        (b"15\tQUJ\n", "bad base64"),
        (b" \tQUJD\n", "empty id"),
        (b"\xff\xfe\tQUJD\n", "not utf-8: byte 1 of the line is 0xff"),
    ],
)
def test_bad_picture_rows_are_named_by_line(animals: Path, raw: Any, line: bytes, reason: str) -> None:
    with open(animals / "train_imgs.tsv", "ab") as file:
        file.write(line)
    images, _, bad = raw.read_all(read_source(animals))
    assert len(images) == 4
    assert [row.where for row in bad] == ["train_imgs.tsv:5"]
    assert bad[0].reason.startswith(reason)


def test_gb18030_text_is_recognised_and_read_when_told(animals: Path, raw: Any) -> None:
    file = animals / "train_texts.jsonl"
    file.write_bytes(file.read_text(encoding="utf-8").encode("gb18030"))
    _, texts, bad = raw.read_all(read_source(animals))
    # the bytes of 一只猫 happen to be UTF-8 too, of other letters; the four other lines give the file away
    assert [row.where for row in bad] == [f"train_texts.jsonl:{line}" for line in (2, 3, 4, 5)]
    assert all("--encoding gb18030" in row.reason for row in bad)
    _, texts, bad = raw.read_all(read_source(animals, options=SourceOptions(encoding="gb18030")))
    assert texts[0].caption == "一只猫"
    assert bad == []


@pytest.mark.parametrize(
    ("start", "name"), [(b"\xff\xfe", "UTF-16"), (b"\x1f\x8b", "gzip"), (b"PK\x03\x04", "zip")]
)
def test_other_kinds_of_files_are_named_with_the_way_out(animals: Path, start: bytes, name: str) -> None:
    (animals / "train_texts.jsonl").write_bytes(start + b"\0" * 10)
    with pytest.raises(SourceError, match=name):
        read_source(animals)


def test_line_separators_inside_a_caption_do_not_split_it(tmp_path: Path, raw: Any) -> None:
    caption = "一\u2028二\x85三"
    folder = raw.write_cn_clip(tmp_path / "d", [(1, raw.draw(1))], [raw.text_row(1, caption, [1])])
    _, texts, bad = raw.read_all(read_source(folder))
    assert [text.caption for text in texts] == [caption]
    assert bad == []


def test_a_line_that_is_too_long_is_skipped_and_the_next_one_read(
    animals: Path, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cnclip.stores.raw.lines.MAX_LINE_BYTES", 500)
    rows = (animals / "train_imgs.tsv").read_bytes()
    (animals / "train_imgs.tsv").write_bytes(b"9\t" + b"QUJD" * 1000 + b"\n" + rows)
    images, _, bad = raw.read_all(read_source(animals))
    assert [image.image_id for image in images] == ["11", "12", "13", "14"]
    assert [(row.where, row.reason.partition(":")[0]) for row in bad] == [
        ("train_imgs.tsv:1", "line too long")
    ]


def test_splits_must_be_named_where_there_are_several(animals: Path, raw: Any) -> None:
    raw.write_cn_clip(animals, [("a", raw.draw(1))], [raw.text_row("x", "验证", ["a"])], split="valid")
    with pytest.raises(SourceError) as caught:
        read_source(animals)
    assert caught.value.fix == "--split train or --split valid"
    with pytest.raises(SourceError, match="no split 'test'"):
        read_source(animals, options=SourceOptions(split="test"))
    by_split = raw.read_all(read_source(animals, options=SourceOptions(split="valid")))[1]
    by_file = raw.read_all(read_source(animals / "valid_texts.jsonl"))[1]
    assert by_split == by_file
    assert by_split[0].caption == "验证"


def test_a_missing_half_of_a_split_is_named(animals: Path) -> None:
    (animals / "train_imgs.tsv").unlink()
    with pytest.raises(SourceError, match=r"train_imgs\.tsv"):
        read_source(animals)


def test_ids_of_any_script_and_length_survive(tmp_path: Path, raw: Any) -> None:
    ids = ["图" * 2000, "num_images", "e\u0301", "🐼 '\"", "../etc/passwd", "001", 1]
    images = [(image_id, raw.draw(number)) for number, image_id in enumerate(ids)]
    texts = [raw.text_row(f"句{number}", "狗", [image_id]) for number, image_id in enumerate(ids)]
    pictures, captions, bad = raw.read_all(read_source(raw.write_cn_clip(tmp_path / "d", images, texts)))
    assert [image.image_id for image in pictures] == [*ids[:2], "é", *ids[3:6], "1"]
    assert [text.image_ids[0] for text in captions] == [image.image_id for image in pictures]
    assert bad == []
