"""Bytes to an upright RGB picture: one set of rules for building, training, measuring and searching.

The rules, in order:

* JPEG, PNG, WebP, GIF, BMP and TIFF only; at most 64 megapixels and 20 000 pixels a side, known from the
  header before anything is decoded; everything must decode (Pillow's `verify()` passes truncated files);
* the first frame of an animation or of a page stack;
* the orientation that EXIF asks for; an unreadable EXIF block is ignored;
* 16-bit, 32-bit and floating-point grey is scaled to 8 bits, not clipped (see `_grey_to_8_bits`);
* transparency lies on white, whatever colour hides under it;
* CMYK, palette and other colour modes become RGB by Pillow's own conversion; colour profiles are ignored.

`open_image` stops after the first two rules. It serves `image_transform(compat="cn_clip")`, which needs the
picture as the file holds it, since Chinese-CLIP resizes before it converts and knows no EXIF.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, UnidentifiedImageError

from cnclip.errors import ImageError

DECODE_VERSION = 1  # raise it whenever a rule above changes pixels: fingerprints then change
IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
MAX_PIXELS = 64 * 1024 * 1024
MAX_SIDE = 20_000

_REPLACE = "replace the file or drop its row"
_EXIF_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_image(data: bytes, *, name: str = "image") -> Image.Image:
    """Decode a file's bytes into mode RGB by this module's rules.

    Args:
        data: a whole image file.
        name: file name or id, for the error message.

    Raises:
        ImageError: not a picture, an unaccepted format, too large, truncated or damaged.
    """
    return to_rgb(open_image(data, name=name), name=name)


def open_image(data: bytes, *, name: str = "image", least_side: int | None = None) -> Image.Image:
    """Decode a file's bytes, keeping the file's own mode and orientation; first frame only.

    Args:
        data: a whole image file.
        name: file name or id, for the error message.
        least_side: pixels; a JPEG may then come out at 1/2, 1/4 or 1/8 of its size, which is cheaper, with
            neither side below this. The limits hold for the size in the file.

    Raises:
        ImageError: as `decode_image`.
    """
    if not data:
        raise ImageError("the image is empty (0 bytes)", where=name, fix=_REPLACE)
    try:
        image = Image.open(io.BytesIO(data), formats=IMAGE_FORMATS)
    except Exception as error:
        raise _refusal(error, data, name) from error
    _check_size(image, name)
    if least_side is not None:
        image.draft(None, (least_side, least_side))
    return _loaded(image, name, data)


def to_rgb(image: Image.Image, *, name: str = "image") -> Image.Image:
    """Turn any Pillow image into upright RGB by this module's rules; upright RGB is returned as it is.

    Args:
        image: any mode, also straight from `Image.open`; it is decoded here if it was not yet.
        name: file name or id, for the error message.

    Raises:
        ImageError: the image is too large, or cannot be decoded or converted.
    """
    image = _loaded(image, name)
    turn = _TURNS.get(_orientation(image))
    if turn is None and image.mode == "RGB" and not image.has_transparency_data:
        return image
    try:
        rgb = _converted(image)
        if turn is not None:
            rgb = rgb.transpose(turn)
    except Exception as error:
        raise _refusal(error, b"", name) from error
    rgb.info = {}  # an EXIF block left here would turn the picture a second time
    return rgb


def _loaded(image: Image.Image, name: str, data: bytes = b"") -> Image.Image:
    """The decoded image; its size is checked first, while only the header has been read."""
    _check_size(image, name)
    try:
        image.load()
    except Exception as error:
        raise _refusal(error, data, name) from error
    return image


def _check_size(image: Image.Image, name: str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise ImageError(
            f"the image is too large: {width}x{height} pixels; the limits are {MAX_PIXELS} in all"
            f" and {MAX_SIDE} a side",
            where=name,
            fix="scale it down (training uses 224 to 336 pixels a side)",
        )
    if min(width, height) < 1:
        raise ImageError(f"the image is empty: {width}x{height} pixels", where=name, fix=_REPLACE)


def _refusal(error: Exception, data: bytes, name: str) -> ImageError:
    """Pillow's plugins raise OSError, SyntaxError, ValueError, struct.error, MemoryError … on bad bytes."""
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return ImageError(f"the image is too large: {error}", where=name, fix="scale it down")
    if isinstance(error, UnidentifiedImageError):
        start = bytes(data[:16])
        what = f"not an image of an accepted format ({', '.join(IMAGE_FORMATS)}); it begins with {start!r}"
        return ImageError(what, where=name, fix=_REPLACE)
    reason = str(error) or type(error).__name__
    return ImageError(f"the image is truncated or damaged: {reason}", where=name, fix=_REPLACE)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # EXIF is written by every camera in its own way; a picture is not lost for it
        return 1


def _converted(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _grey_to_8_bits(image)
    if image.has_transparency_data:
        if image.mode in ("La", "RGBa"):
            image = image.convert("LA" if image.mode == "La" else "RGBA")
        rgba = image.convert("RGBA")
        white = Image.new("RGB", rgba.size, (255, 255, 255))
        white.paste(rgba, mask=rgba.getchannel("A"))
        return white
    return image.convert("RGB")


def _grey_to_8_bits(image: Image.Image) -> Image.Image:
    """Scale deep grey to mode L.

    16-bit modes: 0..65535 -> 0..255. Modes I and F do not say their range, so it is the narrowest of
    0..1 (F only), 0..255 and 0..65535 that holds the values, else the span of the values themselves.
    NaN becomes black.
    """
    values = np.asarray(image, dtype=np.float64)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if image.mode not in ("I", "F"):
        low, high = 0.0, 65535.0
    elif low >= 0 and high <= 65535:
        tops = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        low, high = 0.0, next(top for top in tops if high <= top)
    scaled = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / max(high - low, 1e-12) * 255.0
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))
