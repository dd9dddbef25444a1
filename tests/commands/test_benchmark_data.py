"""Each benchmark becomes a store from tiny files in exactly the form in which it is handed out."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from cnclip.commands.benchmark_data import place_of, ready_store
from cnclip.errors import RecipeError, StoreError
from cnclip.evaluation.benchmarks import SHIPPED, find_benchmark
from cnclip.evaluation.processes import Processes
from cnclip.stores.reader import StoreReader

PICTURES = 3


def jpeg(number: int) -> bytes:
    buffer = io.BytesIO()
    colour = (number * 83 % 256, number * 47 % 256, number * 131 % 256)
    Image.new("RGB", (24, 24), colour).save(buffer, "jpeg")
    return buffer.getvalue()


def cn_clip_files(folder: Path, split: str) -> None:
    """Chinese-CLIP's two files of a split: the first caption belongs to two pictures, as in MUGE."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [f"{1000 + number}\t{base64.b64encode(jpeg(number)).decode()}\n" for number in range(PICTURES)]
    (folder / f"{split}_imgs.tsv").write_text("".join(pictures), encoding="utf-8")
    answers = [[1000, 1001], [1001], [1002]]
    lines = [
        json.dumps({"text_id": place, "text": f"第{place}件商品", "image_ids": ids}, ensure_ascii=False)
        for place, ids in enumerate(answers)
    ]
    (folder / f"{split}_texts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def zipped(folder: Path, name: str, split: str) -> None:
    """The zip that is handed out: one folder with the files of a split, and those of another one."""
    inner = folder.parent / "inner"
    cn_clip_files(inner, split)
    cn_clip_files(inner, "train")
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
        for file in sorted(inner.iterdir()):
            archive.write(file, f"{name}/{file.name}")


def coco_cn_files(folder: Path) -> None:
    """The authors' files beside the photos of MS-COCO: names without endings, lists of the splits."""
    names = []
    for number, part in enumerate(("train2014", "val2014", "train2014", "val2014")):
        (folder / part).mkdir(parents=True, exist_ok=True)
        names.append(f"COCO_{part}_{number:012}")
        (folder / part / f"{names[-1]}.jpg").write_bytes(jpeg(number))
    lines = [f"{name}#{place}\t{name[-1]}号图，第{place}句" for name in names for place in range(2)]
    captions = folder / "imageid.human-written-caption.txt"
    captions.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "imageid.manually-translated-caption.txt").write_bytes(captions.read_bytes())
    (folder / "coco-cn_train.txt").write_text(f"{names[0]}\n", encoding="utf-8")
    (folder / "coco-cn_test.txt").write_text("\n".join(names[1:]) + "\n", encoding="utf-8")


