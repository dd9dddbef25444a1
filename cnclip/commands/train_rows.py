"""Rows in place of pictures, a locked tower's embeddings or features from a file, and validation on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from accelerate import Accelerator
from PIL import Image

from cnclip.batches import ImageRows, Rows
from cnclip.config.recipe import TrainRecipe
from cnclip.errors import RecipeError, StoreError
from cnclip.evaluation.cache import EmbeddingFacts, cached_embeddings, tower_fingerprint
from cnclip.evaluation.embed import EmbeddingTable, embed_image_features, embed_images
from cnclip.evaluation.evaluate import evaluate_store
from cnclip.images.augment import AugmentPolicy, augment_image
from cnclip.images.transform import ImageTransform
from cnclip.model import ChineseClip
from cnclip.stores.reader import StoreReader
from cnclip.training.loop import Evaluate
from cnclip.training.peers import Peers

Alter = Callable[[str, Image.Image], Image.Image]


@dataclass(frozen=True)
class TowerRows:
    """Makes, or finds again, the embeddings that a locked image tower gives to a store's pictures.

    They lie beside the store under a fingerprint of weights, preprocessing, augmentation and data, so that
    rows of another tower can never be taken for these.
    """

    model: ChineseClip
    accelerator: Accelerator
    peers: Peers
    transform: ImageTransform
    batch_size: int
    workers: int

    def plain(self, store: StoreReader) -> npt.NDArray[np.float32]:
        """Rows [N, D] of the pictures as they are."""
        return self._rows(store, self.transform.fingerprint, None, "validation pictures")

    def views(
        self, store: StoreReader, count: int, *, seed: int, augment: str, policy: AugmentPolicy | None
    ) -> ImageRows:
        """Rows of `count` augmented views."""
        views = []
        for view in range(count):
            made_by, alter = self.transform.fingerprint, None
            if policy is not None:
                made_by += f" augment={augment} {policy} seed={seed} view={view}"
                alter = partial(_augmented_view, seed=seed, view=view, policy=policy)
            views.append(self._rows(store, made_by, alter, f"image embeddings, view {view + 1}/{count}"))
        return ImageRows(tuple(views))

    def _rows(
        self, store: StoreReader, made_by: str, alter: Alter | None, label: str
    ) -> npt.NDArray[np.float32]:
        tower = tower_fingerprint(self.model, "image")
        facts = EmbeddingFacts(kind="image", tower=tower, preprocessing=made_by, source=store.fingerprint)
        folder = Path(f"{store.path}.embeddings") / facts.short

        def embed() -> EmbeddingTable:
            self.model.to(self.accelerator.device)
            return embed_images(
                self.model,
                store,
                transform=self.transform,
                batch_size=self.batch_size,
                workers=self.workers,
                progress=label,
                alter=alter,
            )

        if self.accelerator.is_main_process:
            cached_embeddings(folder, facts, embed)
        self.peers.wait()
        return cached_embeddings(folder, facts, embed).rows


def features_of(recipe: TrainRecipe, store: StoreReader) -> Rows:
    """Ready-made features in the store's order: [N, width]; equal ids of several stores share a row.

    Raises:
        RecipeError: the recipe names no features.
        StoreError: a picture has none.
    """
    if recipe.data.features is None:
        raise RecipeError("a features tower needs ready-made features", fix="data.features=FILE.npz")
    path = Path(recipe.data.features)
    with np.load(path, allow_pickle=False) as file:
        features, names = file["features"], [str(name) for name in file["images"]]
    place = {name: number for number, name in enumerate(names)}
    ids = [store.image_id(index) for index in range(store.image_count)]
    missing = [image_id for image_id in ids if image_id not in place]
    if missing:
        raise StoreError(
            f"{len(missing)} pictures have no features, the first is {missing[0]}", where=str(path)
        )
    chosen: Rows = features[[place[image_id] for image_id in ids]]
    return chosen


def feature_evaluator(recipe: TrainRecipe, valid: StoreReader) -> Evaluate:
    """Validation recall on ready-made features."""
    features = features_of(recipe, valid).astype(np.float32)
    ids = list(valid.image_ids())

    def evaluate(model: ChineseClip) -> dict[str, float]:
        rows = embed_image_features(model, features, ids=ids).rows
        return evaluate_store(
            model, valid, image_rows=rows, batch_size=recipe.validation.batch_size, progress=False
        ).metrics()

    return evaluate


def tower_evaluator(recipe: TrainRecipe, valid: StoreReader, tower: TowerRows) -> Evaluate:
    """Validation recall; a locked tower's embeddings of the validation pictures are computed once."""
    rows = tower.plain(valid) if recipe.model.image.locked else None

    def evaluate(model: ChineseClip) -> dict[str, float]:
        return evaluate_store(
            model,
            valid,
            transform=tower.transform,
            image_rows=rows,
            batch_size=tower.batch_size,
            workers=tower.workers,
            progress=False,
        ).metrics()

    return evaluate


def _augmented_view(
    image_id: str, picture: Image.Image, *, seed: int, view: int, policy: AugmentPolicy
) -> Image.Image:
    number = np.frombuffer(image_id.encode("utf-8", "surrogatepass"), dtype=np.uint8).tolist()
    return augment_image(picture, np.random.default_rng([seed, view, *number]), policy)
