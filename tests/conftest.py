"""Tiny real parts for several rooms: pictures of coloured shapes with Chinese captions."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from PIL import Image, ImageDraw

# A slow machine is no failure: nothing here asserts how long a thing takes.
settings.register_profile("cnclip", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("cnclip")


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Stamps of verified files and downloads of the tests stay out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


COLOURS = {"红色": "#d22", "绿色": "#2a2", "蓝色": "#22d", "黄色": "#ec0", "紫色": "#a2a", "黑色": "#111"}
SHAPES = {"圆": "ellipse", "方块": "rectangle", "横条": "bar", "竖条": "column"}


def draw(colour: str, shape: str, size: int = 32) -> bytes:
    """A PNG of one shape on white."""
    picture = Image.new("RGB", (size, size), "white")
    pen = ImageDraw.Draw(picture)
    low, high = size // 5, size - size // 5
    if shape == "ellipse":
        pen.ellipse((low, low, high, high), fill=colour)
    elif shape == "rectangle":
        pen.rectangle((low, low, high, high), fill=colour)
    elif shape == "bar":
        pen.rectangle((0, size // 3, size, size // 2), fill=colour)
    else:
        pen.rectangle((size // 3, 0, size // 2, size), fill=colour)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def write_shapes(folder: Path) -> Path:
    """24 pictures with two captions each, as a JSONL source; returns its path."""
    (folder / "图").mkdir(parents=True)
    lines = []
    for colour_name, colour in COLOURS.items():
        for shape_name, shape in SHAPES.items():
            name = f"图/{colour_name}{shape_name}.png"
            (folder / name).write_bytes(draw(colour, shape))
            captions = [f"{colour_name}的{shape_name}", f"一张{colour_name}{shape_name}的图片，２０２６"]
            lines.append(json.dumps({"image": name, "captions": captions}, ensure_ascii=False))
    path = folder / "shapes.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def shapes_source() -> Callable[[Path], Path]:
    """Writes the coloured shapes as a source into a folder."""
    return write_shapes


@pytest.fixture(scope="session")
def shapes_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of the coloured shapes: 24 pictures, 48 captions."""
    from cnclip.stores.raw import read_source
    from cnclip.stores.writer import build_store

    folder = tmp_path_factory.mktemp("shapes")
    build_store(read_source(write_shapes(folder)), folder / "store")
    return folder / "store"