def flickr8k_files(folder: Path) -> None:
    (folder / "Flicker8k_Dataset").mkdir(parents=True)
    names = [f"100026820{number}_693b08cb0e" for number in range(4)]
    for number, name in enumerate(names):
        (folder / "Flicker8k_Dataset" / f"{name}.jpg").write_bytes(jpeg(number))
    lines = [f"{name}.jpg#zhc#{place} 第{place}句，{name[:10]}" for name in names for place in range(2)]
    (folder / "flickr8kzhc.caption.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "flickr8kzhmtest.captions.txt").write_text(f"{names[0]}.jpg#zhm#0 别的\n", encoding="utf-8")
    (folder / "flickr8ktest.txt").write_text("\n".join(names[1:]) + "\n", encoding="utf-8")
    (folder / "flickr8ktrain.txt").write_text(f"{names[0]}\n", encoding="utf-8")


def aic_files(folder: Path) -> None:
    pictures = folder / "caption_validation_images_20170910"
    pictures.mkdir(parents=True)
    rows = []
    for number in range(PICTURES):
        name = f"{number:040x}.jpg"
        (pictures / name).write_bytes(jpeg(number))
        captions = [f"房间里有{number}个人，第{place}句" for place in range(5)]
        rows.append({"url": f"http://x/{number}", "image_id": name, "caption": captions})
    text = json.dumps(rows)
    (folder / "caption_validation_annotations_20170910.json").write_text(text, encoding="utf-8")


def aic_folder(folder: Path) -> None:
    aic_files(folder / "ai_challenger_caption_validation_20170910")


def wukong_files(folder: Path) -> None:
    (folder / "wukong_test").mkdir(parents=True)
    lines = ["dir,caption"]
    for number in range(PICTURES):
        (folder / "wukong_test" / f"{number:05}.jpg").write_bytes(jpeg(number))
        lines.append(f'wukong_test/{number:05}.jpg,"第{number}张，网上的图"')
    (folder / "wukong_test.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def xm3600_files(folder: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    folder.mkdir(parents=True)
    for language, word in (("zh", "第"), ("en", "no. ")):
        rows = [
            {
                "image_id": f"{number:016x}",
                "image_locale": "quz",
                "captions": [f"{word}{number}", f"{word}{number}!"],
                "captions_tokenized": ["x"],
                "captions_tokenized_lowercase": ["x"],
                "image": {"bytes": jpeg(number), "path": None},
            }
            for number in range(PICTURES)
        ]
        parquet.write_table(arrow.Table.from_pylist(rows), folder / f"{language}-00000-of-00001.parquet")


FORMS: list[tuple[str, Callable[[Path], None], tuple[int, int, int]]] = [
    ("muge", lambda folder: zipped(folder, "MUGE", "valid"), (3, 3, 4)),
    ("muge", lambda folder: cn_clip_files(folder, "valid"), (3, 3, 4)),
    ("muge", lambda folder: cn_clip_files(folder / "MUGE", "valid"), (3, 3, 4)),
    ("flickr30k-cn", lambda folder: zipped(folder, "Flickr30k-CN", "test"), (3, 3, 4)),
    ("flickr30k-cn", lambda folder: cn_clip_files(folder, "test"), (3, 3, 4)),
    ("coco-cn", lambda folder: zipped(folder, "COCO-CN", "test"), (3, 3, 4)),
    ("coco-cn", coco_cn_files, (3, 6, 6)),
    ("flickr8k-cn", flickr8k_files, (3, 6, 6)),
    ("aic-icc", aic_files, (3, 15, 15)),
    ("aic-icc", aic_folder, (3, 15, 15)),
    ("wukong-test", wukong_files, (3, 3, 3)),
    ("xm3600-zh", xm3600_files, (3, 6, 6)),
]


@pytest.mark.parametrize(
    ("name", "write", "counts"), FORMS, ids=[f"{place}-{name}" for place, (name, *_) in enumerate(FORMS)]
)
def test_the_distributed_files_become_a_store(
    tmp_path: Path, name: str, write: Callable[[Path], None], counts: tuple[int, int, int]
) -> None:
    place = place_of(find_benchmark(name), tmp_path / "原始 数据", tmp_path / "库")
    assert place.state == "missing"
    write(place.data)
    assert place.state == "raw"
    place.make()
    assert place.state == "store"
    with StoreReader(place.store) as reader:
        assert (reader.image_count, reader.text_count, reader.pair_count) == counts
        assert not any("别的" in caption for caption in reader.captions())


def test_a_store_that_is_too_small_is_refused_however_it_came_to_be(tmp_path: Path) -> None:
    cn_clip_files(tmp_path / "muge", "valid")
    place = place_of(find_benchmark("muge"), tmp_path / "muge", tmp_path / "库")
    for _ in range(2):  # right after it was built, and when it is there
        with pytest.raises(StoreError, match="3 pictures instead of 29806, 3 captions instead of 5008"):
            ready_store(place, Processes())


def test_only_a_store_that_the_command_has_just_made_is_said_to_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    muge = find_benchmark("muge")
    cn_clip_files(tmp_path / "muge", "valid")
    remedies = []
    for store in (tmp_path / "库", tmp_path / "库", None, None):  # each one made, then found
        with pytest.raises(StoreError) as caught:
            ready_store(place_of(muge, tmp_path / "muge", store), Processes())
        remedies.append(caught.value.fix or "")
    assert ["remove" in fix for fix in remedies] == [True, False, True, False]
    assert remedies[1] == "is this the right --store?"
    assert "move" in remedies[3] and "--store" not in remedies[3]


def test_a_command_that_is_none_is_named(tmp_path: Path) -> None:
    text = (SHIPPED / "emoji.yaml").read_text(encoding="utf-8").replace("data build", "data biuld")
    (tmp_path / "emoji.yaml").write_text(text, encoding="utf-8")
    data = tmp_path / "数据"
    (data / "pictures").mkdir(parents=True)
    (data / "heldout.jsonl").touch()
    place = place_of(find_benchmark("emoji", tmp_path), data, tmp_path / "库")
    with pytest.raises(RecipeError, match="asks for 'data biuld', which is no command") as caught:
        place.make()
    assert "data build" in (caught.value.fix or "")
