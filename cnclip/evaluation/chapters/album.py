"""The pictures of a page: small copies inside the file, each of them once, however often it is shown.

A copy is a `<symbol>` at the end of the page; every place that shows it refers to it by number. The same copy
written out at each place would make a page of galleries several times as large.
"""

from __future__ import annotations

import base64
import hashlib
import io
from dataclasses import dataclass

from PIL import Image, features

from cnclip.evaluation.chapters.markup import escaped
from cnclip.images.decode import decode_image

THUMBNAIL_PIXELS = 224
MOST_BYTES = 16 * 1000 * 1000  # of all copies, written out


@dataclass(frozen=True)
class Thumbnail:
    """A small copy: what the model saw (upright, over white), without the file's metadata."""

    address: str
    width: int
    height: int


def thumbnail(image: bytes, name: str) -> Thumbnail:
    """A picture's small copy as a data address.

    Args:
        image: the encoded picture.
        name: for the error.

    Raises:
        ImageError: it cannot be decoded.
    """
    picture = decode_image(image, name=name)
    picture.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.LANCZOS)
    kind = "webp" if features.check("webp") else "jpeg"
    buffer = io.BytesIO()
    picture.save(buffer, kind, quality=82)
    address = f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return Thumbnail(address, *picture.size)


class Album:
    """The copies that a page has so far.

    Args:
        most_bytes: of all copies; a picture that comes after that is shown as an empty frame, and counted.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._left = most_bytes
        self._numbers: dict[bytes, int | None] = {}
        self._symbols: list[str] = []
        self.shown = 0

    @property
    def copies(self) -> int:
        """How many pictures are in the file."""
        return len(self._symbols)

    @property
    def left_out(self) -> int:
        """How many pictures found no room."""
        return sum(number is None for number in self._numbers.values())

    def place(self, image: bytes, label: str) -> str:
        """The element that shows a picture.

        Args:
            image: the encoded picture.
            label: what is read out in its place.

        Raises:
            ImageError: it cannot be decoded.
        """
        key = hashlib.sha256(image).digest()
        if key not in self._numbers:
            self._numbers[key] = self._add(image, label)
        number = self._numbers[key]
        frame = f'<svg class="picture" viewBox="0 0 1 1" role="img" aria-label="{escaped(label)}">'
        if number is None:
            return frame + "</svg>"
        self.shown += 1
        return f'{frame}<use href="#picture-{number}"/></svg>'

    def symbols(self) -> str:
        """All copies, for the end of the page."""
        return f'<svg class="album" aria-hidden="true">{"".join(self._symbols)}</svg>'

    def _add(self, image: bytes, label: str) -> int | None:
        copy = thumbnail(image, label)
        if len(copy.address) > self._left:
            return None
        self._left -= len(copy.address)
        size = f'width="{copy.width}" height="{copy.height}"'
        number = len(self._symbols)
        self._symbols.append(
            f'<symbol id="picture-{number}" viewBox="0 0 {copy.width} {copy.height}">'
            f'<image {size} href="{copy.address}"/></symbol>\n'
        )
        return number
