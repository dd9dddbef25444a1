"""The drawn operations: what they do, and what they never do."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from PIL import Image

from cnclip.errors import RecipeError
from cnclip.images.augment import AUGMENT_POLICIES, AugmentPolicy, augment_image, draw_variation, vary_image
from cnclip.images.augment_draw import AUTO_RANGES, Variation, apply_operation

AUTO = AUGMENT_POLICIES["auto"]
TONES = ("brightness", "contrast", "saturation", "gamma", "posterize")
COLOURS = {
    "红": (200, 40, 30),
    "绿": (40, 160, 60),
    "蓝": (30, 60, 210),
    "黄": (230, 210, 30),
    "紫": (120, 30, 160),
}


def operated(image: Image.Image, operation: str, strength: float) -> Image.Image:
    variation = Variation()
    apply_operation(variation, operation, strength)
    return vary_image(image, variation, 384)


def levels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("strength", [-1.0, -0.4, 0.4, 1.0])
@pytest.mark.parametrize("operation", AUTO_RANGES)
def test_every_operation_changes_pixels_and_keeps_mode_and_size(
    operation: str, strength: float, noise: Image.Image
) -> None:
    changed = operated(noise, operation, strength)
    assert changed.mode == "RGB" and changed.size == noise.size
    assert (levels(changed) != levels(noise)).mean() > 0.3


@pytest.mark.parametrize("operation", AUTO_RANGES)
def test_without_strength_nothing_changes(operation: str, noise: Image.Image) -> None:
    assert operated(noise, operation, 0.0).tobytes() == noise.tobytes()


def test_each_operation_does_what_its_name_says() -> None:
    """Worked by hand: a white square of 20 in a black picture of 60, its corner at (20, 20)."""
    square = Image.new("RGB", (60, 60))
    square.paste((255, 255, 255), (20, 20, 40, 40))

    def middle(operation: str, strength: float) -> tuple[float, float]:
        rows, columns = np.nonzero(levels(operated(square, operation, strength))[..., 0] > 127)
        return columns.mean() + 0.5, rows.mean() + 0.5

    def size(strength: float) -> int:
        return int((levels(operated(square, "zoom", strength))[..., 0] > 127).sum())

    assert middle("shift_across", 1.0) == (30 + 12, 30) and middle("shift_across", -0.5) == (30 - 6, 30)
    assert middle("shift_along", 1.0) == (30, 30 + 12)
    assert size(1.0) == pytest.approx(400 * 1.3**2, rel=0.05)
    assert size(-1.0) == pytest.approx(400 * 0.7**2, rel=0.05)
    bar = Image.new("RGB", (61, 61))
    bar.paste((255, 255, 255), (30, 0, 31, 61))
    for operation, strength, slope in (("shear_across", 1.0, 0.3), ("turn", -1.0, np.tan(np.pi / 6))):
        rows, columns = np.nonzero(levels(operated(bar, operation, strength))[..., 0] > 100)
        assert np.polyfit(rows, columns, 1)[0] == pytest.approx(slope, abs=0.02)
    grey = Image.new("RGB", (4, 4), (100, 100, 100))
    assert levels(operated(grey, "brightness", 0.5))[0, 0].tolist() == [120] * 3
    assert levels(operated(grey, "gamma", 1.0))[0, 0].tolist() == [round(255 * (100 / 255) ** 2**0.7)] * 3
    assert levels(operated(grey, "posterize", 1.0))[0, 0].tolist() == [96] * 3
    assert levels(operated(grey, "sharpness", 1.0))[0, 0].tolist() == [100] * 3
    red = Image.new("RGB", (4, 4), (200, 100, 100))  # luminance 129.9
    assert levels(operated(red, "saturation", -1.0))[0, 0].tolist() == [158, 118, 118]


def test_sharpness_goes_both_ways(noise: Image.Image) -> None:
    spread = levels(noise).std()
    assert levels(operated(noise, "sharpness", -1.0)).std() < 0.8 * spread
    assert levels(operated(noise, "sharpness", 1.0)).std() > 1.1 * spread


@pytest.mark.parametrize("strength", [-1.0, 1.0])
@pytest.mark.parametrize("operation", TONES)
def test_no_change_of_tone_turns_one_colour_into_another(
    operation: str, strength: float, noise: Image.Image
) -> None:
    """Of two channels of a pixel the larger stays at least as large, within rounding: never an inversion."""
    before, after = levels(noise), levels(operated(noise, operation, strength))
    for one, other in ((0, 1), (1, 2), (2, 0)):
        larger = before[..., one] > before[..., other]
        assert (after[..., one] - after[..., other])[larger].min() >= -1


def test_white_stays_light_and_black_stays_dark() -> None:
    for seed in range(300):
        rng = np.random.default_rng(seed)
        white = levels(augment_image(Image.new("RGB", (32, 32), "white"), rng, AUTO))
        rng = np.random.default_rng(seed)
        black = levels(augment_image(Image.new("RGB", (32, 32), "black"), rng, AUTO))
        assert white.mean() > 130 and black.mean() < 30


@pytest.mark.parametrize("name", COLOURS)
def test_a_thing_keeps_its_colour_over_many_draws(name: str) -> None:
    """The order of the channels' means is that of the colour's word."""
    picture = Image.new("RGB", (64, 48), (128, 128, 128))
    picture.paste(COLOURS[name], (8, 6, 56, 42))
    order = np.argsort(COLOURS[name])
    for seed in range(300):
        mean = levels(augment_image(picture, np.random.default_rng(seed), AUTO)).reshape(-1, 3).mean(0)
        assert mean[order[2]] > mean[order[0]] + 10
        assert mean[order[1]] > mean[order[0]] - 1 and mean[order[2]] > mean[order[1]] - 1


def test_operations_are_drawn_evenly_and_never_twice() -> None:
    plain = Variation()
    counts = dict.fromkeys(AUTO_RANGES, 0)
    policy = AugmentPolicy(auto_count=3, auto_magnitude=1.0)
    for seed in range(2000):
        variation = draw_variation(np.random.default_rng(seed), policy)
        changed = {
            operation
            for operation in AUTO_RANGES
            if getattr(variation, name_of(operation)) != getattr(plain, name_of(operation))
        }
        assert len(changed) == 3
        for operation in changed:
            counts[operation] += 1
    assert min(counts.values()) > 420 and max(counts.values()) < 580  # 500 expected, 4 deviations = 77


def name_of(operation: str) -> str:
    return "bits" if operation == "posterize" else operation


def test_strengths_stay_within_the_magnitude() -> None:
    policy = AugmentPolicy(auto_count=8, auto_magnitude=0.5)
    for seed in range(300):
        variation = draw_variation(np.random.default_rng(seed), policy)
        assert abs(variation.turn) <= 0.5 * AUTO_RANGES["turn"]
        assert abs(variation.shift_across) <= 0.5 * AUTO_RANGES["shift_across"]
        assert abs(variation.saturation - 1) <= 0.5 * AUTO_RANGES["saturation"]
        assert variation.bits >= 6 and not variation.mirrored and variation.hue == 0


def test_the_auto_policy_is_the_same_in_every_run(photo: Image.Image) -> None:
    """Golden values: numbers to nine places, and pixels (which another Pillow could round differently)."""
    numbers, pixels = hashlib.sha256(), hashlib.sha256()
    for seed in range(30):
        variation = draw_variation(np.random.default_rng(seed), AUTO)
        values = [getattr(variation, name_of(operation)) for operation in AUTO_RANGES]
        numbers.update(" ".join(f"{value:.9f}" for value in values).encode())
        pixels.update(augment_image(photo, np.random.default_rng(seed), AUTO).tobytes())
    assert numbers.hexdigest()[:16] == "02ac18a78e8be24b"
    assert pixels.hexdigest()[:16] == "44a6152564e53ed1"


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (900, 420)])
def test_every_size_survives_eight_strong_operations(size: tuple[int, int]) -> None:
    policy = AugmentPolicy(auto_count=8, auto_magnitude=1.0, flip_probability=0.5, working_side=200)
    for seed in range(30):
        varied = augment_image(Image.new("RGB", size, (9, 99, 199)), np.random.default_rng(seed), policy)
        assert varied.size == ((450, 210) if size[0] == 900 else size)


@pytest.mark.parametrize(("count", "magnitude"), [(0, 0.7), (2, 0.0)])
def test_no_operation_or_no_strength_is_no_augmentation(count: int, magnitude: float) -> None:
    large = Image.new("RGB", (1700, 900))
    policy = AugmentPolicy(auto_count=count, auto_magnitude=magnitude)
    assert augment_image(large, np.random.default_rng(0), policy) is large


@pytest.mark.parametrize(("field", "value"), [("auto_count", 9), ("auto_count", -1), ("auto_magnitude", 1.1)])
def test_meaningless_numbers_are_refused(field: str, value: float) -> None:
    with pytest.raises(RecipeError, match=field):
        AugmentPolicy(**{field: value})


def test_a_policy_keeps_the_pixels_that_a_larger_model_needs() -> None:
    photo = Image.effect_noise((640, 480), 60).convert("RGB")
    policy = AugmentPolicy(brightness=0.1, working_side=200)
    for image_size, height in ((224, 240), (336, 480)):
        varied = augment_image(photo, np.random.default_rng(0), policy.for_size(image_size))
        assert varied.height == height
    assert AUGMENT_POLICIES["light"].for_size(224) == AUGMENT_POLICIES["light"]
