"""One picture as 91 bytes: hashes, size, kind, colours. The picture itself is let go at once."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
from PIL import Image

from cnclip.errors import CnclipError, ImageError
from cnclip.stores.doctor.near_hash import CELLS, COLOUR_CELLS, near_hash
from cnclip.stores.doctor.tools import Tools
from cnclip.stores.reader import StoreReader

FORMATS = ("?", "JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
MODES = ("?", "1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "LAB", "HSV",
         "I", "I;16", "I;16B", "I;16L", "F")  # fmt: skip
TURNED, TRANSPARENT, ANIMATED, BLANK, DECODED = 1, 2, 4, 8, 16

BLANK_STEPS = 8  # of 255, from the median colour
BLANK_SHARE = 0.98

PICTURE = np.dtype(
    [
        ("file_key", "<u8"),  # of the bytes
        ("pixel_key", "<u8"),  # of the size and the upright RGB pixels
        ("near_key", "<u8"),  # see near_hash
        ("colours", "u1", (3 * COLOUR_CELLS**2,)),
        ("file_bytes", "<u8"),
        ("width", "<u4"),  # upright
        ("height", "<u4"),
        ("format", "u1"),  # place in FORMATS
        ("mode", "u1"),  # place in MODES
        ("traits", "u1"),  # TURNED | TRANSPARENT | …
    ]
)

_EXIF_ORIENTATION = 0x0112
_STRIP_ROWS = 256  # hashed at a time, so that a huge picture is not copied whole
Rows = npt.NDArray[np.void]


@dataclass(frozen=True)
class Problem:
    """A record that cannot be used.

    Attributes:
        kind: `picture` = bytes that do not decode; `record` = damaged in the store.
        index: of the picture or caption.
        name: its id, where it could be read.
        reason: what is wrong with it.
    """

    kind: str
    index: int
    name: str
    reason: str


def sketch_pictures(reader: StoreReader, start: int, stop: int, tools: Tools) -> tuple[Rows, list[Problem]]:
    """Sketches of the pictures number `start` to `stop`, and those that do not decode.

    A picture that does not decode has the trait DECODED missing, and zeros but for its file.
    """
    rows = np.zeros(stop - start, dtype=PICTURE)
    problems = []
    for index in range(start, stop):
        row, name, kind = rows[index - start], "", "record"
        try:
            stored = reader.image(index)
            name, kind = stored.image_id, "picture"
            row["file_key"], row["file_bytes"] = content_key(stored.image), len(stored.image)
            _sketch(row, stored.image, name, tools)
        except CnclipError as error:
            problems.append(Problem(kind, index, name, error.what))
    return rows, problems


def content_key(data: bytes) -> int:
    """64 bits of a hash; among a million contents two share them with a chance of 3 in 100 million."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")


def small_colours(rgb: Image.Image) -> npt.NDArray[np.uint8]:
    """A picture squashed to cells: the mean colour of each, uint8 [32, 32, 3]."""
    return np.asarray(rgb.resize((CELLS, CELLS), Image.Resampling.BOX))


def mostly_blank(cells: npt.NDArray[np.uint8]) -> bool:
    """Whether BLANK_SHARE of the cells lie within BLANK_STEPS of the median colour, in all three channels.

    Args:
        cells: uint8 [32, 32, 3].
    """
    flat = cells.reshape(-1, 3).astype(np.int64)
    apart = np.abs(2 * flat - np.sort(flat, axis=0)[[len(flat) // 2 - 1, len(flat) // 2]].sum(axis=0))
    return bool((apart.max(axis=1) <= 2 * BLANK_STEPS).mean() >= BLANK_SHARE)


def _sketch(row: np.void, data: bytes, name: str, tools: Tools) -> None:
    image = tools.open_image(data, name=name)
    row["format"] = _place(FORMATS, image.format)
    row["mode"] = _place(MODES, image.mode)
    traits = TURNED * _is_turned(image) | TRANSPARENT * image.has_transparency_data
    traits |= ANIMATED * bool(getattr(image, "is_animated", False))
    try:
        rgb = tools.to_rgb(image, name=name)
        cells = small_colours(rgb)
        row["pixel_key"] = _pixel_key(rgb)
    except MemoryError:
        raise ImageError("there is not enough memory for the picture", where=name) from None
    row["width"], row["height"] = rgb.size
    grey = cells.astype(np.int64) @ np.array([299, 587, 114])
    row["near_key"] = near_hash(grey)
    side = CELLS // COLOUR_CELLS
    row["colours"] = cells.reshape(COLOUR_CELLS, side, COLOUR_CELLS, side, 3).mean(axis=(1, 3)).ravel()
    row["traits"] = traits | BLANK * mostly_blank(cells) | DECODED


def _pixel_key(rgb: Image.Image) -> int:
    digest = blake2b(repr(rgb.size).encode(), digest_size=8)
    for top in range(0, rgb.height, _STRIP_ROWS):
        digest.update(rgb.crop((0, top, rgb.width, min(top + _STRIP_ROWS, rgb.height))).tobytes())
    return int.from_bytes(digest.digest(), "little")


def _is_turned(image: Image.Image) -> bool:
    try:
        return 2 <= int(image.getexif().get(_EXIF_ORIENTATION, 1)) <= 8
    except Exception:  # an unreadable EXIF block turns nothing, as in decoding
        return False


def _place(names: tuple[str, ...], name: str | None) -> int:
    return names.index(name) if name in names else 0
