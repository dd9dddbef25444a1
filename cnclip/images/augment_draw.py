"""From random numbers to what is done to one picture, before any pixel is touched.

**The twelve operations of `auto_count`.** Of AutoAugment's and RandAugment's operations those that no caption
contradicts:

    turn, shear_across, shear_along, shift_across, shift_along, zoom        where things are
    brightness, contrast, saturation, gamma, posterize, sharpness           how they look

All of them keep the order of the colour channels of a pixel or nearly so: the red thing stays red. Left out:

* invert, solarize: white becomes black and red becomes cyan, whatever the caption says;
* equalize, autocontrast: each channel by itself, they tint a picture; all together, they turn the light grey
  shirt on a white ground dark; contrast and gamma do what is left;
* hue, loss of colour, exchange of channels: the caption's 红 or 蓝 would be wrong;
* mirror image: writing becomes unreadable, and 左 becomes right; it has its own field, off by default;
* quarter turns, upside down: 上 and 下, and writing again;
* erased patches: the thing that the caption names may be gone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cnclip.images.augment_policy import AugmentPolicy

DRAWS = 48  # random numbers per picture, always all of them: one switch does not shift the others
_AUTO_FIRST = 32  # from here on two for each operation: which, how strong

AUTO_RANGES = {
    "turn": math.radians(30),
    "shear_across": 0.3,
    "shear_along": 0.3,
    "shift_across": 0.2,
    "shift_along": 0.2,
    "zoom": 0.3,
    "brightness": 0.4,
    "contrast": 0.5,
    "saturation": 0.6,
    "gamma": 0.7,
    "posterize": 1.0,
    "sharpness": 1.0,
}


@dataclass
class Variation:
    """What is done to one picture; the defaults do nothing.

    Attributes:
        crop_area: share of the picture's area that is kept.
        crop_stretch: the crop's width/height against the picture's, as the square root of the ratio.
        crop_place: where the crop lies in the room that is left, across and along, 0 to 1.
        turn: radians, clockwise.
        zoom: factor.
        shear_across: pixels to the side for each pixel down.
        shear_along: pixels down for each pixel to the side.
        shift_across: share of the width, to the right.
        shift_along: share of the height, down.
        mirrored: left and right are exchanged.
        white_fill: uncovered corners become white.
        tint: colour, 0 to 255 each, in place of near-white; None = untouched.
        brightness: factor.
        contrast: factor about the mean grey.
        saturation: factor; 0 = grey.
        hue: share of the full circle.
        channel_shift: channels move on by 0, 1 or 2 places.
        gamma: exponent of the levels as shares of 255: black and white stay.
        bits: kept of the 8 of each channel.
        edges: stronger ones.
        sharpness: above 0 sharper, below 0 softer.
        blur: Gaussian radius as a share of the shorter side.
    """

    crop_area: float = 1.0
    crop_stretch: float = 1.0
    crop_place: tuple[float, float] = (0.0, 0.0)
    turn: float = 0.0
    zoom: float = 1.0
    shear_across: float = 0.0
    shear_along: float = 0.0
    shift_across: float = 0.0
    shift_along: float = 0.0
    mirrored: bool = False
    white_fill: bool = False
    tint: tuple[int, int, int] | None = None
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0
    channel_shift: int = 0
    gamma: float = 1.0
    bits: int = 8
    edges: bool = False
    sharpness: float = 0.0
    blur: float = 0.0


def draw_variation(rng: np.random.Generator, policy: AugmentPolicy) -> Variation:
    """What `augment_told` would do to a picture with the same generator and policy: for a look ahead.

    Args:
        rng: gives exactly 48 numbers, whatever the policy.
        policy: how far to go.
    """
    draws = rng.random(DRAWS).tolist()
    geometry, chances, colour = draws[:10], draws[10:18], draws[18:_AUTO_FIRST]
    tint = (160 + int(colour[0] * 96), 160 + int(colour[1] * 96), 160 + int(colour[2] * 96))
    grey_only = chances[1] < policy.grayscale_probability
    variation = Variation(
        crop_area=1 - geometry[0] * (1 - policy.crop_scale),
        crop_stretch=math.sqrt(policy.crop_aspect ** _between(geometry[1], 1.0)),
        crop_place=(geometry[2], geometry[3]),
        turn=math.radians(_between(geometry[4], policy.rotation_degrees)),
        zoom=1 + _between(geometry[5], policy.scale_jitter),
        shift_across=_between(geometry[6], policy.translate),
        shift_along=_between(geometry[7], policy.translate),
        mirrored=geometry[8] < policy.flip_probability,
        white_fill=geometry[9] < policy.white_fill,
        tint=tint if chances[0] < policy.background_probability else None,
        brightness=1 + _between(colour[3], policy.brightness),
        contrast=1 + _between(colour[4], policy.contrast),
        saturation=0.0 if grey_only else 1 + _between(colour[5], policy.saturation),
        hue=_between(colour[6], policy.hue),
        channel_shift=1 + int(colour[7] * 2) if chances[2] < policy.shuffle_probability else 0,
        bits=3 + int(colour[8] * 4) if chances[3] < policy.posterize_probability else 8,
        edges=chances[4] < policy.edge_probability,
        blur=colour[9] * policy.blur_radius if chances[5] < policy.blur_probability else 0.0,
    )
    left = list(AUTO_RANGES)
    for number in range(policy.auto_count):
        which, strength = draws[_AUTO_FIRST + 2 * number : _AUTO_FIRST + 2 * number + 2]
        operation = left.pop(int(which * len(left)))
        apply_operation(variation, operation, _between(strength, policy.auto_magnitude))
    return variation


def apply_operation(variation: Variation, operation: str, strength: float) -> None:
    """Add one operation to a variation.

    Args:
        variation: is changed.
        operation: a name of AUTO_RANGES.
        strength: -1 to 1, share of the operation's range; 0 does nothing.
    """
    amount = strength * AUTO_RANGES[operation]
    if operation == "posterize":
        if amount:
            variation.bits = min(variation.bits, 7 - int(abs(amount) * 3.999))  # 7 to 4
    elif operation == "gamma":
        variation.gamma *= 2.0**amount
    elif operation in ("zoom", "brightness", "contrast", "saturation"):
        setattr(variation, operation, getattr(variation, operation) * (1 + amount))
    else:
        setattr(variation, operation, getattr(variation, operation) + amount)


def _between(draw: float, limit: float) -> float:
    """A draw of 0..1 as a number from -limit to limit."""
    return (2 * draw - 1) * limit
