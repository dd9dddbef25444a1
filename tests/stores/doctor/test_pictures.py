"""Sketches of pictures: what is counted, what is blank, what does not decode."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from cnclip.stores.doctor import Tools
from cnclip.stores.doctor.picture_facts import PictureFacts, picture_facts, strange_pictures
from cnclip.stores.doctor.pictures import (
    ANIMATED,
    BLANK,
    DECODED,
    PICTURE,
    TRANSPARENT,
    TURNED,
    content_key,
    mostly_blank,
    sketch_pictures,
    small_colours,
)
from cnclip.stores.reader import StoreReader

Encode = Callable[..., bytes]
Picture = Callable[[int], Image.Image]


@pytest.fixture
def sketch(make_store: Callable[..., StoreReader], tools: Tools) -> Callable[..., tuple[np.ndarray, list]]:
    """Sketches of picture files that a store holds under the names 0.png, 1.png, …"""

    def look(*files: bytes) -> tuple[np.ndarray, list]:
        reader = make_store([(f"{place}.png", data, ["一句话"]) for place, data in enumerate(files)])
        return sketch_pictures(reader, 0, reader.image_count, tools)

    return look


def test_size_bytes_format_and_mode_are_those_of_the_file(
    sketch: Callable[..., tuple[np.ndarray, list]], picture: Picture, encode: Encode
) -> None:
    files = [
        encode(picture(1), "JPEG"),
        encode(picture(2).convert("L")),
        encode(picture(3).convert("P"), "GIF"),
        encode(picture(4), "WEBP"),
        encode(picture(5).convert("1"), "BMP"),
    ]
    rows, problems = sketch(*files)
    assert problems == []
    assert rows["file_bytes"].tolist() == [len(data) for data in files]
    assert rows["file_key"].tolist() == [content_key(data) for data in files]
    assert set(zip(rows["width"].tolist(), rows["height"].tolist(), strict=True)) == {(96, 72)}
    facts = picture_facts(rows)
    assert facts.formats == {"JPEG": 1, "PNG": 1, "WEBP": 1, "GIF": 1, "BMP": 1}
    assert facts.modes == {"RGB": 2, "1": 1, "L": 1, "P": 1}
    assert facts.indexed == 2 and facts.differ_in_cn_clip == 2
    assert facts.file_bytes == sum(map(len, files))


def test_the_same_pixels_have_one_key_whatever_the_file(
    sketch: Callable[..., tuple[np.ndarray, list]], picture: Picture, encode: Encode
) -> None:
    image = picture(1)
    flat = Image.frombytes("RGB", (72, 96), image.tobytes())  # the same bytes in another shape
    rows, _ = sketch(
        encode(image),
        encode(image, "BMP"),
        encode(image, "PNG", compress_level=1),
        encode(flat),
        encode(picture(2)),
    )
    assert len(set(rows["file_key"].tolist())) == 5
    assert rows["pixel_key"][0] == rows["pixel_key"][1] == rows["pixel_key"][2]
    assert len(set(rows["pixel_key"].tolist())) == 3


def test_a_tall_picture_is_hashed_in_strips_to_its_last_row(
    sketch: Callable[..., tuple[np.ndarray, list]], encode: Encode
) -> None:
    tall = Image.new("RGB", (4, 700), "white")
    other = tall.copy()
    other.putpixel((3, 699), (254, 255, 255))
    rows, _ = sketch(encode(tall), encode(other))
    assert rows["pixel_key"][0] != rows["pixel_key"][1]


def test_orientation_transparency_and_animation_are_seen(
    sketch: Callable[..., tuple[np.ndarray, list]], picture: Picture, encode: Encode
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    clear = picture(2).convert("RGBA")
    clear.putalpha(100)
    frames = [picture(seed).convert("P") for seed in (3, 4)]
    rows, _ = sketch(
        encode(picture(1), "JPEG", exif=exif),
        encode(clear),
        encode(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        encode(picture(5)),
    )
    assert rows["traits"].tolist() == [TURNED | DECODED, TRANSPARENT | DECODED, ANIMATED | DECODED, DECODED]
    assert (rows["width"][0], rows["height"][0]) == (72, 96)  # upright
    facts = picture_facts(rows)
    assert (facts.turned, facts.transparent, facts.animated, facts.differ_in_cn_clip) == (1, 1, 1, 3)


def test_a_picture_that_does_not_decode_is_a_problem_and_not_a_crash(
    sketch: Callable[..., tuple[np.ndarray, list]], picture: Picture, encode: Encode
) -> None:
    whole = encode(picture(1))
    rows, problems = sketch(whole, whole[:-200], b"<html>404</html>")
    assert [(problem.kind, problem.index, problem.name) for problem in problems] == [
        ("picture", 1, "1.png"),
        ("picture", 2, "2.png"),
    ]
    assert "truncated" in problems[0].reason and "not an image" in problems[1].reason
    facts = picture_facts(rows)
    assert (facts.count, facts.decoded) == (3, 1)
    assert sum(facts.shorter_side.counts) == 1 and facts.formats == {"PNG": 1}


def cells_with(others: int) -> np.ndarray:
    """32 x 32 white cells, some of them black."""
    cells = np.full((1024, 3), 255, dtype=np.uint8)
    cells[:others] = 0
    return cells.reshape(32, 32, 3)


def test_blank_is_98_percent_of_the_cells_near_the_median_colour() -> None:
    assert mostly_blank(cells_with(20))  # 1004 of 1024 = 98.05 %
    assert not mostly_blank(cells_with(21))  # 1003 of 1024 = 97.95 %


def test_one_channel_alone_can_make_a_picture_not_blank() -> None:
    cells = np.full((32, 32, 3), 100, dtype=np.uint8)
    cells[:16, :, 2] = 117  # the median of the channel is 108.5: all cells lie 8.5 from it
    assert not mostly_blank(cells)
    cells[:16, :, 2] = 116
    assert mostly_blank(cells)


def test_blank_pictures_of_any_format_are_found(
    sketch: Callable[..., tuple[np.ndarray, list]], picture: Picture, encode: Encode
) -> None:
    rows, _ = sketch(
        encode(Image.new("RGB", (300, 200), (250, 240, 230)), "JPEG"),
        encode(Image.new("RGBA", (60, 60), (0, 0, 0, 0))),
        encode(picture(1)),
    )
    assert (rows["traits"] & BLANK != 0).tolist() == [True, True, False]


def test_cells_are_the_mean_colours(encode: Encode) -> None:
    image = Image.new("RGB", (64, 64), "black")
    image.paste((200, 100, 50), (0, 0, 1, 2))  # half of the first cell of 2 x 2 pixels
    cells = small_colours(image)
    assert cells[0, 0].tolist() == [100, 50, 25] and cells[1:].sum() == 0


def sized(*sizes: tuple[int, int]) -> PictureFacts:
    rows = np.zeros(len(sizes), dtype=PICTURE)
    rows["width"], rows["height"] = np.array(sizes).T
    rows["traits"] = DECODED
    return picture_facts(rows)


def test_sizes_and_aspects_are_counted_at_their_borders() -> None:
    facts = sized((31, 100), (32, 32), (128, 32), (127, 32), (2048, 700), (2047, 700))
    assert facts.tiny == 1  # 31
    assert facts.stretched == 1  # 128 x 32
    assert facts.huge == 1  # 2048
    sides = dict(zip(facts.shorter_side.labels, facts.shorter_side.counts, strict=True))
    assert sides["1–31"] == 1 and sides["32–63"] == 3 and sides["512–767"] == 2
    aspects = dict(zip(facts.aspect.labels, facts.aspect.counts, strict=True))
    assert aspects["1–1.1"] == 1 and aspects["4–8"] == 1 and aspects["3–4"] == 2 and aspects["2–3"] == 2


def test_the_strangest_of_each_kind_come_first_and_are_bounded(
    sketch: Callable[..., tuple[np.ndarray, list]], picture: Picture, encode: Encode
) -> None:
    def at(size: tuple[int, int]) -> bytes:
        return encode(picture(1).resize(size))

    rows, _ = sketch(at((20, 20)), at((10, 10)), at((300, 60)), at((600, 60)), at((90, 90)))
    assert list(strange_pictures(rows, 9)) == [
        ("太小 tiny", 1),
        ("太小 tiny", 0),
        ("狭长 stretched", 3),
        ("狭长 stretched", 2),
    ]
    assert list(strange_pictures(rows, 1)) == [("太小 tiny", 1), ("狭长 stretched", 3)]
