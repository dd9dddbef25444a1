"""The bundled emoji in every kind of source that can say the same: one store, byte for byte of content."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from cnclip.images.reencode import check_picture
from cnclip.stores.raw import detect, read_source
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import build_store

EMOJI = Path(__file__).resolve().parents[2] / "recipes" / "emoji"
COUNT = 40


class Emoji:
    """Pictures and captions of two styles, and the writers of the kinds."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        lines = (EMOJI / "emoji.jsonl").read_text(encoding="utf-8").splitlines()
        things = {thing["hexcode"]: thing for thing in map(json.loads, lines)}
        self.pictures: dict[str, bytes] = {}
        self.captions: dict[str, list[str]] = {}
        for style in ("blob", "noto"):
            with zipfile.ZipFile(EMOJI / f"{style}.zip") as packed:
                for name in sorted(packed.namelist())[:COUNT]:
                    hexcode = name.removesuffix(".webp")
                    image_id = f"{style}/{hexcode}"
                    self.pictures[image_id] = packed.read(name)
                    self.captions[image_id] = [things[hexcode]["name_zh"], *things[hexcode]["tags_zh"]]

    def texts(self) -> list[tuple[str, str, str]]:
        """(text id, caption, picture id)."""
        return [
            (f"{image_id}#{number}", caption, image_id)
            for image_id, captions in self.captions.items()
            for number, caption in enumerate(captions, 1)
        ]

    def cn_clip(self, folder: Path) -> Path:
        texts = [self.raw.text_row(text_id, text, [image_id]) for text_id, text, image_id in self.texts()]
        return Path(self.raw.write_cn_clip(folder, list(self.pictures.items()), texts))

    def gzip(self, folder: Path) -> Path:
        for file in list(self.cn_clip(folder).iterdir()):
            Path(f"{file}.gz").write_bytes(gzip.compress(file.read_bytes()))
            file.unlink()
        return folder

    def zip(self, folder: Path) -> Path:
        with zipfile.ZipFile(folder / "emoji.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for file in self.cn_clip(folder / "plain").iterdir():
                archive.write(file, f"emoji/{file.name}")
        return folder / "emoji.zip"

    def lmdb(self, folder: Path) -> Path:
        return Path(self.raw.write_lmdb(folder / "lmdb", self.cn_clip(folder / "plain")))

    def files(self, folder: Path) -> None:
        for image_id, data in self.pictures.items():
            path = folder / "pictures" / f"{image_id}.webp"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def table(self, folder: Path) -> Path:
        self.files(folder)
        rows = [
            {
                "image": f"pictures/{image_id}.webp",
                "image_id": image_id,
                "text_id": image_id,
                "captions": captions,
            }
            for image_id, captions in self.captions.items()
        ]
        path = folder / "train.jsonl"
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return path

    def csv(self, folder: Path) -> Path:
        self.files(folder)
        lines = [
            f"{image_id};{text_id};pictures/{image_id}.webp;{text}\r\n"
            for text_id, text, image_id in self.texts()
        ]
        path = folder / "导出.csv"
        path.write_bytes(("sep=;\r\nimage_id;text_id;图片;标题\r\n" + "".join(lines)).encode("gb18030"))
        return path

    def coco(self, folder: Path) -> Path:
        self.files(folder)
        images = [{"id": image_id, "file_name": f"{image_id}.webp"} for image_id in self.pictures]
        annotations = [
            {"id": text_id, "image_id": image_id, "caption": text} for text_id, text, image_id in self.texts()
        ]
        path = folder / "captions.json"
        path.write_text(
            json.dumps({"images": images, "annotations": annotations}, ensure_ascii=False), encoding="utf-8"
        )
        return path

    def webdataset(self, folder: Path) -> Path:
        members: list[tuple[str, bytes]] = []
        for image_id, data in self.pictures.items():
            facts = {"captions": self.captions[image_id]}
            members.append((f"{image_id}.webp", data))
            members.append((f"{image_id}.json", json.dumps(facts, ensure_ascii=False).encode()))
        half = len(members) // 4 * 2
        self.raw.write_tar(folder / "00000.tar", members[:half])
        self.raw.write_tar(folder / "00001.tar", members[half:])
        return folder / "{00000..00001}.tar"

    def parquet(self, folder: Path) -> Path:
        arrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        rows = [
            {
                "image": {"bytes": data, "path": "x.webp"},
                "image_id": image_id,
                "text_id": image_id,
                "caption": self.captions[image_id],
            }
            for image_id, data in self.pictures.items()
        ]
        parquet.write_table(arrow.Table.from_pylist(rows), folder / "train-00000-of-00001.parquet")
        return folder


KINDS = {
    "gzip": "cn_clip",
    "zip": "cn_clip",
    "lmdb": "lmdb",
    "table": "table",
    "csv": "table",
    "coco": "coco",
    "webdataset": "webdataset",
    "parquet": "parquet",
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_emoji_give_the_same_store_from_every_kind(kind: str, tmp_path: Path, raw: Any) -> None:
    emoji = Emoji(raw)
    assert len(emoji.pictures) == 2 * COUNT
    plain = emoji.cn_clip(tmp_path / "tsv")
    expected = build_store(read_source(plain), tmp_path / "expected", prepare=check_picture)
    folder = tmp_path / kind
    folder.mkdir()
    path = getattr(emoji, kind)(folder)
    assert detect(path).kind == KINDS[kind]
    report = build_store(read_source(path), tmp_path / "store", prepare=check_picture)
    assert report.fingerprint == expected.fingerprint
    assert (report.images, report.pairs) == (2 * COUNT, len(emoji.texts()))
    assert report.rejects is None
    with StoreReader(tmp_path / "store") as reader:
        assert reader.image(7).image == list(emoji.pictures.values())[7]
