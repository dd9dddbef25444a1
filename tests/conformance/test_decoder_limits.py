"""Damaged pictures and many threads: every fault has one name, every thread the same pixels."""

from __future__ import annotations

import io
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from cnclip.errors import ImageError
from cnclip.images.decode import decode_image

Draw = Callable[..., bytes]
FORMS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")


def photo(form: str, size: int = 40) -> bytes:
    levels = np.random.default_rng(size).integers(0, 256, (size, size, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, form)
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "count", [pytest.param(300, id="few"), pytest.param(20_000, marks=pytest.mark.nightly, id="many")]
)
def test_a_flipped_bit_gives_a_picture_or_the_one_error(form: str, count: int) -> None:
    data = photo(form)
    generator = random.Random(count)
    refused = 0
    for _ in range(count):
        damaged = bytearray(data)
        near_the_start = generator.random() < 0.5  # where the headers are
        place = generator.randrange(min(len(data), 120) if near_the_start else len(data))
        damaged[place] ^= 1 << generator.randrange(8)
        try:
            decoded = decode_image(bytes(damaged), name="图")
            assert decoded.mode == "RGB" and len(decoded.tobytes()) == 3 * decoded.width * decoded.height
        except ImageError as error:
            refused += 1
            assert error.where == "图" and error.fix
    assert refused > 0


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("count", [300, pytest.param(20_000, marks=pytest.mark.nightly)])
def test_random_bytes_behind_a_real_beginning_are_refused_or_decoded(count: int) -> None:
    generator = random.Random(count)
    beginnings = [photo(form)[: generator.randrange(4, 60)] for form in FORMS]
    for number in range(count):
        data = beginnings[number % len(beginnings)] + generator.randbytes(generator.randrange(600))
        try:
            decode_image(data)
        except ImageError as error:
            assert error.fix


@pytest.mark.parametrize("rounds", [8, pytest.param(1000, marks=pytest.mark.nightly)])
def test_eight_threads_see_what_one_sees(rounds: int) -> None:
    pictures = [photo(form, 24 + number) for number, form in enumerate(FORMS * 2)]
    pictures += [data[: len(data) // 2] for data in pictures[:3]]

    def look(data: bytes) -> bytes | str:
        try:
            return decode_image(data).tobytes()
        except ImageError as error:
            return str(error)

    alone = [look(data) for data in pictures]
    start = threading.Barrier(8)

    def work(seed: int) -> int:
        order = list(range(len(pictures))) * rounds
        random.Random(seed).shuffle(order)
        start.wait()
        return sum(look(pictures[place]) != alone[place] for place in order)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [0] * 8
