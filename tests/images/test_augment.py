"""Random variation of pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cnclip.errors import ImageError, RecipeError
from cnclip.images.augment import AUGMENT_POLICIES, AugmentPolicy, augment_image, augment_told, draw_variation


def varied(image: Image.Image, policy: AugmentPolicy, seed: int = 0) -> Image.Image:
    return augment_image(image, np.random.default_rng(seed), policy)


def levels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("name", AUGMENT_POLICIES)
def test_same_arguments_give_same_pixels_whatever_the_global_generators_do(
    name: str, photo: Image.Image
) -> None:
    policy = AUGMENT_POLICIES[name]
    before = photo.tobytes()
    for seed in range(30):
        first = varied(photo, policy, seed)
        np.random.seed(seed)
        np.random.rand(seed)
        second = varied(photo, policy, seed)
        assert first.mode == "RGB" and first.size == second.size and first.tobytes() == second.tobytes()
    assert photo.tobytes() == before


@pytest.mark.parametrize("name", AUGMENT_POLICIES)
def test_every_policy_takes_the_same_share_of_the_generator(name: str, photo: Image.Image) -> None:
    rng = np.random.default_rng(5)
    augment_image(photo, rng, AUGMENT_POLICIES[name])
    expected = np.random.default_rng(5)
    expected.random(48)
    assert rng.random() == expected.random()


def test_no_policy_changes_nothing() -> None:
    large = Image.effect_noise((1700, 900), 50).convert("RGB")
    assert varied(large, AUGMENT_POLICIES["none"]) is large


def test_seeds_differ(photo: Image.Image) -> None:
    results = {varied(photo, AUGMENT_POLICIES["strong"], seed).tobytes() for seed in range(50)}
    assert len(results) == 50


@pytest.mark.parametrize("name", AUGMENT_POLICIES)
def test_only_policies_that_say_so_mirror_and_none_exchanges_colours(name: str) -> None:
    policy = AUGMENT_POLICIES[name]
    assert policy.flip_probability == (0.5 if name.endswith("_flip") else 0.0)
    assert policy.shuffle_probability == 0.0


@pytest.mark.parametrize("name", ["light", "strong", "auto"])
def test_a_flip_policy_is_its_namesake_with_half_of_the_pictures_mirrored(
    name: str, photo: Image.Image
) -> None:
    plain, flipping = AUGMENT_POLICIES[name], AUGMENT_POLICIES[f"{name}_flip"]
    assert replace(flipping, flip_probability=0.0) == plain
    told = [augment_told(photo, np.random.default_rng(seed), flipping).mirrored for seed in range(400)]
    assert 0.42 < np.mean(told) < 0.58
    assert told == [draw_variation(np.random.default_rng(seed), flipping).mirrored for seed in range(400)]
    assert not any(augment_told(photo, np.random.default_rng(seed), plain).mirrored for seed in range(50))


def test_what_is_told_of_a_mirrored_picture_is_true(photo: Image.Image) -> None:
    """Red grows from left to right in this picture."""
    for seed in range(40):
        told = augment_told(photo, np.random.default_rng(seed), AUGMENT_POLICIES["light_flip"])
        red = levels(told.image)[..., 0].mean(0)
        assert told.mirrored == (red[0] > red[-1])


def test_mirror_is_exact(photo: Image.Image) -> None:
    mirrored = varied(photo, AugmentPolicy(flip_probability=1.0))
    assert np.array_equal(levels(mirrored), levels(photo)[:, ::-1])


def test_mirror_within_a_turn_is_a_mirrored_picture(photo: Image.Image) -> None:
    """The left edge of this picture has little red, the right edge much."""
    turned = AugmentPolicy(rotation_degrees=3.0, flip_probability=1.0)
    red = levels(varied(photo, turned, seed=1))[8:24, :, 0].mean(0)
    assert red[4] > red[-5] + 100


def test_crop_is_a_piece_of_the_picture(photo: Image.Image) -> None:
    sizes = set()
    whole = levels(photo)
    for seed in range(20):
        piece = levels(varied(photo, AugmentPolicy(crop_scale=0.5, crop_aspect=1.3), seed))
        height, width = piece.shape[:2]
        sizes.add((width, height))
        places = np.argwhere((whole == piece[0, 0]).all(-1))
        assert any(np.array_equal(whole[y : y + height, x : x + width], piece) for y, x in places)
        assert width * height >= 0.4 * 48 * 32
    assert len(sizes) > 10


def test_shift_moves_by_the_drawn_share_and_fills_with_the_corner_colour() -> None:
    picture = Image.new("RGB", (40, 40), (10, 200, 30))
    picture.paste((250, 0, 0), (15, 15, 25, 25))
    policy = AugmentPolicy(translate=0.25)
    for seed in range(10):
        draws = np.random.default_rng(seed).random(48)
        right, down = (2 * draws[6] - 1) * 10, (2 * draws[7] - 1) * 10
        moved = levels(varied(picture, policy, seed))
        rows, columns = np.nonzero(moved[..., 0] > 130)
        assert columns.mean() + 0.5 == pytest.approx(20 + right, abs=0.6)
        assert rows.mean() + 0.5 == pytest.approx(20 + down, abs=0.6)
        assert moved[0, 0].tolist() == moved[-1, -1].tolist() == [10, 200, 30]


def test_zoom_changes_the_size_of_things() -> None:
    picture = Image.new("RGB", (60, 60), "white")
    picture.paste((0, 0, 0), (20, 20, 40, 40))
    for seed in range(6):
        zoom = 1 + (2 * np.random.default_rng(seed).random(48)[5] - 1) * 0.4
        dark = (levels(varied(picture, AugmentPolicy(scale_jitter=0.4), seed))[..., 0] < 128).sum()
        assert np.sqrt(dark) == pytest.approx(20 * zoom, abs=1.2)


def test_white_fill_is_white() -> None:
    picture = Image.new("RGB", (40, 40), (0, 0, 90))
    turned = varied(picture, AugmentPolicy(rotation_degrees=40.0, white_fill=1.0), seed=3)
    assert (levels(turned).reshape(-1, 3) == 255).all(1).any()


def test_greys_stay_grey_under_all_colour_changes() -> None:
    ramp = Image.fromarray(np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2))
    policy = AugmentPolicy(brightness=0.3, contrast=0.3, saturation=0.5, hue=0.3)
    for seed in range(10):
        changed = levels(varied(ramp, policy, seed))
        assert (changed.max(-1) - changed.min(-1)).max() <= 1


def test_no_policy_inverts() -> None:
    """A darker pixel stays darker."""
    ramp = Image.fromarray(np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2))
    policy = replace(AUGMENT_POLICIES["strong"], crop_scale=1.0, crop_aspect=1.0, rotation_degrees=0.0)
    policy = replace(policy, translate=0.0, scale_jitter=0.0, background_probability=0.0)
    policy = replace(policy, edge_probability=0.0, blur_probability=0.0)
    for seed in range(40):
        assert (np.diff(levels(varied(ramp, policy, seed))[..., 1].ravel()) >= 0).all()


def test_brightness_scales_and_contrast_keeps_the_mean() -> None:
    flat = Image.new("RGB", (8, 8), (100, 100, 100))
    for seed in range(5):
        factor = 1 + (2 * np.random.default_rng(seed).random(48)[21] - 1) * 0.5
        brighter = levels(varied(flat, AugmentPolicy(brightness=0.5), seed))
        assert brighter.mean() == pytest.approx(100 * factor, abs=1)
        assert levels(varied(flat, AugmentPolicy(contrast=0.5), seed)).mean() == pytest.approx(100, abs=1)


def test_loss_of_colour_gives_the_luminance(photo: Image.Image) -> None:
    grey = levels(varied(photo, AugmentPolicy(grayscale_probability=1.0)))
    assert np.abs(grey - levels(photo.convert("L").convert("RGB"))).max() <= 1


def test_a_small_hue_turn_keeps_the_name_of_a_colour() -> None:
    for colour in ((230, 20, 20), (20, 180, 40), (30, 60, 220)):
        for seed in range(20):
            changed = levels(varied(Image.new("RGB", (4, 4), colour), AugmentPolicy(hue=0.02), seed))[0, 0]
            assert changed.argmax() == np.argmax(colour)


def test_channels_are_exchanged_only_on_request() -> None:
    red = Image.new("RGB", (4, 4), (200, 20, 20))
    changed = levels(varied(red, AugmentPolicy(shuffle_probability=1.0)))[0, 0]
    assert sorted(changed.tolist()) == [20, 20, 200] and changed[0] == 20


def test_tint_replaces_the_white_ground_and_leaves_the_thing() -> None:
    picture = Image.new("RGB", (20, 20), "white")
    picture.paste((180, 30, 30), (5, 5, 15, 15))
    tinted = levels(varied(picture, AugmentPolicy(background_probability=1.0), seed=2))
    assert tinted[10, 10].tolist() == [180, 30, 30]
    assert tinted[0, 0].tolist() != [255, 255, 255] and tinted[0, 0].min() >= 160


def test_posterize_blur_and_edges_act(photo: Image.Image, noise: Image.Image) -> None:
    assert len(np.unique(levels(varied(photo, AugmentPolicy(posterize_probability=1.0))))) <= 64
    sharp = levels(noise).std()
    assert levels(varied(noise, AugmentPolicy(blur_probability=1.0), seed=1)).std() < sharp
    assert levels(varied(noise, AugmentPolicy(edge_probability=1.0))).std() > sharp


def test_large_photos_are_shrunk_by_whole_numbers_first() -> None:
    large = Image.new("RGB", (1600, 1200), "gray")
    assert varied(large, AugmentPolicy(brightness=0.1, working_side=400)).size == (534, 400)
    assert varied(large, AugmentPolicy(brightness=0.1, working_side=1000)).size == (1600, 1200)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 3)])
def test_tiny_pictures_survive_the_strongest_policy(size: tuple[int, int]) -> None:
    everything = replace(
        AUGMENT_POLICIES["strong"],
        background_probability=1.0,
        posterize_probability=1.0,
        edge_probability=1.0,
        blur_probability=1.0,
        crop_scale=0.01,
    )
    for seed in range(20):
        assert min(varied(Image.new("RGB", size, "white"), everything, seed).size) >= 1


def test_other_modes_are_refused(photo: Image.Image) -> None:
    with pytest.raises(ImageError, match="RGBA"):
        varied(photo.convert("RGBA"), AugmentPolicy())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("flip_probability", 1.5),
        ("crop_scale", 0.0),
        ("crop_aspect", 0.5),
        ("brightness", -0.1),
        ("hue", float("nan")),
    ],
)
def test_meaningless_values_are_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(RecipeError, match=field):
        AugmentPolicy(**{field: value})
