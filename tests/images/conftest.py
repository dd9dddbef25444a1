"""Small pictures with a known content."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

Encode = Callable[..., bytes]


@pytest.fixture
def photo() -> Image.Image:
    """48 x 32, no two corners alike, smooth enough for JPEG."""
    rows, columns = np.mgrid[0:32, 0:48]
    levels = np.stack([columns * 5, rows * 7, 200 - rows * 3 - columns], axis=-1)
    return Image.fromarray(levels.astype(np.uint8))


@pytest.fixture
def noise() -> Image.Image:
    """The random picture of the official goldens, 500 x 300."""
    return Image.fromarray(np.random.RandomState(0).randint(0, 256, (300, 500, 3)).astype(np.uint8))


@pytest.fixture
def encode() -> Encode:
    """A picture to the bytes of a file."""

    def _encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    return _encode
