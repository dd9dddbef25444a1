"""What a build does to a picture: check that it decodes, and make it smaller where that is asked for."""

from __future__ import annotations

import io

from PIL import Image

from cnclip.errors import RecipeError
from cnclip.images.decode import decode_image


def check_picture(data: bytes) -> None:
    """Decode a picture and let it go.

    Raises:
        ImageError: see decode_image.
    """
    decode_image(data)


def shrink(data: bytes, *, max_side: int, quality: int) -> bytes:
    """A picture whose longer side has at most `max_side` pixels.

    A larger one is decoded upright by the rules of `decode_image`, resized (Lanczos) and encoded as a JPEG. A
    smaller one is checked, and its bytes are returned as they are. The bytes of the result depend on
    Pillow's version. Large JPEGs are decoded in full: at a half or a quarter of their size, even at four
    times the size that is wanted, photographs came out 2.5 to 4 levels apart in the mean.

    Args:
        data: a whole image file.
        max_side: pixels of the longer side.
        quality: of the JPEG, 1 to 100.

    Raises:
        ImageError: see decode_image.
        RecipeError: a size or quality that there is not.
    """
    check_shrinking(max_side, quality)
    image = decode_image(data)
    if max(image.size) <= max_side:
        return data
    scale = max_side / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    small = image.resize((width, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def check_shrinking(max_side: int, quality: int) -> None:
    """Refuse a size or quality that there is not.

    Raises:
        RecipeError: the first that is wrong.
    """
    if max_side < 16:
        raise RecipeError(f"max side is {max_side} pixels", fix="--max-side 512, 16 or more")
    if not 1 <= quality <= 100:
        raise RecipeError(f"quality is {quality}", fix="--quality 90, 1 to 100")
