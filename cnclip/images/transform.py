"""A picture to the tensor that CLIP's image tower expects: squashed to a square, scaled, normalised.

`image_transform(224)` is Chinese-CLIP's transform, bit for bit on RGB pictures: bicubic with antialiasing to
size x size without keeping the aspect, then (pixel / 255 - mean) / std. On other modes the choices differ:

* compat="cnclip" (default): the picture is first made upright RGB by the rules of `images.decode`, and then
  resized. Give it `decode_image(data)`, or any Pillow image.
* compat="cn_clip": Chinese-CLIP's order. It resizes in the file's own mode (palette and 1-bit pictures with
  nearest neighbour, 16-bit ones are clipped), converts to RGB afterwards, drops alpha and ignores EXIF. Give
  it the undecoded picture, `open_image(data)` or `Image.open(path)`: once `decode_image` has converted a
  picture, the official result cannot be had any more.

`ImageTransform.read` takes a file's bytes and picks the fitting way, so that callers need not know.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cnclip.errors import ImageError, RecipeError, UnknownNameError
from cnclip.images.decode import DECODE_VERSION, decode_image, open_image, to_rgb

IMAGE_MEAN = (0.48145466, 0.4578275, 0.40821073)  # RGB, of pixels in 0..1: OpenAI CLIP's training set
IMAGE_STD = (0.26862954, 0.26130258, 0.27577711)

Compatibility = Literal["cnclip", "cn_clip"]

_TRANSFORM_VERSION = 1  # raise it whenever the code below changes pixels
_MAX_IMAGE_SIZE = 4096


@dataclass(frozen=True)
class ImageTransform:
    """Callable Pillow image -> float32 [3, S, S]; made by `image_transform`, which checks the values.

    Attributes:
        image_size: S, pixels a side.
        compat: "cnclip" or "cn_clip"; see the module's docstring.
    """

    image_size: int
    compat: Compatibility = "cnclip"

    def __call__(self, image: Image.Image) -> Tensor:
        """Normalised pixels, float32 [3, S, S]; errors are those of `to_uint8`."""
        return normalize_pixels(self.to_uint8(image))

    def to_uint8(self, image: Image.Image) -> Tensor:
        """Resized pixels before normalisation: uint8 [3, S, S], a quarter of the bytes.

        Raises:
            ImageError: not a Pillow image, or one that cannot be decoded.
        """
        if not isinstance(image, Image.Image):
            raise ImageError(
                f"image_transform takes a Pillow image, not {type(image).__name__}",
                fix="Image.open(path), decode_image(data) or Image.fromarray(array)",
            )
        size = (self.image_size, self.image_size)
        if self.compat == "cnclip":
            squashed = to_rgb(image).resize(size, Image.Resampling.BICUBIC)
        else:
            squashed = _official_order(image, size)
        pixels = torch.from_numpy(np.array(squashed))  # uint8 [S, S, 3]; np.array: writable and owned
        return pixels.permute(2, 0, 1).contiguous()

    def read(self, data: bytes, *, name: str = "image") -> Image.Image:
        """Decode a file's bytes into the picture that this transform wants.

        Raises:
            ImageError: as `decode_image`.
        """
        return decode_image(data, name=name) if self.compat == "cnclip" else open_image(data, name=name)

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that differ whenever the pixels may: settings, constants, code versions."""
        facts = {
            **asdict(self),
            "mean": IMAGE_MEAN,
            "std": IMAGE_STD,
            "transform": _TRANSFORM_VERSION,
            "decode": DECODE_VERSION,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def image_transform(image_size: int = 224, *, compat: Compatibility = "cnclip") -> ImageTransform:
    """The transform of Chinese-CLIP: `image_transform(224)(Image.open(path))` is float32 [3, 224, 224].

    Args:
        image_size: pixels a side, as the model's `resolution`.
        compat: "cn_clip" gives the official result for pictures that are not RGB, too.

    Raises:
        RecipeError: image_size is not a whole number from 1 to 4096.
        UnknownNameError: another value of `compat`.
    """
    check_image_size(image_size)
    if compat not in get_args(Compatibility):
        known = ", ".join(get_args(Compatibility))
        raise UnknownNameError(f"compat={compat!r} is unknown", fix=f"one of: {known}")
    return ImageTransform(image_size, compat)


def check_image_size(image_size: int) -> None:
    """Refuse sizes that are no whole number from 1 to 4096: RecipeError."""
    if type(image_size) is not int or not 1 <= image_size <= _MAX_IMAGE_SIZE:
        raise RecipeError(
            f"image_size is {image_size!r}; it must be a whole number from 1 to {_MAX_IMAGE_SIZE}",
            fix="image_size=224",
        )


def normalize_pixels(pixels: Tensor) -> Tensor:
    """(pixel / 255 - mean) / std, on the tensor's own device, bit-identical to the whole transform.

    Args:
        pixels: uint8 [..., 3, S, S].

    Returns:
        float32 of the same shape.
    """
    if pixels.dtype != torch.uint8 or pixels.ndim < 3 or pixels.shape[-3] != 3:
        raise ImageError(
            f"pixels must be uint8 [..., 3, S, S], not {pixels.dtype} {list(pixels.shape)}",
            fix="ImageTransform.to_uint8(image)",
        )
    white, mean, std = _normalization(pixels.device)
    return pixels.to(torch.float32).div_(white).sub_(mean).div_(std)


@cache
def _normalization(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """255 as a tensor: CUDA turns the division by a plain number into a product that rounds differently."""
    white = torch.full((1, 1, 1), 255.0, device=device)
    mean = torch.tensor(IMAGE_MEAN, device=device).view(3, 1, 1)
    std = torch.tensor(IMAGE_STD, device=device).view(3, 1, 1)
    return white, mean, std


def _official_order(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    try:
        return image.resize(size, Image.Resampling.BICUBIC).convert("RGB")
    except Exception as error:
        raise ImageError(f"the image is truncated or damaged: {error}", fix="replace the file") from error
