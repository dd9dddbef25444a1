"""Bytes to upright RGB."""

from __future__ import annotations

import io
import pickle
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from cnclip.errors import ImageError
from cnclip.images.decode import decode_image, open_image, to_rgb

Encode = Callable[..., bytes]
UPRIGHT_FROM = {  # EXIF orientation -> how a camera stored the upright picture
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def pixels(image: Image.Image) -> np.ndarray:
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises width x height pixels and holds almost nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100)))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF", "WEBP", "JPEG"])
def test_accepted_formats_decode_to_rgb(kind: str, photo: Image.Image, encode: Encode) -> None:
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95}}.get(kind, {})
    decoded = decode_image(encode(photo, kind, **options))
    assert decoded.size == (48, 32)
    difference = np.abs(pixels(decoded) - pixels(photo)).mean()
    assert difference <= {"GIF": 12, "JPEG": 3}.get(kind, 0)


@pytest.mark.parametrize("kind", ["PPM", "ICO", "EPS", "PCX", "TGA"])
def test_other_formats_are_refused_and_the_accepted_ones_listed(
    kind: str, photo: Image.Image, encode: Encode
) -> None:
    with pytest.raises(ImageError, match="JPEG, PNG, WEBP"):
        decode_image(encode(photo, kind))


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00", b"<html>404</html>", b"<svg xmlns='http://www.w3.org/2000/svg'/>", bytes(range(256))],
)
def test_what_is_no_picture_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(ImageError) as caught:
        decode_image(data, name="图片/猫.jpg")
    assert caught.value.where == "图片/猫.jpg"
    assert caught.value.fix is not None


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.99, 0.9, 0.5, 0.1, 0.02])
def test_truncated_files_are_refused(kind: str, share: float, noise: Image.Image, encode: Encode) -> None:
    data = encode(noise, kind)
    with pytest.raises(ImageError):
        decode_image(data[: int(len(data) * share)])


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF"])
def test_damaged_files_decode_or_are_refused_but_never_crash(
    kind: str, photo: Image.Image, encode: Encode
) -> None:
    data = encode(photo, kind)
    rng = np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(data)
        for place in rng.integers(0, min(len(data), 400), 3):
            damaged[place] ^= 1 << int(rng.integers(8))
        try:
            assert decode_image(bytes(damaged)).mode == "RGB"
        except ImageError as error:
            assert error.where == "image"


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("width", "height"), [(30_000, 10), (10, 20_001), (9_000, 9_000), (12_000, 12_000), (20_000, 20_000)]
)
def test_bombs_are_refused_by_their_header(width: int, height: int) -> None:
    with pytest.raises(ImageError, match="too large"):
        decode_image(png_header(width, height))


def test_size_is_checked_on_undecoded_pillow_images_too() -> None:
    with pytest.raises(ImageError, match="30000x10"):
        to_rgb(Image.open(io.BytesIO(png_header(30_000, 10))))


def test_text_chunk_bombs_are_refused(photo: Image.Image, encode: Encode) -> None:
    data = encode(photo)
    body = b"Comment\x00\x00" + zlib.compress(bytes(200_000_000), 9)
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    try:
        decoded = decode_image(data[:33] + chunk + data[33:])
    except ImageError:
        return
    assert np.array_equal(pixels(decoded), pixels(photo))


@pytest.mark.parametrize("size", [(1, 1), (1, 20_000), (20_000, 1)])
def test_extreme_shapes_decode(size: tuple[int, int], encode: Encode) -> None:
    assert decode_image(encode(Image.new("RGB", size, "red"))).size == size


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "JPEG"])
def test_orientation_of_exif_is_applied_once(
    orientation: int, kind: str, photo: Image.Image, encode: Encode
) -> None:
    turn = UPRIGHT_FROM[orientation]
    stored = photo if turn is None else photo.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95}}.get(kind, {})
    decoded = decode_image(encode(stored, kind, exif=exif.tobytes(), **options))
    assert decoded.size == (48, 32)
    assert np.abs(pixels(decoded) - pixels(photo)).mean() <= (3 if kind == "JPEG" else 0)
    again = to_rgb(decoded)
    assert np.array_equal(pixels(again), pixels(decoded))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "exif", [b"Exif\x00\x00garbage", b"Exif\x00\x00II*\x00\xff\xff\xff\xff", b"\x00" * 30]
)
def test_unreadable_exif_is_ignored(exif: bytes, photo: Image.Image, encode: Encode) -> None:
    decoded = decode_image(encode(photo, "JPEG", exif=exif))
    assert decoded.size == (48, 32)


def test_hidden_colours_of_transparent_pixels_lie_on_white(encode: Encode) -> None:
    picture = Image.new("RGBA", (4, 2), (255, 0, 255, 0))
    picture.putpixel((0, 0), (10, 20, 30, 255))
    picture.putpixel((1, 0), (0, 0, 0, 128))
    decoded = pixels(decode_image(encode(picture)))
    assert decoded[0, 0].tolist() == [10, 20, 30]
    assert decoded[0, 1].tolist() == [127, 127, 127]
    assert (decoded[1] == 255).all()


