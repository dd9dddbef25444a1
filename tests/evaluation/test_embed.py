"""Embeddings of pictures and captions: values, order, modes, errors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from PIL import Image

from cnclip.errors import CheckpointError, ImageError, RecipeError, SourceError
from cnclip.evaluation.embed import embed_image_features, embed_images, embed_texts
from cnclip.images.decode import decode_image
from cnclip.images.transform import ImageTransform
from cnclip.model import ChineseClip, ClipArchitecture, FeatureArchitecture
from cnclip.stores.reader import StoreReader
from cnclip.text.tokenizer import tokenize
from cnclip.towers.lock import lock_tower


def unit(features: torch.Tensor) -> np.ndarray:
    return torch.nn.functional.normalize(features, dim=-1).detach().numpy()


@dataclass(frozen=True)
class Named:
    image_id: str
    image: bytes


class Images:
    """A source of the given pictures."""

    def __init__(self, *images: Named) -> None:
        self.images = images

    @property
    def image_count(self) -> int:
        return len(self.images)

    def image(self, index: int, /) -> Named:
        return self.images[index]


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 0), (5, 0), (5, 3), (64, 2)])
def test_images_come_in_store_order_with_the_models_own_values(
    model: ChineseClip, store: StoreReader, transform: ImageTransform, batch_size: int, workers: int
) -> None:
    table = embed_images(
        model, store, transform=transform, batch_size=batch_size, workers=workers, progress=None
    )
    assert table.ids == list(store.image_ids())
    assert table.rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(table.rows, axis=1), 1, atol=1e-6)
    for index in range(store.image_count):
        pixels = transform(decode_image(store.image(index).image))
        np.testing.assert_allclose(table.rows[index], unit(model.encode_image(pixels[None]))[0], atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 4, 256])
def test_texts_come_in_their_order_with_the_models_own_values(model: ChineseClip, batch_size: int) -> None:
    captions = ["一只很长很长的猫在很远很远的地方睡觉", "猫", "", "狗和猫", "猫", "１２３ “引号” 🐱"]
    table = embed_texts(model, captions, ids=list("abcdef"), batch_size=batch_size, progress=None)
    assert table.ids == list("abcdef")
    np.testing.assert_allclose(table.rows, unit(model.encode_text(tokenize(captions))), atol=1e-5)


def test_equal_captions_get_equal_rows(model: ChineseClip) -> None:
    rows = embed_texts(model, ["猫", "一只狗", "猫", "猫"], batch_size=1, progress=None).rows
    np.testing.assert_array_equal(rows[0], rows[2])
    np.testing.assert_array_equal(rows[0], rows[3])


def test_captions_are_their_own_ids_unless_named(model: ChineseClip) -> None:
    assert embed_texts(model, ["猫", "狗"], progress=None).ids == ["猫", "狗"]


def test_the_model_comes_back_in_its_own_modes_and_was_measured_without_dropout(model: ChineseClip) -> None:
    trained = ChineseClip(model.architecture, seed=3)
    lock_tower(trained, "image")
    trained.train()
    modes = [module.training for module in trained.modules()]
    assert True in modes and False in modes
    first = embed_texts(trained, ["一只猫"], progress=None).rows
    second = embed_texts(trained, ["一只猫"], progress=None).rows
    np.testing.assert_array_equal(first, second)
    assert [module.training for module in trained.modules()] == modes


def test_a_bad_picture_is_an_error_that_names_its_id(
    model: ChineseClip, transform: ImageTransform, store: StoreReader
) -> None:
    source = Images(Named("好", store.image(0).image), Named("坏/图.jpg", b"\xff\xd8\xff not a picture"))
    for workers in (0, 2):
        with pytest.raises(ImageError, match=r"坏/图\.jpg"):
            embed_images(model, source, transform=transform, workers=workers, progress=None)


def test_nan_is_refused_with_the_id(
    model: ChineseClip, transform: ImageTransform, store: StoreReader
) -> None:
    broken = ChineseClip(model.architecture, seed=3).eval()
    with torch.no_grad():
        broken.visual.ln_post.weight[0] = float("nan")  # type: ignore[union-attr]
        broken.text_projection[0, 0] = float("inf")
    with pytest.raises(CheckpointError, match="红"):
        embed_texts(broken, ["红"], progress=None)
    with pytest.raises(CheckpointError, match=f"image {store.image_id(0)}"):
        embed_images(broken, store, transform=transform, progress=None)


def test_nothing_to_embed_is_an_error(model: ChineseClip, transform: ImageTransform) -> None:
    with pytest.raises(SourceError, match="no image"):
        embed_images(model, Images(), transform=transform, progress=None)
    with pytest.raises(SourceError, match="no text"):
        embed_texts(model, [], progress=None)


def test_senseless_sizes_are_refused(
    model: ChineseClip, store: StoreReader, transform: ImageTransform
) -> None:
    for batch_size, workers in ((0, 2), (-1, 0), (4, -1)):
        with pytest.raises(RecipeError, match="make no sense"):
            embed_images(model, store, transform=transform, batch_size=batch_size, workers=workers)
    with pytest.raises(RecipeError, match="make no sense"):
        embed_texts(model, ["猫"], batch_size=0)


def test_an_altered_view_is_what_the_tower_sees(
    model: ChineseClip, store: StoreReader, transform: ImageTransform
) -> None:
    seen: list[str] = []

    def black(image_id: str, image: Image.Image) -> Image.Image:
        seen.append(image_id)
        return Image.new("RGB", image.size)

    rows = embed_images(model, store, transform=transform, progress=None, alter=black).rows
    expected = unit(model.encode_image(transform(Image.new("RGB", (24, 20)))[None]))
    np.testing.assert_allclose(rows, np.repeat(expected, store.image_count, axis=0), atol=1e-5)
    assert sorted(seen) == sorted(store.image_ids())


def test_half_precision_towers_give_unit_float32_rows(
    model: ChineseClip, store: StoreReader, transform: ImageTransform
) -> None:
    half = ChineseClip(model.architecture, seed=3).eval().to(torch.bfloat16)
    for rows in (
        embed_texts(half, ["猫", "一只狗"], progress=None).rows,
        embed_images(half, store, transform=transform, progress=None).rows,
    ):
        assert rows.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def test_ready_made_features_go_through_the_projection(model: ChineseClip) -> None:
    architecture: ClipArchitecture = replace(model.architecture, image=FeatureArchitecture(width=10))
    projection = ChineseClip(architecture, seed=1).eval()
    features = np.random.default_rng(0).normal(size=(7, 10)).astype(np.float32)
    table = embed_image_features(projection, features, ids=list("abcdefg"), batch_size=3)
    np.testing.assert_allclose(table.rows, unit(projection.encode_image(torch.tensor(features))), atol=1e-5)
