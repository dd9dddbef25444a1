"""A variation's steps on pixels: all geometry is one interpolation, all colour one matrix and one table."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from cnclip.images.augment_draw import Variation

Matrix = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

_WHITE = (255, 255, 255)
_LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R 601, as Pillow's mode L
_NEAR_WHITE = [max(0, min(255, (level - 225) * 10)) for level in range(256)]  # 225 -> 0, from 251 on -> 255
_HUE_AXIS = np.full(3, 1 / math.sqrt(3))  # the grey axis; turning about it keeps greys


def cropped(image: Image.Image, variation: Variation) -> Image.Image:
    """The crop, in its own size."""
    width, height = image.size
    side, stretch = math.sqrt(variation.crop_area), variation.crop_stretch
    across = min(width, max(1, round(width * side * stretch)))
    along = min(height, max(1, round(height * side / stretch)))
    if (across, along) == image.size:
        return image
    left = int(variation.crop_place[0] * (width - across + 1))
    top = int(variation.crop_place[1] * (height - along + 1))
    return image.crop((left, top, left + across, top + along))


def moved(image: Image.Image, variation: Variation) -> Image.Image:
    """Turn, shear, zoom, shift and mirror in one interpolation; the size stays."""
    zoom, mirrored = variation.zoom, variation.mirrored
    width, height = image.size
    right, down = width * variation.shift_across, height * variation.shift_along
    fill = _WHITE if variation.white_fill else _corner_colour(image)
    if variation.turn or zoom != 1 or variation.shear_across or variation.shear_along:
        kind = Image.Resampling.BILINEAR  # the squash to the model's size follows: bicubic costs 2.4 times
    else:
        right, down = round(right), round(down)
        if not (right or down):
            return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else image
        kind = Image.Resampling.NEAREST  # whole pixels: a copy
    # Pillow asks where each output pixel comes from: turn, zoom and shear about the centre, backwards.
    cosine, sine = math.cos(variation.turn) / zoom, math.sin(variation.turn) / zoom
    across_x, across_y = cosine + variation.shear_across * sine, sine - variation.shear_across * cosine
    along_x, along_y = -sine - variation.shear_along * cosine, cosine - variation.shear_along * sine
    if mirrored:
        across_x, along_x = -across_x, -along_x
    from_x, from_y = width / 2 + right, height / 2 + down
    coefficients = (
        *(across_x, across_y, width / 2 - across_x * from_x - across_y * from_y),
        *(along_x, along_y, height / 2 - along_x * from_x - along_y * from_y),
    )
    return image.transform(image.size, Image.Transform.AFFINE, coefficients, kind, fillcolor=fill)


def _corner_colour(image: Image.Image) -> tuple[int, ...]:
    """Median of the four corner pixels: white for a drawing on white, a plausible border for a photo."""
    right, bottom = image.width - 1, image.height - 1
    corners = [image.getpixel(place) for place in ((0, 0), (right, 0), (0, bottom), (right, bottom))]
    return tuple(sum(sorted(levels)[1:3]) // 2 for levels in zip(*corners, strict=True))


def tinted(image: Image.Image, tint: tuple[int, int, int]) -> Image.Image:
    """Near-white pixels, soft at the threshold, take a colour (0 to 255 each)."""
    red, green, blue = image.split()
    whiteness = ImageChops.darker(ImageChops.darker(red, green), blue).point(_NEAR_WHITE)
    image = image.copy()
    image.paste(tint, mask=whiteness)
    return image


def recoloured(image: Image.Image, variation: Variation) -> Image.Image:
    """Brightness, contrast, saturation, hue and channel order as one matrix; gamma and bits as one table."""
    factor = variation.contrast * variation.brightness
    if factor != 1 or variation.contrast != 1 or variation.saturation != 1 or variation.hue:
        image = image.convert("RGB", _colour_matrix(image, variation))
    elif variation.channel_shift:
        channels = image.split()
        image = Image.merge("RGB", [channels[place - variation.channel_shift] for place in range(3)])
    if variation.gamma != 1 or variation.bits < 8:
        levels = [round(255 * (level / 255) ** variation.gamma) for level in range(256)]
        kept = 256 - (1 << (8 - variation.bits))
        image = image.point([level & kept for level in levels] * 3)
    return image


def _colour_matrix(image: Image.Image, variation: Variation) -> tuple[float, ...]:
    """3 rows of 4 for `Image.convert`."""
    grey = np.tile(_LUMINANCE, (3, 1))
    matrix = (grey + variation.saturation * (np.eye(3) - grey)) @ _hue_turn(variation.hue)
    matrix = np.roll(matrix, variation.channel_shift, axis=0)
    offset = 0.0
    if variation.contrast != 1:
        mean = image.resize((1, 1), Image.Resampling.BOX).convert("L").tobytes()[0]
        offset = (1 - variation.contrast) * mean * variation.brightness
    rows = np.hstack((matrix * (variation.contrast * variation.brightness), np.full((3, 1), offset)))
    return tuple(rows.ravel().tolist())


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


def filtered(image: Image.Image, variation: Variation) -> Image.Image:
    """Edges, sharpness, blur."""
    if variation.edges:
        image = image.filter(ImageFilter.EDGE_ENHANCE)
    if variation.sharpness:
        image = image.filter(_sharpening(variation.sharpness))
    if variation.blur:
        image = image.filter(ImageFilter.GaussianBlur(variation.blur * min(image.size)))
    return image


def _sharpening(amount: float) -> ImageFilter.Kernel:
    """Four neighbours against the middle; the sum is 1, so that flat places and the mean stay."""
    side = -amount / 4 if amount > 0 else -amount / (1 - 4 * amount)
    return ImageFilter.Kernel((3, 3), (0, side, 0, side, 1 - 4 * side, side, 0, side, 0), scale=1)
