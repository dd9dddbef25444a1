"""What the doctor borrows from the rooms beside it: decoding, cleaning, word pieces, words.

The functions are given by the command, since the rooms of one layer do not import each other. All of them
must be functions of a module, so that a worker process can be told their names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from PIL import Image


class OpenImage(Protocol):
    """Bytes -> the picture as the file holds it, decoded; raises ImageError."""

    def __call__(self, data: bytes, *, name: str = ...) -> Image.Image: ...


class ToRgb(Protocol):
    """A picture -> upright RGB; raises ImageError."""

    def __call__(self, image: Image.Image, *, name: str = ...) -> Image.Image: ...


@dataclass(frozen=True)
class Tools:
    """The functions by which pictures and captions are looked at.

    Attributes:
        open_image: see OpenImage.
        to_rgb: see ToRgb.
        clean: the cleaning that training does with a caption.
        pieces: the ids of all word pieces of a caption, uncut, without [CLS] and [SEP].
        words: the words of a cleaned caption.
        unknown_id: the piece that stands for what the vocabulary lacks.
    """

    open_image: OpenImage
    to_rgb: ToRgb
    clean: Callable[[str], str]
    pieces: Callable[[str], list[int]]
    words: Callable[[str], list[str]]
    unknown_id: int
