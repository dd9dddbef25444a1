"""Shrinking at build time: large pictures become small JPEGs, small ones keep every byte."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from cnclip.errors import ImageError, RecipeError
from cnclip.images.decode import decode_image
from cnclip.images.reencode import check_picture, shrink


def photo(width: int, height: int) -> Image.Image:
    """Soft shapes with some grain, as photographs have."""
    rows, columns = np.mgrid[0:height, 0:width]
    rows, columns = rows * 40 / max(width, height), columns * 40 / max(width, height)
    waves = [127 + 100 * np.sin(rows / (2 + n)) * np.cos(columns / (4 - n)) for n in range(3)]
    grain = np.random.default_rng(3).normal(0, 6, (height, width, 3))
    return Image.fromarray(np.clip(np.stack(waves, -1) + grain, 0, 255).astype(np.uint8))


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_the_longer_side_becomes_what_is_asked_for(form: str) -> None:
    for size, expected in (((1200, 800), (300, 200)), ((500, 1500), (100, 300)), ((4000, 3), (300, 1))):
        small = Image.open(io.BytesIO(shrink(saved(photo(*size), form), max_side=300, quality=90)))
        assert (small.size, small.format, small.mode) == (expected, "JPEG", "RGB")


@pytest.mark.parametrize("size", [(300, 200), (120, 300), (1, 1)])
def test_pictures_that_are_small_enough_keep_their_bytes(size: tuple[int, int]) -> None:
    for form in ("JPEG", "PNG", "GIF"):
        data = saved(photo(*size), form)
        assert shrink(data, max_side=300, quality=90) is data


@pytest.mark.parametrize("factor", [1.1, 2.5, 4, 9])
def test_the_result_is_the_whole_picture_resized(factor: float) -> None:
    data = saved(photo(round(256 * factor), round(192 * factor)), "JPEG", quality=92)
    small = decode_image(shrink(data, max_side=256, quality=90))
    exact = decode_image(data).resize((256, 192), Image.Resampling.LANCZOS)
    exact = decode_image(saved(exact, "JPEG", quality=90))
    difference = np.abs(np.asarray(small, dtype=np.int16) - np.asarray(exact, dtype=np.int16))
    assert difference.max() == 0


def test_a_turned_picture_comes_out_upright_and_is_not_turned_twice() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = photo(800, 400)
    small = decode_image(shrink(saved(image, "JPEG", exif=exif), max_side=200, quality=95))
    assert small.size == (100, 200)
    upright = image.transpose(Image.Transpose.ROTATE_270).resize((100, 200), Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(small, dtype=int) - np.asarray(upright, dtype=int)).mean() < 4


def test_what_is_transparent_lies_on_white() -> None:
    image = Image.new("RGBA", (400, 400), (255, 0, 255, 0))
    small = decode_image(shrink(saved(image, "PNG"), max_side=40, quality=90))
    assert np.asarray(small).min() >= 254


def test_bytes_that_are_no_picture_are_refused_whatever_their_size() -> None:
    whole = saved(photo(900, 600), "JPEG")
    for data in (b"", b"<html>", whole[: len(whole) // 2], saved(photo(20, 20), "PNG")[:-60]):
        with pytest.raises(ImageError):
            check_picture(data)
        with pytest.raises(ImageError):
            shrink(data, max_side=300, quality=90)


def test_the_same_picture_gives_the_same_bytes() -> None:
    data = saved(photo(700, 500), "PNG")
    assert shrink(data, max_side=99, quality=50) == shrink(data, max_side=99, quality=50)


@pytest.mark.parametrize(("max_side", "quality"), [(0, 90), (-5, 90), (256, 0), (256, 101)])
def test_sizes_and_qualities_that_there_are_not_are_refused(max_side: int, quality: int) -> None:
    with pytest.raises(RecipeError):
        shrink(saved(photo(300, 300), "PNG"), max_side=max_side, quality=quality)
