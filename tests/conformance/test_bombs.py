"""Pictures of a few kilobytes that would become gigabytes are refused before they do."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import pytest
from PIL import Image

from cnclip.errors import ImageError
from cnclip.images.decode import decode_image

MOST_GROWTH = 200 << 20  # bytes


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def zeros(count: int) -> bytes:
    """`count` zeros, deflated piece by piece."""
    packer = zlib.compressobj(9)
    piece = bytes(1 << 20)
    parts = [packer.compress(piece) for _ in range(count >> 20)]
    return b"".join([*parts, packer.compress(bytes(count & 0xFFFFF)), packer.flush()])


def png(width: int, height: int, *extra: bytes, whole: bool = True) -> bytes:
    """An all black PNG; `whole` = every pixel is really there."""
    body = zeros(height * (1 + 3 * width)) if whole else zlib.compress(bytes(1000))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def text_chunks(kind: bytes, count: int) -> list[bytes]:
    packed = zeros(100 << 20)
    between = {b"zTXt": b"k\0\0", b"iTXt": b"k\0\x01\0\0\0", b"iCCP": b"k\0\0"}[kind]
    return [chunk(kind, between + packed)] * count


def gif(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("P", (8, 8)).save(buffer, "GIF")
    data = bytearray(buffer.getvalue())
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


def webp(side: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (side, side)).convert("RGB").save(buffer, "WEBP", quality=1, method=0)
    return buffer.getvalue()


def tiff(width: int, height: int) -> bytes:
    """A header that promises pixels and one strip that holds them deflated."""
    packed = zlib.compress(bytes(1 << 20), 9)
    tags = [
        (256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 8), (262, 3, 1), (273, 4, 8),
        (277, 3, 1), (278, 4, height), (279, 4, len(packed)),
    ]  # fmt: skip
    table = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    start = 8 + len(packed)
    return struct.pack("<2sHI", b"II", 42, start) + packed + struct.pack("<H", len(tags)) + table + bytes(4)


BOMBS: dict[str, Callable[[], bytes]] = {
    "PNG of 89 megapixels": lambda: png(9434, 9434, whole=False),
    "PNG of 144 megapixels": lambda: png(12_000, 12_000, whole=False),
    "PNG of 196 megapixels": lambda: png(14_000, 14_000, whole=False),
    "PNG of 4 gigapixels": lambda: png(65_535, 65_535, whole=False),
    "PNG of 100 MB of zTXt": lambda: png(8, 8, *text_chunks(b"zTXt", 1)),
    "PNG of 6400 MB of zTXt": lambda: png(8, 8, *text_chunks(b"zTXt", 64)),
    "PNG of 1600 MB of iTXt": lambda: png(8, 8, *text_chunks(b"iTXt", 16)),
    "PNG of 100 MB of profile": lambda: png(8, 8, *text_chunks(b"iCCP", 1)),
    "GIF of 4 gigapixels": lambda: gif(65_535, 65_535),
    "GIF of 81 megapixels": lambda: gif(9000, 9000),
    "TIFF of 10 gigapixels": lambda: tiff(100_000, 100_000),
    "TIFF of 89 megapixels": lambda: tiff(9434, 9434),
}


@pytest.mark.parametrize("kind", BOMBS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_picture_that_swells_is_refused_or_stays_small(kind: str, growth_of: Callable[..., int]) -> None:
    data = BOMBS[kind]()

    def open_it() -> None:
        try:
            decode_image(data)
        except ImageError as error:
            print(error)
            return
        assert "pixels" not in kind

    assert growth_of(open_it) < MOST_GROWTH


@pytest.mark.nightly
def test_pictures_that_really_hold_their_pixels_are_refused_by_their_header(
    growth_of: Callable[..., int],
) -> None:
    for data in (png(9434, 9434), png(14_000, 14_000), webp(9000)):

        def open_it(data: bytes = data) -> None:
            with pytest.raises(ImageError, match="too large"):
                decode_image(data)

        assert len(data) < 1 << 20
        assert growth_of(open_it) < MOST_GROWTH
