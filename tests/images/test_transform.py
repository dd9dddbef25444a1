"""The official transform and its choices."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from cnclip.errors import ImageError, RecipeError, UnknownNameError
from cnclip.images.decode import decode_image
from cnclip.images.transform import IMAGE_MEAN, IMAGE_STD, image_transform, normalize_pixels

Encode = Callable[..., bytes]


def modes_of(noise: Image.Image) -> dict[str, Image.Image]:
    alpha = np.random.RandomState(1).randint(0, 256, (300, 500)).astype(np.uint8)
    rgba = noise.copy()
    rgba.putalpha(Image.fromarray(alpha))
    return {mode: noise.convert(mode) for mode in ("RGB", "L", "P", "1")} | {"RGBA": rgba}


@pytest.mark.parametrize("compat", ["cnclip", "cn_clip"])
def test_rgb_equals_the_official_transform(compat: str, noise: Image.Image) -> None:
    tensor = image_transform(224, compat=compat)(noise)  # type: ignore[arg-type]
    assert tensor.shape == (3, 224, 224) and tensor.dtype == torch.float32
    assert float(tensor.double().sum()) == pytest.approx(28512.156, abs=1e-3)
    assert tensor[:, 0, 0].tolist() == pytest.approx([0.543486, -0.131258, 0.780771], abs=1e-6)
    assert tensor[:, 112, 112].tolist() == pytest.approx([-0.303223, 0.859255, 0.638570], abs=1e-6)


@pytest.mark.parametrize(
    ("mode", "total"), [("L", 28373.507), ("P", 28042.384), ("1", 26362.697), ("RGBA", 27615.794)]
)
def test_official_order_on_other_modes(mode: str, total: float, noise: Image.Image) -> None:
    tensor = image_transform(224, compat="cn_clip")(modes_of(noise)[mode])
    assert float(tensor.double().sum()) == pytest.approx(total, abs=0.02)


@pytest.mark.parametrize("compat", ["cnclip", "cn_clip"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "RGBA"])
def test_transform_is_the_plain_formula(compat: str, mode: str, noise: Image.Image) -> None:
    picture = modes_of(noise)[mode]
    if compat == "cnclip" and mode == "RGBA":
        white = Image.new("RGB", picture.size, "white")
        white.paste(picture, mask=picture.getchannel("A"))
        picture = white
    elif compat == "cnclip":
        picture = picture.convert("RGB")
    squashed = picture.resize((64, 64), Image.Resampling.BICUBIC).convert("RGB")
    mean, std = np.float32(IMAGE_MEAN), np.float32(IMAGE_STD)
    expected = ((np.asarray(squashed, np.float32) / np.float32(255) - mean) / std).transpose(2, 0, 1)
    tensor = image_transform(64, compat=compat)(modes_of(noise)[mode])  # type: ignore[arg-type]
    assert np.array_equal(tensor.numpy(), expected)


def test_normalising_later_changes_no_bit(noise: Image.Image) -> None:
    transform = image_transform(64)
    pixels = transform.to_uint8(noise)
    assert pixels.dtype == torch.uint8 and pixels.shape == (3, 64, 64) and pixels.is_contiguous()
    expected = transform(noise)
    assert torch.equal(normalize_pixels(pixels), expected)
    batch = torch.stack([pixels, pixels.flip(2)])
    assert torch.equal(normalize_pixels(batch)[0], expected)
    assert torch.equal(normalize_pixels(batch[None])[0, 1], expected.flip(2))


def test_normalising_keeps_its_input(noise: Image.Image) -> None:
    pixels = image_transform(8).to_uint8(noise)
    before = pixels.clone()
    normalize_pixels(pixels)
    assert torch.equal(pixels, before)


@pytest.mark.parametrize(
    "pixels",
    [torch.zeros(3, 4, 4), torch.zeros(4, 4, 3, dtype=torch.uint8), torch.zeros(3, dtype=torch.uint8)],
)
def test_pixels_of_another_kind_are_refused(pixels: torch.Tensor) -> None:
    with pytest.raises(ImageError, match="uint8"):
        normalize_pixels(pixels)


def test_undecoded_and_decoded_pictures_give_one_tensor(photo: Image.Image, encode: Encode) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(photo.convert("RGBA"), "PNG", exif=exif.tobytes())
    transform = image_transform(32)
    expected = transform(decode_image(data))
    assert torch.equal(transform(Image.open(io.BytesIO(data))), expected)
    assert torch.equal(transform(transform.read(data)), expected)


def test_reading_for_the_official_order_keeps_what_it_needs(photo: Image.Image, encode: Encode) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(photo.convert("P"), "PNG", exif=exif.tobytes())
    transform = image_transform(32, compat="cn_clip")
    official = transform(Image.open(io.BytesIO(data)))
    assert torch.equal(transform(transform.read(data)), official)
    assert not torch.equal(transform(decode_image(data)), official)


def test_squash_keeps_no_aspect(photo: Image.Image) -> None:
    assert image_transform(20)(photo.resize((200, 10))).shape == (3, 20, 20)


def test_truncated_pictures_are_refused_in_both_orders(noise: Image.Image, encode: Encode) -> None:
    data = encode(noise, "JPEG")[:2000]
    for compat in ("cnclip", "cn_clip"):
        with pytest.raises(ImageError, match="truncated"):
            image_transform(32, compat=compat)(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("image_size", [0, -1, 224.0, True, None, 5000])
def test_impossible_sizes_are_refused(image_size: object) -> None:
    with pytest.raises(RecipeError, match="image_size"):
        image_transform(image_size)  # type: ignore[arg-type]


def test_unknown_order_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="cnclip, cn_clip"):
        image_transform(224, compat="clip")  # type: ignore[arg-type]


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(ImageError, match="ndarray"):
        image_transform(8)(np.zeros((8, 8, 3), np.uint8))  # type: ignore[arg-type]


def test_fingerprint_follows_everything_that_decides_pixels() -> None:
    prints = {
        image_transform(size, compat=compat).fingerprint  # type: ignore[arg-type]
        for size in (48, 224)
        for compat in ("cnclip", "cn_clip")
    }
    assert len(prints) == 4
    assert image_transform(224).fingerprint == image_transform(224).fingerprint


def test_transform_travels_between_processes(noise: Image.Image) -> None:
    transform = pickle.loads(pickle.dumps(image_transform(16)))
    assert transform == image_transform(16)
    assert torch.equal(transform(noise), image_transform(16)(noise))
