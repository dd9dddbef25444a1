"""How far training pictures may vary: one frozen record of plain numbers, and the records that have names."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property

from cnclip.errors import RecipeError


@dataclass(frozen=True)
class AugmentPolicy:
    """How far pictures may vary; the defaults change nothing.

    Attributes:
        crop_scale: smallest share of the picture's area that a crop keeps, 0 to 1; 1 = no crop.
        crop_aspect: largest stretch of the crop's width/height against the picture's; 1 = none.
        rotation_degrees: largest turn to either side.
        translate: largest shift, as a share of the side.
        scale_jitter: largest zoom in or out, as a share: 0.1 = 0.9 to 1.1 times.
        flip_probability: of a mirror image. It makes writing unreadable and right of left: the caption has to
            change sides with it (`Augmented.mirrored`, `cnclip.text.sides`).
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
        auto_count: operations drawn from the twelve of `augment_draw`, no operation twice; 0 to 8.
        auto_magnitude: how strong they may be, as a share of each operation's range, 0 to 1. Every one draws
            its own strength, evenly from none to this.
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
    auto_count: int = 0
    auto_magnitude: float = 0.0
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
            "auto_count": (0, 8),
            "working_side": (16, 1 << 16),
        }
        for field in fields(self):
            low, high = ranges.get(field.name, (0.0, 1.0))
            value = getattr(self, field.name)
            if not low <= value <= high:
                raise RecipeError(f"augmentation: {field.name} is {value}; it must be from {low} to {high}")

    @cached_property
    def changes_nothing(self) -> bool:
        """True where only fields differ from the defaults that say how, not how much."""
        return self == AugmentPolicy(
            blur_radius=self.blur_radius,
            auto_count=self.auto_count if self.auto_magnitude == 0 else 0,
            auto_magnitude=self.auto_magnitude if self.auto_count == 0 else 0.0,
            white_fill=self.white_fill,
            working_side=self.working_side,
        )

    def for_size(self, image_size: int) -> AugmentPolicy:
        """The same for a model of this side: no picture is shrunk below 0.9 of it, after which it would blur.

        Args:
            image_size: pixels, the side that the transform squashes to.
        """
        return replace(self, working_side=max(self.working_side, round(0.9 * image_size)))


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
        working_side=200,
    ),
    "auto": AugmentPolicy(
        crop_scale=0.8, crop_aspect=1.1, auto_count=2, auto_magnitude=0.7, working_side=200
    ),
}
# The same with half of the pictures mirrored. Only for pictures without writing, and with captions that
# change sides with them: that is why no policy above does it.
AUGMENT_POLICIES |= {
    f"{name}_flip": replace(AUGMENT_POLICIES[name], flip_probability=0.5)
    for name in ("light", "strong", "auto")
}
