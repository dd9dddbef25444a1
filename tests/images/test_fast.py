"""The fast way from a file to a tensor: how near it is to the exact one, and that the rules are the same."""

from __future__ import annotations

import io
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cnclip.errors import ImageError, RecipeError, UnknownNameError
from cnclip.images.decode import open_image
from cnclip.images.fast import fast_image_transform, pixel_transform
from cnclip.images.transform import image_transform, normalize_pixels

Encode = Callable[..., bytes]


def scene(width: int, height: int, seed: int = 0) -> Image.Image:
    """Soft shapes, hard edges and a little grain, as in a photo."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (height // 40 + 2, width // 40 + 2, 3), dtype=np.uint8)
    picture = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    for _ in range(12):
        left, top = int(rng.integers(0, width)), int(rng.integers(0, height))
        picture[top : top + height // 5, left : left + width // 7] = rng.integers(0, 256, 3)
    grain = rng.normal(0, 3, picture.shape)
    return Image.fromarray(np.clip(picture + grain, 0, 255).astype(np.uint8))


def deviation(data: bytes, size: int) -> np.ndarray:
    """|fast - exact| of every value, in steps of 1/255: int [3, size, size]."""
    exact, fast = image_transform(size), fast_image_transform(size)
    difference = exact.to_uint8(exact.read(data)).int() - fast.to_uint8(fast.read(data)).int()
    return difference.abs().numpy()


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (300, 200), (224, 224), (100, 150), (231, 256)])
def test_full_size_decoding_is_two_steps_off_at_most(size: tuple[int, int], encode: Encode) -> None:
    assert deviation(encode(scene(*size), "JPEG", quality=90), 224).max() <= 2


def test_tall_and_wide_shapes_are_two_steps_off_at_most(encode: Encode) -> None:
    for seed, (width, height) in enumerate(
        [(3, 90), (90, 3), (1, 1), (20, 64), (63, 80), (70, 77), (200, 61)]
    ):
        assert deviation(encode(scene(width, height, seed)), 64).max() <= 2


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 40}])
def test_smaller_decoding_stays_near(options: dict[str, int], encode: Encode) -> None:
    data = encode(scene(1200, 900), "JPEG", **{"quality": 90, **options})
    fast = fast_image_transform(112)
    assert fast.read(data).size == (300, 225)
    off = deviation(data, 112)
    assert off.max() <= 12 and off.mean() < 0.8


@pytest.mark.parametrize(("side", "decoded"), [(1000, 1000), (447, 447), (448, 224), (896, 224), (1799, 225)])
def test_no_jpeg_is_decoded_below_twice_the_target(side: int, decoded: int, encode: Encode) -> None:
    target = 112 if side != 1000 else 300
    assert fast_image_transform(target).read(encode(scene(side, side), "JPEG")).size == (decoded, decoded)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(48, 32), (320, 240)])
def test_exif_orientation_is_applied(orientation: int, size: tuple[int, int], encode: Encode) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(scene(*size), "JPEG", quality=95, exif=exif.tobytes())
    assert deviation(data, 24).mean() < 4
    fast, exact = fast_image_transform(24).read(data).size, image_transform(24).read(data).size
    assert (fast[0] > fast[1]) == (exact[0] > exact[1]) == (orientation < 5)


def test_cmyk_and_grey_jpegs(encode: Encode) -> None:
    for mode in ("CMYK", "L"):
        off = deviation(encode(scene(600, 400).convert(mode), "JPEG", quality=95), 64)
        assert off.max() <= 12 and off.mean() < 1.5


def test_transparency_lies_on_white(encode: Encode) -> None:
    picture = scene(90, 70).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize((90, 70)))
    assert deviation(encode(picture), 32).max() <= 2
    clear = Image.new("RGBA", (40, 40), (200, 0, 0, 0))
    assert fast_image_transform(16).to_uint8(clear).min() == 255


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF", "WEBP"])
def test_other_formats_are_decoded_as_ever(kind: str, encode: Encode) -> None:
    assert deviation(encode(scene(700, 500), kind), 64).max() <= 2


def test_bytes_paths_and_pictures_give_one_tensor(tmp_path: Path, encode: Encode) -> None:
    data = encode(scene(640, 480), "JPEG")
    (tmp_path / "图.jpg").write_bytes(data)
    fast = fast_image_transform(64)
    expected = fast(data)
    assert expected.shape == (3, 64, 64) and expected.dtype == torch.float32
    assert torch.equal(fast(tmp_path / "图.jpg"), expected)
    assert torch.equal(fast(str(tmp_path / "图.jpg")), expected)
    assert torch.equal(fast(fast.read(data)), expected)
    pixels = fast.to_uint8(fast.read(data))
    assert pixels.dtype == torch.uint8 and pixels.is_contiguous()
    assert torch.equal(normalize_pixels(pixels), expected)


def test_bombs_are_refused_by_the_size_in_the_file(encode: Encode) -> None:
    small = encode(scene(64, 64), "JPEG")
    frame = small.index(b"\xff\xc0")
    bomb = small[: frame + 5] + struct.pack(">HH", 4_000, 20_000) + small[frame + 9 :]
    with pytest.raises(ImageError, match="20000x4000"):
        fast_image_transform(8)(bomb)
    long = small[: frame + 5] + struct.pack(">HH", 100, 30_000) + small[frame + 9 :]
    with pytest.raises(ImageError, match="too large"):
        fast_image_transform(8)(long)


def test_damaged_empty_and_missing_files_are_refused(tmp_path: Path, encode: Encode) -> None:
    fast = fast_image_transform(32)
    data = encode(scene(640, 480), "JPEG")
    with pytest.raises(ImageError, match="truncated"):
        fast(data[: len(data) // 2])
    with pytest.raises(ImageError, match="0 bytes"):
        fast(b"")
    with pytest.raises(ImageError, match="没有"):
        fast(tmp_path / "没有.jpg")
    with pytest.raises(ImageError, match="ndarray"):
        fast.to_uint8(np.zeros((8, 8, 3), np.uint8))  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="image_size"):
        fast_image_transform(0)


def test_callers_picture_keeps_its_size(encode: Encode) -> None:
    lazy = Image.open(io.BytesIO(encode(scene(640, 480), "JPEG")))
    fast_image_transform(32)(lazy)
    assert lazy.size == (640, 480)
    assert open_image(encode(scene(640, 480), "JPEG")).size == (640, 480)


def test_caches_of_fast_and_exact_pixels_never_mix() -> None:
    prints = {
        transform.fingerprint
        for size in (32, 224)
        for transform in (
            fast_image_transform(size),
            image_transform(size),
            image_transform(size, compat="cn_clip"),
        )
    }
    assert len(prints) == 6
    assert pickle.loads(pickle.dumps(fast_image_transform(32))) == fast_image_transform(32)


def test_pixels_are_chosen_by_name() -> None:
    assert pixel_transform(64, "exact") == image_transform(64)
    assert pixel_transform(64, "fast") == fast_image_transform(64)
    with pytest.raises(UnknownNameError, match="exact, fast"):
        pixel_transform(64, "快")  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="image_size"):
        pixel_transform(0, "fast")


@pytest.mark.parametrize("size", [(256, 192), (192, 256), (256, 144), (256, 256)])
def test_small_stored_pictures_are_two_steps_off_at_most(size: tuple[int, int], encode: Encode) -> None:
    data = encode(scene(*size), "JPEG", quality=90)
    assert fast_image_transform(224).read(data).size == size
    assert deviation(data, 224).max() <= 2


def test_the_room_offers_it_and_decoding_alone_loads_no_torch() -> None:
    program = (
        "import sys; from cnclip.images import decode_image; print('torch' in sys.modules);"
        "from cnclip.images import fast_image_transform, image_transform, normalize_pixels;"
        "import cnclip.images; print(hasattr(cnclip.images, 'nothing'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
