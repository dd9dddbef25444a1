"""A file's bytes to nearly the pixels of `image_transform`, two to three times as fast.

A large JPEG is decoded at 1/2, 1/4 or 1/8 of its size (scaling inside the DCT), never below twice the
target; torch's uint8 resize stands in for Pillow's. All else is as in `image_transform`: limits, accepted
formats, EXIF orientation, alpha on white, squash to a square, normalisation.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from cnclip.errors import ImageError, UnknownNameError
from cnclip.images.decode import DECODE_VERSION, open_image, to_rgb
from cnclip.images.transform import (
    IMAGE_MEAN,
    IMAGE_STD,
    ImageTransform,
    check_image_size,
    image_transform,
    normalize_pixels,
)

_FAST_VERSION = 1  # raise it whenever the code below changes pixels
_LEAST_SCALE = 2  # a JPEG decoded nearer to the target loses three times as much


@dataclass(frozen=True)
class FastImageTransform:
    """Callable file -> float32 [3, S, S]; made by `fast_image_transform`, which checks the size.

    It can stand wherever an `ImageTransform` does: it has `read`, `to_uint8` and `fingerprint` too.

    Attributes:
        image_size: S, pixels a side.
    """

    image_size: int

    def __call__(self, source: bytes | str | Path | Image.Image) -> Tensor:
        """Normalised pixels, float32 [3, S, S].

        Args:
            source: a whole image file as bytes, the path of one, or a Pillow image (then only the resize
                is faster, since the choice of a smaller decoding is past).

        Raises:
            ImageError: as `decode_image`; or the file cannot be read.
        """
        if isinstance(source, Image.Image):
            return normalize_pixels(self.to_uint8(source))
        name = "image"
        if isinstance(source, str | Path):
            name, source = str(source), _file_bytes(Path(source))
        return normalize_pixels(self.to_uint8(self.read(source, name=name)))

    def read(self, data: bytes, *, name: str = "image") -> Image.Image:
        """Decode a file's bytes to upright RGB with both sides at least 2 S, or as large as the file is.

        Raises:
            ImageError: as `decode_image`.
        """
        return to_rgb(open_image(data, name=name, least_side=_LEAST_SCALE * self.image_size), name=name)

    def to_uint8(self, image: Image.Image) -> Tensor:
        """Resized pixels before normalisation: uint8 [3, S, S].

        Raises:
            ImageError: not a Pillow image, or one that cannot be decoded.
        """
        if not isinstance(image, Image.Image):
            raise ImageError(
                f"fast_image_transform takes bytes, a path or a Pillow image, not {type(image).__name__}",
                fix="Path(path).read_bytes()",
            )
        rgb = to_rgb(image)
        stored = bytearray(rgb.tobytes("raw", "RGBX"))  # as Pillow holds it; packing to 3 bytes costs more
        pixels = torch.frombuffer(stored, dtype=torch.uint8).view(rgb.height, rgb.width, 4).permute(2, 0, 1)
        return _squashed(pixels[None], self.image_size)[0, :3].contiguous()

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits; never those of an `ImageTransform`, so that their caches do not mix."""
        facts = {
            "fast": _FAST_VERSION,
            "image_size": self.image_size,
            "least_scale": _LEAST_SCALE,
            "mean": IMAGE_MEAN,
            "std": IMAGE_STD,
            "decode": DECODE_VERSION,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def fast_image_transform(image_size: int = 224) -> FastImageTransform:
    """A quicker stand-in for `image_transform`: `fast_image_transform(224)("猫.jpg")`.

    How far its pixels are from those of `image_transform`, in steps of 1/255 before normalisation:

    * decoded at full size (another format than JPEG, or a side below 4 x image_size): at most 2, on
      average 0.004, over 1 200 photos and 1 500 random shapes;
    * a JPEG decoded smaller: at most 12, on average 0.2 to 0.8, over photos of 1500x1000 and 4000x3000
      pixels at 224 and 336; up to 52, on average 0.5, over very sharp 256-pixel pictures at 48.

    Measured with Pillow 13 and torch 2.13 (`benchmarks/preprocess.py` repeats it on two photos). It takes
    half of `image_transform`'s time at 640x480 pixels and a third at 1500x1000.

    Args:
        image_size: pixels a side, as the model's `resolution`.

    Raises:
        RecipeError: image_size is not a whole number from 1 to 4096.
    """
    check_image_size(image_size)
    return FastImageTransform(image_size)


Pixels = Literal["exact", "fast"]
PixelTransform = ImageTransform | FastImageTransform


def pixel_transform(image_size: int, pixels: Pixels) -> PixelTransform:
    """`image_transform(image_size)` for "exact", `fast_image_transform(image_size)` for "fast".

    Raises:
        RecipeError: image_size is not a whole number from 1 to 4096.
        UnknownNameError: another value of `pixels`.
    """
    if pixels not in get_args(Pixels):
        raise UnknownNameError(f"pixels={pixels!r} is unknown", fix=f"one of: {', '.join(get_args(Pixels))}")
    return image_transform(image_size) if pixels == "exact" else fast_image_transform(image_size)


def _squashed(pixels: Tensor, side: int) -> Tensor:
    """uint8 [1, C, H, W] -> [1, C, side, side], bicubic with antialiasing.

    Width and height are resized one after the other, with rounding between, so their order shows. torch
    begins with the width; Pillow 13 with the height of tall pictures (the rule was found by trying shapes).
    """
    height, width = pixels.shape[-2:]
    if height > side and 2 * width < height + side:
        pixels = F.interpolate(pixels, (side, width), mode="bicubic", antialias=True)
    return F.interpolate(pixels, (side, side), mode="bicubic", antialias=True)


def _file_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"the file cannot be read: {error.strerror}", where=str(path)) from error