def test_grey_with_alpha_lies_on_white(encode: Encode) -> None:
    picture = Image.new("LA", (2, 1), (0, 0))
    picture.putpixel((1, 0), (90, 255))
    assert pixels(decode_image(encode(picture)))[0].tolist() == [[255] * 3, [90] * 3]


@pytest.mark.parametrize(
    ("mode", "kind"), [("P", "PNG"), ("L", "PNG"), ("RGB", "PNG"), ("1", "PNG"), ("P", "GIF")]
)
def test_a_transparent_colour_becomes_white(mode: str, kind: str, encode: Encode) -> None:
    picture = Image.new("RGB", (2, 1), (0, 0, 0))
    picture.putpixel((1, 0), (255, 255, 255))
    stored = picture.convert(mode)
    transparent = stored.getpixel((0, 0))
    decoded = decode_image(encode(stored, kind, transparency=transparent))
    assert (pixels(decoded) == 255).all()


def test_premultiplied_alpha_lies_on_white() -> None:
    straight = Image.new("RGBA", (1, 1), (200, 100, 0, 128))
    assert np.abs(pixels(to_rgb(straight.convert("RGBa"))) - pixels(to_rgb(straight))).max() <= 2


def test_sixteen_bit_grey_is_scaled_not_clipped(encode: Encode) -> None:
    levels = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    expected = np.rint(levels / 257.0)
    for kind in ("PNG", "TIFF"):
        decoded = pixels(decode_image(encode(Image.fromarray(levels), kind)))
        assert np.abs(decoded[..., 0] - expected).max() <= 1
        assert (decoded[..., 0] == decoded[..., 2]).all()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 128, 255]], np.int32), [0, 128, 255]),
        (np.array([[0, 257 * 100, 65535]], np.int32), [0, 100, 255]),
        (np.array([[-100, 0, 100]], np.int32), [0, 128, 255]),
        (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, 100.0, 255.0]], np.float32), [0, 100, 255]),
        (np.array([[-1.0, np.nan, 1.0]], np.float32), [0, 0, 255]),
        (np.array([[7.0, np.inf, np.nan]], np.float32), [7, 255, 0]),
        (np.array([[np.nan, np.nan]], np.float32), [0, 0]),
        (np.array([[1e9, 1e9]], np.float32), [0, 0]),
    ],
)
def test_deep_grey_is_scaled_to_the_narrowest_range(values: np.ndarray, expected: list[int]) -> None:
    assert pixels(to_rgb(Image.fromarray(values)))[0, :, 0].tolist() == expected


def test_float_tiff_decodes(encode: Encode) -> None:
    data = encode(Image.fromarray(np.array([[0.0, 1.0]], np.float32)), "TIFF")
    assert pixels(decode_image(data))[0, :, 0].tolist() == [0, 255]


def test_cmyk_jpeg_has_its_colours(photo: Image.Image, encode: Encode) -> None:
    decoded = decode_image(encode(photo.convert("CMYK"), "JPEG", quality=95))
    assert np.abs(pixels(decoded) - pixels(photo)).mean() <= 3


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "HSV", "RGBX", "PA", "LA", "RGBA"])
def test_every_pillow_mode_becomes_rgb(mode: str, photo: Image.Image) -> None:
    source = photo.convert("P").convert("PA") if mode == "PA" else photo.convert(mode)
    converted = to_rgb(source)
    assert converted.mode == "RGB" and converted.size == photo.size


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "MPO"])
def test_first_frame_of_several(kind: str, encode: Encode) -> None:
    red, blue = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    data = encode(red, kind, save_all=True, append_images=[blue])
    assert np.abs(pixels(decode_image(data)) - [255, 0, 0]).max() <= 3


def test_upright_rgb_is_returned_as_it_is(photo: Image.Image) -> None:
    assert to_rgb(photo) is photo


def test_converting_leaves_the_given_image_alone(photo: Image.Image) -> None:
    source = photo.convert("RGBA")
    source.info["note"] = "kept"
    to_rgb(source)
    assert source.mode == "RGBA" and source.info == {"note": "kept"}


def test_raw_opening_keeps_mode_and_orientation(photo: Image.Image, encode: Encode) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    raw = open_image(encode(photo.convert("P"), "PNG", exif=exif.tobytes()))
    assert raw.mode == "P" and raw.size == (48, 32)


def test_decoded_pictures_travel_between_processes(photo: Image.Image, encode: Encode) -> None:
    decoded = decode_image(encode(photo, "JPEG"))
    assert np.array_equal(pixels(pickle.loads(pickle.dumps(decoded))), pixels(decoded))


def test_threads_decode_alike(photo: Image.Image, encode: Encode) -> None:
    data = encode(photo, "JPEG")
    expected = decode_image(data).tobytes()
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: decode_image(data).tobytes(), range(200))) == {expected}
