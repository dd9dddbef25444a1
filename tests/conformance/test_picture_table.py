"""Pictures of every kind that users have: the right colours by plain arithmetic, or a refusal."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms

from cnclip.errors import ImageError
from cnclip.images.decode import decode_image

Levels = npt.NDArray[Any]
LIMIT = 2 / 255  # mean absolute difference

ROWS, COLUMNS = np.mgrid[0:48, 0:64]
# smooth enough for JPEG, with no symmetry: no turn or mirror image of it is near to it
RGB = np.stack([COLUMNS * 4 + 1, ROWS * 5 + 3, 230 - ROWS * 2 - COLUMNS * 2], axis=-1).astype(np.uint8)
GREY = (ROWS * 3 + COLUMNS).astype(np.uint8)
DEEP = (ROWS * 1000 + COLUMNS * 250).astype(np.uint16)
ALPHA = (COLUMNS * 4).astype(np.uint8)
INK = np.stack([COLUMNS * 3, ROWS * 4, 200 - COLUMNS * 3, ROWS * 2], axis=-1).astype(np.uint8)
RED = np.full((48, 64, 3), (255, 0, 0), np.uint8)
NOISE = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)


def grey(levels: Levels) -> Levels:
    return np.repeat(np.asarray(levels, np.float64)[..., None], 3, axis=-1)


def on_white(colours: Levels, alpha: Levels) -> Levels:
    share = alpha[..., None] / 255.0
    return colours * share + 255.0 * (1 - share)


def from_ink(ink: Levels) -> Levels:
    """Light that the inks leave: each takes its part of what the others let through."""
    left = 255.0 - ink
    return left[..., :3] * left[..., 3:] / 255.0


def saved(levels: Levels | Image.Image, kind: str, **options: Any) -> bytes:
    picture = levels if isinstance(levels, Image.Image) else Image.fromarray(levels)
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def adobe_ycck() -> bytes:
    """A JPEG of YCCK as Adobe writes it: the inks as YCbCr, all inverted, and the marker that says so."""
    cyan, magenta, yellow = (INK[..., place].astype(np.float64) for place in range(3))
    luma = 0.299 * cyan + 0.587 * magenta + 0.114 * yellow
    planes = [luma, 128 + (yellow - luma) / 1.772, 128 + (cyan - luma) / 1.402, 255.0 - INK[..., 3]]
    stored = np.clip(np.rint(np.stack(planes, axis=-1)), 0, 255).astype(np.uint8)
    data = bytearray(saved(Image.fromarray(255 - stored, "CMYK"), "JPEG", quality=97))
    marker = data.index(b"Adobe")
    assert data[marker + 11] == 0
    data[marker + 11] = 2
    return bytes(data)


def deep_rgb_png() -> bytes:
    """16 bits a channel, which Pillow does not write."""
    deep = (RGB.astype(np.uint16) * 257).astype(">u2")
    lines = b"".join(b"\0" + row.tobytes() for row in deep)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 64, 48, 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def palette(**options: Any) -> tuple[bytes, Levels]:
    """A picture of 16 colours and what its table says of them."""
    table = np.array([(n * 16, 255 - n * 15, n * n) for n in range(16)], np.uint8)
    numbers = ((ROWS // 12) * 4 + COLUMNS // 16).astype(np.uint8)
    picture = Image.fromarray(numbers, "P")
    picture.putpalette(table.tobytes())
    colours = table[numbers].astype(np.float64)
    if "transparency" in options:
        alpha = np.frombuffer(options["transparency"].ljust(16, b"\xff"), np.uint8)[numbers]
        colours = on_white(colours, alpha)
    return saved(picture, "PNG", **options), colours


def turned(orientation: int) -> Levels:
    """How a camera stores the upright picture, by what the standard says of the first row and column."""
    across = RGB.transpose(1, 0, 2)
    return {
        1: RGB,  # row 0 is the top, column 0 the left
        2: RGB[:, ::-1],  # top, right
        3: RGB[::-1, ::-1],  # bottom, right
        4: RGB[::-1],  # bottom, left
        5: across,  # left, top
        6: across[::-1],  # right, top
        7: across[::-1, ::-1],  # right, bottom
        8: across[:, ::-1],  # left, bottom
    }[orientation]


def with_exif(orientation: int, kind: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"quality": 97, "subsampling": 0} if kind == "JPEG" else {}
    return saved(np.ascontiguousarray(turned(orientation)), kind, exif=exif.tobytes(), **options)


def frames(kind: str, **options: Any) -> bytes:
    blue = Image.new("RGB", (64, 48), "blue")
    return saved(RED, kind, save_all=True, append_images=[blue, blue], **options)


def rgba(colours: Levels, alpha: Levels) -> Image.Image:
    return Image.fromarray(np.dstack([colours, alpha]))


MAGENTA = np.full((48, 64, 3), (255, 0, 255), np.uint8)
TALL = np.full((20_000, 1, 3), (9, 99, 199), np.uint8)
ONE_BIT = Image.fromarray(GREY > 90)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY_ALPHA = Image.merge("LA", (Image.fromarray(GREY), Image.fromarray(ALPHA)))

GOLDEN: dict[str, tuple[bytes, Levels]] = {
    "JPEG": (saved(RGB, "JPEG", quality=95), RGB),
    "progressive JPEG": (saved(RGB, "JPEG", quality=95, progressive=True), RGB),
    "grey JPEG": (saved(GREY, "JPEG", quality=95), grey(GREY)),
    "CMYK JPEG": (saved(Image.fromarray(INK, "CMYK"), "JPEG", quality=97), from_ink(INK)),
    "YCCK JPEG": (adobe_ycck(), from_ink(INK)),
    "CMYK TIFF": (saved(Image.fromarray(INK, "CMYK"), "TIFF"), from_ink(INK)),
    "PNG": (saved(NOISE, "PNG"), NOISE),
    "grey PNG": (saved(GREY, "PNG"), grey(GREY)),
    "16-bit grey PNG": (saved(DEEP, "PNG"), grey(DEEP / 257.0)),
    "16-bit RGB PNG": (deep_rgb_png(), RGB),
    "16-bit TIFF": (saved(DEEP, "TIFF"), grey(DEEP / 257.0)),
    "I TIFF": (saved(DEEP.astype(np.int32), "TIFF"), grey(DEEP / 257.0)),
    "F TIFF from 0 to 1": (saved((GREY / 255).astype(np.float32), "TIFF"), grey(GREY)),
    "F TIFF from 0 to 65535": (saved(DEEP.astype(np.float32), "TIFF"), grey(DEEP / 257.0)),
    "1-bit PNG": (saved(ONE_BIT, "PNG"), grey(np.where(GREY > 90, 255, 0))),
    "1-bit TIFF": (saved(ONE_BIT, "TIFF", compression="group4"), grey(np.where(GREY > 90, 255, 0))),
    "1-bit BMP": (saved(ONE_BIT, "BMP"), grey(np.where(GREY > 90, 255, 0))),
    "P PNG": palette(),
    "P PNG with tRNS": palette(transparency=bytes([0, 128, 255, 40])),
    "RGB PNG with tRNS": (saved(RED, "PNG", transparency=(255, 0, 0)), np.full_like(RED, 255)),
    "RGBA PNG": (saved(rgba(RGB, ALPHA), "PNG"), on_white(RGB, ALPHA)),
    "hidden colour": (saved(rgba(MAGENTA, ALPHA * 0), "PNG"), np.full_like(RED, 255)),
    "LA PNG": (saved(GREY_ALPHA, "PNG"), on_white(grey(GREY), ALPHA)),
    "WebP": (saved(NOISE, "WEBP", lossless=True), NOISE),
    "RGBA WebP": (saved(rgba(RGB, ALPHA), "WEBP", lossless=True), on_white(RGB, ALPHA)),
    "BMP": (saved(NOISE, "BMP"), NOISE),
    "TIFF by LZW": (saved(NOISE, "TIFF", compression="tiff_lzw"), NOISE),
    **{f"EXIF {turn} JPEG": (with_exif(turn, "JPEG"), RGB) for turn in range(1, 9)},
    **{f"EXIF {turn} PNG": (with_exif(turn, "PNG"), RGB) for turn in (3, 6)},
    "EXIF that is damaged": (saved(RGB, "JPEG", quality=95, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"), RGB),
    "animated GIF": (frames("GIF"), RED),
    "animated WebP": (frames("WEBP", lossless=True), RED),
    "APNG": (frames("PNG"), RED),
    "MPO": (frames("MPO"), RED),
    "TIFF of three pages": (frames("TIFF"), RED),
    "ICC profile": (saved(RGB, "PNG", icc_profile=SRGB), RGB),
    "1x1": (saved(RGB[:1, :1], "PNG"), RGB[:1, :1]),
    "1x20000": (saved(TALL, "PNG"), TALL),
    "20000x1": (saved(TALL.transpose(1, 0, 2), "PNG"), TALL.transpose(1, 0, 2)),
}  # fmt: skip

JPEG, PNG = saved(NOISE, "JPEG", quality=90), saved(NOISE, "PNG")
REFUSED: dict[str, tuple[bytes, str]] = {
    "JPEG cut at 99 %": (JPEG[: len(JPEG) * 99 // 100], "truncated or damaged"),
    "JPEG cut at half": (JPEG[: len(JPEG) // 2], "truncated or damaged"),
    "PNG cut at 95 %": (PNG[: len(PNG) * 95 // 100], "truncated or damaged"),
    "WebP cut at half": (saved(NOISE, "WEBP")[:2000], ""),
    "GIF cut at half": (saved(NOISE, "GIF")[:2000], "truncated or damaged"),
    "TIFF cut at half": (saved(NOISE, "TIFF")[:5000], "truncated or damaged"),
    "JPEG whose header is all": (JPEG[:20], ""),
    "0 bytes": (b"", "the image is empty (0 bytes)"),
    "a web page": (b"<!DOCTYPE html><title>404</title>", "not an image of an accepted format"),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", "not an image of an accepted"),
    "EPS": (saved(RGB, "EPS"), "not an image of an accepted format"),
    "PDF": (saved(RGB, "PDF"), "not an image of an accepted format"),
    "ICO": (saved(RGB, "ICO"), "not an image of an accepted format"),
    "PPM": (saved(RGB, "PPM"), "not an image of an accepted format"),
    "20001x1": (saved(Image.new("L", (20_001, 1)), "PNG"), "20001x1 pixels"),
    "random bytes": (NOISE.tobytes(), "not an image of an accepted format"),
}


@pytest.mark.parametrize("kind", GOLDEN)
def test_the_colours_are_those_of_plain_arithmetic(kind: str) -> None:
    data, expected = GOLDEN[kind]
    decoded = decode_image(data)
    assert decoded.mode == "RGB" and decoded.size == expected.shape[1::-1]
    difference = np.abs(np.asarray(decoded) / 255.0 - expected / 255.0)
    assert difference.mean() <= LIMIT
    assert difference.max() <= 24 / 255


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_rest_is_refused_by_name(kind: str) -> None:
    data, reason = REFUSED[kind]
    with pytest.raises(ImageError) as caught:
        decode_image(data, name="图/猫.jpg")
    assert reason in caught.value.what
    assert caught.value.where == "图/猫.jpg" and caught.value.fix


def test_the_build_the_reader_and_the_transform_see_the_same_pixels(
    tmp_path: Path, cli: Callable[..., Any]
) -> None:
    from cnclip.images.transform import image_transform
    from cnclip.stores.reader import StoreReader

    folder = tmp_path / "图"
    folder.mkdir()
    for number, (data, _) in enumerate(GOLDEN.values()):
        (folder / f"{number:02d}.png").write_bytes(data)
        (folder / f"{number:02d}.txt").write_text("一张图", encoding="utf-8")
    for number, (data, _) in enumerate(REFUSED.values()):
        (folder / f"bad{number:02d}.png").write_bytes(data)
    words = ("--on-bad", "skip", "--max-bad-share", "0.5")
    assert cli("data", "build", folder, tmp_path / "s", *words).code == 0
    transform = image_transform(32)
    with StoreReader(tmp_path / "s") as reader:
        assert list(reader.image_ids()) == [f"{number:02d}.png" for number in range(len(GOLDEN))]
        for index, (data, expected) in enumerate(GOLDEN.values()):
            assert reader.image(index).image == data
            if expected.shape[0] == 48:
                seen = transform.to_uint8(decode_image(data)).numpy().astype(float).mean(axis=(1, 2))
                assert np.abs(seen - expected.mean(axis=(0, 1))).max() <= 4
