"""Random variation of training pictures, as a pure function of picture, random generator and policy.

Nothing here contradicts a caption: no colour inversion, no mirror image unless asked (it reverses writing
and swaps left and right), and hue shifts too small to make red green. All geometry is one affine step and
all colour changes are one 3x4 matrix and one table, so that a small picture costs well under a millisecond.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

from cnclip.errors import ImageError
from cnclip.images.augment_draw import Variation, draw_variation
from cnclip.images.augment_pixels import cropped, filtered, moved, recoloured, tinted
from cnclip.images.augment_policy import AUGMENT_POLICIES, AugmentPolicy

__all__ = [
    "AUGMENT_POLICIES",
    "AugmentPolicy",
    "Augmented",
    "augment_image",
    "augment_told",
    "draw_variation",
    "vary_image",
]


class Augmented(NamedTuple):
    """A picture and what its caption has to know about it.

    Attributes:
        image: mode RGB.
        mirrored: left and right are exchanged; the caption needs `cnclip.text.sides.swap_sides`.
    """

    image: Image.Image
    mirrored: bool


def augment_told(image: Image.Image, rng: np.random.Generator, policy: AugmentPolicy) -> Augmented:
    """One random variation of a picture; the same arguments always give the same pixels.

    The result may be smaller than the picture (a crop keeps its own size): the transform that follows
    squashes it to the model's size, so that pixels are interpolated as rarely as possible.

    Args:
        image: mode RGB; it is not changed.
        rng: gives exactly 48 numbers, whatever the policy.
        policy: how far to go; "none" returns the picture itself.

    Raises:
        ImageError: another mode than RGB.
    """
    if image.mode != "RGB":
        raise ImageError(f"augmentation takes an RGB image, not mode {image.mode}", fix="decode_image(data)")
    variation = draw_variation(rng, policy)
    if policy.changes_nothing:
        return Augmented(image, False)
    return Augmented(vary_image(image, variation, policy.working_side), variation.mirrored)


def augment_image(image: Image.Image, rng: np.random.Generator, policy: AugmentPolicy) -> Image.Image:
    """The picture of `augment_told`, for those who have no caption."""
    return augment_told(image, rng, policy).image


def vary_image(image: Image.Image, variation: Variation, working_side: int) -> Image.Image:
    """Do to a picture what a variation says.

    Args:
        image: mode RGB; it is not changed.
        variation: from `draw_variation`.
        working_side: pixels; see AugmentPolicy.
    """
    image = cropped(image, variation)
    factor = min(image.size) // working_side
    if factor > 1:
        image = image.reduce(factor)
    image = moved(image, variation)
    if variation.tint is not None:
        image = tinted(image, variation.tint)
    return filtered(recoloured(image, variation), variation)
