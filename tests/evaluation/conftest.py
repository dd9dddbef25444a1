"""A tiny real model and a tiny real store of coloured pictures with Chinese captions."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from cnclip.images.transform import ImageTransform, image_transform
from cnclip.model import BertArchitecture, ChineseClip, ClipArchitecture, VitArchitecture
from cnclip.stores.raw import read_source
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import build_store

COLOURS = {"红": "red", "绿": "green", "蓝": "blue", "黄": "yellow", "紫": "purple", "黑": "black"}
SHAPES = ["圆", "方"]


def picture(colour: str, shape: str, kind: str = "png") -> bytes:
    """A 24 x 20 picture of a coloured disc or box on white."""
    image = Image.new("RGB", (24, 20), "white")
    draw = ImageDraw.Draw(image)
    (draw.ellipse if shape == "圆" else draw.rectangle)((4, 3, 19, 16), fill=COLOURS[colour])
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def model() -> ChineseClip:
    image = VitArchitecture(width=32, layers=2, heads=2, patch_size=8, resolution=16)
    text = BertArchitecture(hidden=32, layers=2, heads=2, intermediate=64)
    return ChineseClip(ClipArchitecture(embed_dim=24, image=image, text=text), seed=3).eval()


@pytest.fixture(scope="session")
def transform() -> ImageTransform:
    return image_transform(16)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures, two or three captions each; one caption in common; one picture without captions."""
    root = tmp_path_factory.mktemp("源 数据")
    for colour in COLOURS:
        for shape in SHAPES:
            (root / f"{colour}{shape}.png").write_bytes(picture(colour, shape))
            captions = [f"一个{colour}色的{shape}形", f"{colour}{shape}", "一个图形"]
            (root / f"{colour}{shape}.txt").write_text("\n".join(captions), encoding="utf-8")
    (root / "没有文字.png").write_bytes(picture("红", "方", "jpeg"))
    return root


@pytest.fixture(scope="session")
def store(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> StoreReader:
    path = tmp_path_factory.mktemp("stores") / "图形"
    build_store(read_source(folder), path)
    return StoreReader(path)


@pytest.fixture
def label_file(store: StoreReader, tmp_path: Path) -> Path:
    """Shapes as labels of every picture that has captions."""
    path = tmp_path / "labels.jsonl"
    ids = [image_id for image_id in store.image_ids() if not image_id.startswith("没有")]
    rows = [json.dumps({"image_id": image_id, "label": image_id[1]}, ensure_ascii=False) for image_id in ids]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def class_tree(tmp_path: Path) -> Path:
    """A folder per colour with two pictures in each."""
    root = tmp_path / "颜色"
    for colour in COLOURS:
        (root / colour).mkdir(parents=True)
        for shape in SHAPES:
            (root / colour / f"{shape}.png").write_bytes(picture(colour, shape))
    return root
