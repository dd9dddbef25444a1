"""COCO's JSON and the caption lines of Flickr-CN and COCO-CN, beside the pictures that they name."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from cnclip.errors import SourceError
from cnclip.stores.raw import SourceOptions, detect, read_source
from cnclip.stores.raw.columns import TableColumns
from cnclip.stores.raw.json_stream import JsonFile


@pytest.fixture
def coco(tmp_path: Path, raw: Any) -> Path:
    """As COCO is unpacked: annotations/ beside the folders of the pictures."""
    root = tmp_path / "coco"
    images, annotations = [], []
    for number, folder in enumerate(("train2014", "val2014", "train2014")):
        (root / folder).mkdir(parents=True, exist_ok=True)
        name = f"COCO_{folder}_{number:012}.jpg"
        (root / folder / name).write_bytes(raw.draw(number, form="JPEG"))
        images.append({"license": 5, "file_name": name, "height": 8, "width": 8, "id": 100 + number})
        annotations += [
            {"image_id": 100 + number, "id": 7 * number + place, "caption": f"第{number}张图，第{place}句𠮷"}
            for place in range(2)
        ]
    (root / "annotations").mkdir()
    document = {
        "info": {"year": 2014, "description": "[{}]"},
        "images": images,
        "licenses": [{"url": "x", "id": 1}],
        "annotations": annotations,
    }
    path = root / "annotations" / "captions_train2014.json"
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")
    (root / "annotations" / "instances.json").write_text(
        json.dumps({"images": images, "annotations": [{"image_id": 1, "bbox": [0, 0, 1, 1]}]})
    )
    return root


@pytest.mark.parametrize("name", ["", "annotations", "annotations/captions_train2014.json"])
def test_coco_is_read_from_its_file_or_its_folders(coco: Path, raw: Any, name: str) -> None:
    assert detect(coco / name).kind == "coco"
    images, texts, bad = raw.read_all(read_source(coco / name))
    assert [image.image_id for image in images] == ["100", "101", "102"]
    assert images[1].image == raw.draw(1, form="JPEG")
    assert images[1].where == "captions_train2014.json:images[1]"
    assert [(text.text_id, text.caption, text.image_ids) for text in texts][:3] == [
        ("0", "第0张图，第0句𠮷", ("100",)),
        ("1", "第0张图，第1句𠮷", ("100",)),
        ("7", "第1张图，第0句𠮷", ("101",)),
    ]
    assert bad == []


def test_pictures_may_lie_elsewhere_when_told(coco: Path, tmp_path: Path, raw: Any) -> None:
    alone = tmp_path / "alone" / "deep" / "captions.json"
    alone.parent.mkdir(parents=True)
    alone.write_bytes((coco / "annotations" / "captions_train2014.json").read_bytes())
    with pytest.raises(SourceError, match=r"no picture COCO_train2014_000000000000\.jpg in") as caught:
        read_source(alone)
    assert caught.value.fix is not None and "--image-root" in caught.value.fix
    options = SourceOptions(columns=TableColumns(image_root=coco))
    assert len(raw.read_all(read_source(alone, options=options))[0]) == 3
    packed = alone.with_name("captions.json.gz")
    packed.write_bytes(gzip.compress(alone.read_bytes()))
    assert len(raw.read_all(read_source(packed, options=options))[1]) == 6


def test_bad_items_are_named_by_their_place(coco: Path, raw: Any) -> None:
    file = coco / "annotations" / "captions_train2014.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    document["images"] += [
        {"id": 1, "file_name": "../secret.jpg"},
        {"id": 2},
        7,
        {"id": 3, "file_name": "no.jpg"},
    ]
    document["annotations"] += [
        {"image_id": 100},
        {"caption": "猫"},
        {"id": 9, "image_id": 100, "caption": ""},
        [],
    ]
    (coco.parent / "secret.jpg").write_bytes(raw.draw(9))
    file.write_text(json.dumps(document), encoding="utf-8")
    images, texts, bad = raw.read_all(read_source(file))
    assert (len(images), len(texts)) == (3, 6)
    assert [(row.where.partition(":")[2], row.reason.partition(":")[0]) for row in bad] == [
        ("images[3]", "outside of the image root"),
        ("images[4]", "missing field"),
        ("images[5]", "wrong type"),
        ("images[6]", "no such picture file"),
        ("annotations[6]", "missing field"),
        ("annotations[7]", "missing field"),
        ("annotations[8]", "empty caption"),
        ("annotations[9]", "wrong type"),
    ]


def test_a_json_file_that_is_cut_anywhere_is_an_error(coco: Path) -> None:
    file = coco / "annotations" / "captions_train2014.json"
    whole = file.read_bytes()
    source = read_source(file)
    end = whole.rindex(b"]")
    for size in range(len(whole) // 2, end, 37):
        file.write_bytes(whole[:size])
        with pytest.raises(SourceError, match=r"not JSON|no list"):
            list(source.texts(lambda _: None))


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 64, 1 << 18])
def test_items_are_the_same_however_the_file_is_cut_into_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr("cnclip.stores.raw.json_stream._PIECE_BYTES", piece)
    items = [1, 23.5e3, -4, '猫\\n𠮷"', {"a": [1, {"b": None}]}, [], True, [[]], "", 0]
    document = {"x": {"list": [9]}, "empty": [], "list": items, "z": 1}
    for number, text in enumerate((json.dumps(document, ensure_ascii=False), json.dumps(document, indent=3))):
        path = tmp_path / f"{number}.json"
        path.write_text("\ufeff" + text, encoding="utf-8")
        assert [value for _, value in JsonFile(path, "x").items("list")] == items
        assert list(JsonFile(path, "x").items("empty")) == []
        assert list(JsonFile(path, "x").names()) == list(document)
    (tmp_path / "top.json").write_text(json.dumps(items), encoding="utf-8")
    assert [value for _, value in JsonFile(tmp_path / "top.json", "x").items(None)] == items


@pytest.mark.parametrize(
    "text", ["", "{", '{"a" 1}', '{"a": 1', '{"list": [1 2]}', "7", '{"list": [1,', "[" * 9999]
)
def test_text_that_is_no_json_is_an_error_with_its_place(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(SourceError, match=r"not JSON|no list"):
        list(JsonFile(path, "x").items("list"))


@pytest.mark.parametrize(
    ("mark", "gap"), [("", "\t"), ("", " "), ("#zhb", " "), ("#enc", "\t"), ("#zhc", "   "), ("#zhmB", " ")]
)
def test_caption_lines_of_flickr_in_all_their_forms(tmp_path: Path, raw: Any, mark: str, gap: str) -> None:
    (tmp_path / "Flicker8k_Dataset").mkdir()
    lines = []
    for number in range(3):
        name = f"100026820{number}_693b08cb0e.jpg"
        (tmp_path / "Flicker8k_Dataset" / name).write_bytes(raw.draw(number, form="JPEG"))
        lines += [f"{name}{mark}#{place}{gap}第{number}张，第{place} 句。" for place in range(2)]
    (tmp_path / "flickr8kzhc.caption.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert detect(tmp_path).kind == "flickr"
    images, texts, bad = raw.read_all(read_source(tmp_path))
    assert [image.image_id for image in images[::2]] == [f"100026820{n}_693b08cb0e.jpg" for n in range(3)]
    assert images[2].image == raw.draw(1, form="JPEG")
    assert images[0].origin == images[1].origin
    assert (texts[3].text_id, texts[3].caption) == (f"1000268201_693b08cb0e.jpg{mark}#1", "第1张，第1 句。")
    assert texts[3].image_ids == ("1000268201_693b08cb0e.jpg",)
    assert bad == []


@pytest.fixture
def coco_cn(coco: Path) -> Path:
    """COCO-CN's text files: names without endings, lists of the splits."""
    folder = coco / "coco-cn"
    folder.mkdir()
    names = sorted(file.stem for file in coco.glob("*2014/*.jpg"))
    lines = [f"{name}#0\t这是{name[-1]}号图" for name in names]
    (folder / "imageid.human-written-caption.txt").write_text("\n".join(lines), encoding="utf-8")
    (folder / "coco-cn_train.txt").write_text("\n".join(names[:2]), encoding="utf-8")
    (folder / "coco-cn_val.txt").write_text(names[2], encoding="utf-8")
    return folder


