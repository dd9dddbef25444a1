"""Random variation of training pictures, as a pure function of picture, random generator and policy.

Nothing here contradicts a caption: no colour inversion, no mirror image unless asked (it reverses writing
and swaps left and right), and hue shifts too small to make red green. All geometry is one affine step and
all colour changes are one 3x4 matrix, so that a small picture costs well under a millisecond.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageFilter, ImageOps

from cnclip.errors import ImageError, RecipeError

Matrix = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

_DRAWS = 32  # random numbers per picture, always all of them: one switch does not shift the others
_WHITE = (255, 255, 255)
_LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R 601, as Pillow's mode L
_NEAR_WHITE = [max(0, min(255, (level - 225) * 10)) for level in range(256)]  # 225 -> 0, from 251 on -> 255
_HUE_AXIS = np.full(3, 1 / math.sqrt(3))  # the grey axis; turning about it keeps greys


@dataclass(frozen=True)
class AugmentPolicy:
    """How far pictures may vary; the defaults change nothing.

    Attributes:
        crop_scale: smallest share of the picture's area that a crop keeps, 0 to 1; 1 = no crop.
        crop_aspect: largest stretch of the crop's width/height against the picture's; 1 = none.
        rotation_degrees: largest turn to either side.
        translate: largest shift, as a share of the side.
        scale_jitter: largest zoom in or out, as a share: 0.1 = 0.9 to 1.1 times.
        flip_probability: of a mirror image. It contradicts captions with writing or left and right.
        background_probability: of a light tint in place of near-white pixels.
        brightness: factor from 1 - b to 1 + b.
        contrast: factor about the picture's mean grey, from 1 - c to 1 + c.
        saturation: factor from 1 - s to 1 + s.
        hue: largest turn of the colour circle, as a share of it: 0.02 = 7 degrees.
        grayscale_probability: of losing all colour.
        shuffle_probability: of exchanging the colour channels. It contradicts captions with colours.
        posterize_probability: of keeping only 3 to 6 bits a channel.
        edge_probability: of stronger edges.
        blur_probability: of a Gaussian blur.
        blur_radius: largest radius of it, as a share of the shorter side.
        white_fill: share of pictures whose uncovered corners become white; the others take the colour of
            the picture's own corners.
        working_side: pixels; a crop whose shorter side is twice this or more is first shrunk by a whole
            number, since colour steps on a large photo cost more than decoding it.
    """

    crop_scale: float = 1.0
    crop_aspect: float = 1.0
    rotation_degrees: float = 0.0
    translate: float = 0.0
    scale_jitter: float = 0.0
    flip_probability: float = 0.0
    background_probability: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    grayscale_probability: float = 0.0
    shuffle_probability: float = 0.0
    posterize_probability: float = 0.0
    edge_probability: float = 0.0
    blur_probability: float = 0.0
    blur_radius: float = 0.02
    white_fill: float = 0.0
    working_side: int = 384

    def __post_init__(self) -> None:
        """Refuse values that have no meaning: RecipeError names field and range."""
        ranges = {
            "crop_scale": (0.01, 1.0),
            "crop_aspect": (1.0, 4.0),
            "rotation_degrees": (0.0, 180.0),
            "translate": (0.0, 0.5),
            "scale_jitter": (0.0, 0.9),
            "working_side": (16, 1 << 16),
        }
        for field in fields(self):
            low, high = ranges.get(field.name, (0.0, 1.0))
            value = getattr(self, field.name)
            if not low <= value <= high:
                raise RecipeError(f"augmentation: {field.name} is {value}; it must be from {low} to {high}")


AUGMENT_POLICIES = {
    "none": AugmentPolicy(),
    "light": AugmentPolicy(
        crop_scale=0.8, crop_aspect=1.1, brightness=0.1, contrast=0.1, saturation=0.1, hue=0.01
    ),
    "strong": AugmentPolicy(
        crop_scale=0.5,
        crop_aspect=1.33,
        rotation_degrees=15.0,
        translate=0.08,
        scale_jitter=0.15,
        background_probability=0.3,
        brightness=0.3,
        contrast=0.3,
        saturation=0.4,
        hue=0.02,
        grayscale_probability=0.1,
        posterize_probability=0.1,
        edge_probability=0.1,
        blur_probability=0.1,
    ),
}


def augment_image(image: Image.Image, rng: np.random.Generator, policy: AugmentPolicy) -> Image.Image:
    """One random variation of a picture; the same arguments always give the same pixels.

    The result may be smaller than the picture (a crop keeps its own size): the transform that follows
    squashes it to the model's size, so that pixels are interpolated as rarely as possible.

    Args:
        image: mode RGB; it is not changed.
        rng: gives exactly 32 numbers, whatever the policy.
        policy: how far to go; "none" returns the picture itself.

    Raises:
        ImageError: another mode than RGB.
    """
    if image.mode != "RGB":
        raise ImageError(f"augmentation takes an RGB image, not mode {image.mode}", fix="decode_image(data)")
    draws = rng.random(_DRAWS).tolist()
    geometry, chances, colour = draws[:10], draws[10:18], draws[18:]
    if _changes_nothing(policy):
        return image
    image = _moved(image, geometry, policy)
    if chances[0] < policy.background_probability:
        image = _tinted(image, colour[:3])
    image = _recoloured(image, chances[1:3], colour[3:8], policy)
    if chances[3] < policy.posterize_probability:
        image = ImageOps.posterize(image, 3 + int(colour[8] * 4))
    if chances[4] < policy.edge_probability:
        image = image.filter(ImageFilter.EDGE_ENHANCE)
    if chances[5] < policy.blur_probability:
        image = image.filter(ImageFilter.GaussianBlur(colour[9] * policy.blur_radius * min(image.size)))
    return image


@lru_cache(maxsize=64)
def _changes_nothing(policy: AugmentPolicy) -> bool:
    """True where only fields differ from the defaults that say how, not how much."""
    return policy == AugmentPolicy(
        blur_radius=policy.blur_radius, white_fill=policy.white_fill, working_side=policy.working_side
    )


def _moved(image: Image.Image, draws: list[float], policy: AugmentPolicy) -> Image.Image:
    """Crop, then turn, shift, zoom and mirror in one interpolation."""
    image = _cropped(image, draws[:4], policy)
    factor = min(image.size) // policy.working_side
    if factor > 1:
        image = image.reduce(factor)
    angle = math.radians(_between(draws[4], policy.rotation_degrees))
    zoom = 1 + _between(draws[5], policy.scale_jitter)
    right, down = _between(draws[6], policy.translate), _between(draws[7], policy.translate)
    mirrored = draws[8] < policy.flip_probability
    if not (angle or zoom != 1 or right or down):
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else image
    width, height = image.size
    # Pillow asks where each output pixel comes from: turn and zoom about the centre, backwards.
    cosine, sine = math.cos(angle) / zoom, math.sin(angle) / zoom
    across, along = (-cosine, sine) if mirrored else (cosine, -sine)
    from_x, from_y = width * (0.5 + right), height * (0.5 + down)
    coefficients = (
        *(across, sine, width / 2 - across * from_x - sine * from_y),
        *(along, cosine, height / 2 - along * from_x - cosine * from_y),
    )
    fill = _WHITE if draws[9] < policy.white_fill else _corner_colour(image)
    return image.transform(
        image.size, Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC, fillcolor=fill
    )


def _cropped(image: Image.Image, draws: list[float], policy: AugmentPolicy) -> Image.Image:
    width, height = image.size
    area = 1 - draws[0] * (1 - policy.crop_scale)
    stretch = math.sqrt(policy.crop_aspect ** _between(draws[1], 1.0))
    across = min(width, max(1, round(width * math.sqrt(area) * stretch)))
    along = min(height, max(1, round(height * math.sqrt(area) / stretch)))
    if (across, along) == image.size:
        return image
    left = int(draws[2] * (width - across + 1))
    top = int(draws[3] * (height - along + 1))
    return image.crop((left, top, left + across, top + along))


def _corner_colour(image: Image.Image) -> tuple[int, ...]:
    """Median of the four corner pixels: white for a drawing on white, a plausible border for a photo."""
    right, bottom = image.width - 1, image.height - 1
    corners = [image.getpixel(place) for place in ((0, 0), (right, 0), (0, bottom), (right, bottom))]
    return tuple(sum(sorted(levels)[1:3]) // 2 for levels in zip(*corners, strict=True))


def _tinted(image: Image.Image, draws: list[float]) -> Image.Image:
    """Near-white pixels, soft at the threshold, take a light colour (levels 160 to 255)."""
    red, green, blue = image.split()
    whiteness = ImageChops.darker(ImageChops.darker(red, green), blue).point(_NEAR_WHITE)
    tint = (160 + int(draws[0] * 96), 160 + int(draws[1] * 96), 160 + int(draws[2] * 96))
    image = image.copy()
    image.paste(tint, mask=whiteness)
    return image


def _recoloured(
    image: Image.Image, chances: list[float], draws: list[float], policy: AugmentPolicy
) -> Image.Image:
    """Brightness, contrast, saturation, hue, loss of colour and channel order as one matrix."""
    grey_only, shuffled = chances[0] < policy.grayscale_probability, chances[1] < policy.shuffle_probability
    if not (policy.brightness or policy.contrast or policy.saturation or policy.hue or grey_only or shuffled):
        return image
    brightness = 1 + _between(draws[0], policy.brightness)
    contrast = 1 + _between(draws[1], policy.contrast)
    saturation = 0.0 if grey_only else 1 + _between(draws[2], policy.saturation)
    matrix = _hue_turn(_between(draws[3], policy.hue))
    grey = np.tile(_LUMINANCE, (3, 1))
    matrix = (grey + saturation * (np.eye(3) - grey)) @ matrix
    if shuffled:
        matrix = np.roll(matrix, 1 + int(draws[4] * 2), axis=0)
    offset = 0.0
    if policy.contrast:
        mean = image.resize((1, 1), Image.Resampling.BOX).convert("L").tobytes()[0]
        offset = (1 - contrast) * mean * brightness
    rows = np.hstack((matrix * (contrast * brightness), np.full((3, 1), offset)))
    return image.convert("RGB", tuple(rows.ravel().tolist()))


def _hue_turn(share: float) -> Matrix:
    """Rotation about the grey axis by a share of the full circle (Rodrigues): float64 [3, 3]."""
    angle = 2 * math.pi * share
    x, y, z = _HUE_AXIS
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return (
        math.cos(angle) * np.eye(3)
        + math.sin(angle) * cross
        + (1 - math.cos(angle)) * np.outer(_HUE_AXIS, _HUE_AXIS)
    )


def _between(draw: float, limit: float) -> float:
    """A draw of 0..1 as a number from -limit to limit."""
    return (2 * draw - 1) * limit
