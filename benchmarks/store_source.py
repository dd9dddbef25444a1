"""Pictures for benchmarks/store.py: 640x480 JPEGs of about 70 KB, as real ones cost to store and decode.

From real photos (a zip or a folder): each picture is four of them, enlarged, side by side. Without: noise
whose amplitudes fall with the frequency as those of photos do (Field 1987), windows of a few large textures.
"""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.preprocess import generated_captions
from cnclip.images.decode import decode_image

SIZE = (640, 480)
SPLIT = "train"
_QUALITY = 89
_TEXTURES = 4
_TEXTURE_SIZE = (1536, 1024)
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
Texture = np.ndarray[Any, np.dtype[np.uint8]]


def write_source(folder: Path, count: int, photos: Path | None) -> None:
    """Write `count` pictures with a caption each in cn_clip's form: {split}_imgs.tsv, {split}_texts.jsonl."""
    folder.mkdir(parents=True, exist_ok=True)
    captions = generated_captions(count)
    with (
        open(folder / f"{SPLIT}_imgs.tsv", "w", encoding="utf-8") as images,
        open(folder / f"{SPLIT}_texts.jsonl", "w", encoding="utf-8") as texts,
    ):
        for number, data in enumerate(jpegs(count, photos)):
            images.write(f"{number}\t{base64.b64encode(data).decode()}\n")
            row = {"text_id": number, "text": captions[number], "image_ids": [number]}
            texts.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_source(folder: Path) -> Iterator[tuple[str, bytes, str]]:
    """(id, JPEG, caption) of every picture that `write_source` wrote."""
    with (
        open(folder / f"{SPLIT}_imgs.tsv", encoding="utf-8") as images,
        open(folder / f"{SPLIT}_texts.jsonl", encoding="utf-8") as texts,
    ):
        for line, text in zip(images, texts, strict=True):
            number, data = line.rstrip("\n").split("\t")
            yield number, base64.b64decode(data), json.loads(text)["text"]


def jpegs(count: int, photos: Path | None) -> Iterator[bytes]:
    """JPEG files, the same for the same arguments."""
    rng = np.random.default_rng(4)
    draw = _from_noise(rng) if photos is None else _from_photos(rng, photos)
    for _ in range(count):
        buffer = io.BytesIO()
        draw().save(buffer, "JPEG", quality=_QUALITY)
        yield buffer.getvalue()


def _from_photos(rng: np.random.Generator, path: Path) -> Callable[[], Image.Image]:
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in _SUFFIXES)
        readers: list[Callable[[], bytes]] = [file.read_bytes for file in files]
    else:
        archive = zipfile.ZipFile(path)
        names = sorted(name for name in archive.namelist() if Path(name).suffix.lower() in _SUFFIXES)
        readers = [lambda name=name: archive.read(name) for name in names]  # type: ignore[misc]
    if not readers:
        raise SystemExit(f"{path}: no pictures")
    half = (SIZE[0] // 2, SIZE[1] // 2)

    def draw() -> Image.Image:
        picture = Image.new("RGB", SIZE)
        for place in range(4):
            photo = decode_image(readers[int(rng.integers(len(readers)))]())
            corner = (place % 2 * half[0], place // 2 * half[1])
            picture.paste(photo.resize(half, Image.Resampling.BICUBIC), corner)
        return picture

    return draw


def _from_noise(rng: np.random.Generator) -> Callable[[], Image.Image]:
    textures = [_texture(rng) for _ in range(_TEXTURES)]

    def draw() -> Image.Image:
        texture = textures[int(rng.integers(len(textures)))]
        left = int(rng.integers(texture.shape[1] - SIZE[0]))
        top = int(rng.integers(texture.shape[0] - SIZE[1]))
        window = texture[top : top + SIZE[1], left : left + SIZE[0]]
        return Image.fromarray(np.ascontiguousarray(window[:, :: 1 if rng.integers(2) else -1]))

    return draw


def _texture(rng: np.random.Generator) -> Texture:
    """uint8 [H, W, 3]: brightness rough, colours smoother, as in photos."""
    planes = [128 + 55 * _noise(rng, 1.44), 128 + 22 * _noise(rng, 1.7), 128 + 22 * _noise(rng, 1.7)]
    levels = np.clip(np.stack(planes, axis=-1), 0, 255).astype(np.uint8)
    return np.asarray(Image.fromarray(levels, "YCbCr").convert("RGB"))


def _noise(rng: np.random.Generator, slope: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """float64 [H, W] of variance 1 whose amplitudes fall as frequency ** -slope."""
    width, height = _TEXTURE_SIZE
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    waves = rng.normal(size=(2, *frequency.shape))
    spectrum = (waves[0] + 1j * waves[1]) / np.maximum(frequency, 1 / width) ** slope
    field = np.fft.irfft2(spectrum, (height, width))
    return np.asarray(field / field.std())