def test_coco_cn_finds_its_pictures_in_the_folders_of_coco(coco_cn: Path, raw: Any) -> None:
    images, texts, bad = raw.read_all(read_source(coco_cn))
    assert len(images) == len(texts) == 3
    assert images[0].image_id == "COCO_train2014_000000000000"
    assert bad == []
    for split, numbers in (("train", "02"), ("val", "1")):
        options = SourceOptions(split=split)
        texts = raw.read_all(read_source(coco_cn, options=options))[1]
        assert [text.caption[2] for text in texts] == list(numbers)
    with pytest.raises(
        SourceError, match=r"no list of the split 'test'.*coco-cn_train\.txt, coco-cn_val\.txt"
    ):
        read_source(coco_cn, options=SourceOptions(split="test"))


def test_several_caption_files_are_named_and_one_must_be_chosen(coco_cn: Path, raw: Any) -> None:
    other = coco_cn / "imageid.manually-translated-caption.txt"
    other.write_bytes((coco_cn / "imageid.human-written-caption.txt").read_bytes())
    with pytest.raises(SourceError, match="several caption files") as caught:
        read_source(coco_cn)
    assert caught.value.fix is not None and str(other) in caught.value.fix
    assert len(raw.read_all(read_source(other))[1]) == 3


def test_lines_of_another_form_and_pictures_that_are_missing_are_reported(coco_cn: Path, raw: Any) -> None:
    file = coco_cn / "imageid.human-written-caption.txt"
    text = file.read_text(encoding="utf-8")
    file.write_text(
        text + "\nno number\nCOCO_x#0\t没有图\nCOCO_val2014_000000000001#1\t \n", encoding="utf-8"
    )
    _, texts, bad = raw.read_all(read_source(coco_cn))
    assert [(row.where, row.reason.partition(":")[0]) for row in bad] == [
        ("imageid.human-written-caption.txt:4", "not a caption line"),
        ("imageid.human-written-caption.txt:5", "no such picture file"),
        ("imageid.human-written-caption.txt:6", "empty caption"),
    ]
    assert len(texts) == 4


def test_gb18030_caption_lines_are_detected_and_said(coco_cn: Path, raw: Any) -> None:
    file = coco_cn / "imageid.human-written-caption.txt"
    file.write_bytes(file.read_text(encoding="utf-8").encode("gb18030"))
    source = read_source(coco_cn)
    assert source.facts["encoding"] == "gb18030"
    assert raw.read_all(source)[1][0].caption == "这是0号图"
