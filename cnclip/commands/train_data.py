"""What a training run reads: pairs, ready-made rows in place of pictures, and the validation."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from accelerate import Accelerator
from PIL import Image

from cnclip.artifacts import sha256_file
from cnclip.batches import ImageRows, PairDataset, Rows
from cnclip.config.recipe import TrainRecipe
from cnclip.errors import RecipeError, StoreError, UnknownNameError
from cnclip.evaluation.cache import EmbeddingFacts, cached_embeddings, tower_fingerprint
from cnclip.evaluation.embed import EmbeddingTable, embed_image_features, embed_images
from cnclip.evaluation.evaluate import evaluate_store
from cnclip.images.augment import AUGMENT_POLICIES, AugmentPolicy, augment_image
from cnclip.images.transform import ImageTransform, image_transform
from cnclip.model import ChineseClip, FeatureArchitecture
from cnclip.stores.reader import StoreReader
from cnclip.text.wordpiece import token_statistics
from cnclip.training.loop import Evaluate
from cnclip.training.peers import Peers
from cnclip.training.schedule import scaled_learning_rate
from cnclip.training.steps import RowsAre

_CAPTIONS_LOOKED_AT = 100_000

Alter = Callable[[str, Image.Image], Image.Image]


@dataclass(frozen=True)
class Data:
    """What a run reads.

    Attributes:
        train: training samples.
        evaluate: validation recall of a model, or None.
        rows_are: what ready-made rows are, see StepSettings.
        rows_width: their length; None where pictures are trained on.
        resolution: pixels of the square pictures; 0 for ready-made features.
        fingerprint: of the training data, for the checkpoint.
    """

    train: PairDataset
    evaluate: Evaluate | None
    rows_are: RowsAre
    rows_width: int | None
    resolution: int
    fingerprint: dict[str, str | None]


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


def open_data(recipe: TrainRecipe, model: ChineseClip, accelerator: Accelerator, peers: Peers) -> Data:
    """Stores, ready-made rows where the recipe asks for them, and the validation."""
    config, image = recipe.data, model.architecture.image
    policy = _augment_policy(config.augment)
    if not config.train:
        fix = "data.train=FOLDER made by `cnclip data build`"
        raise RecipeError("the recipe names no training store", fix=fix)
    store = StoreReader(Path(config.train))
    valid = StoreReader(Path(config.valid)) if config.valid else None
    fingerprint = {"store": store.fingerprint, "validation": None if valid is None else valid.fingerprint}
    pairs = partial(
        PairDataset,
        store,
        seed=recipe.seed,
        captions=config.captions,
        first_caption_share=config.first_caption_share,
    )
    if isinstance(image, FeatureArchitecture):
        features = _features_of(recipe, store)
        train = pairs(transform=None, policy=None, rows=ImageRows((features,)))
        fingerprint["features"] = sha256_file(Path(recipe.data.features or ""))
        evaluate = None if valid is None else _feature_evaluator(recipe, valid)
        return Data(train, evaluate, "features", image.width, 0, fingerprint)
    transform = image_transform(image.resolution)
    fingerprint["preprocessing"] = transform.fingerprint
    batch_size, workers = recipe.validation.batch_size, max(1, config.workers)
    tower = TowerRows(model, accelerator, peers, transform, batch_size, workers)
    rows = None
    if config.cached_views:
        if not recipe.model.image.locked:
            fix = "model.image.locked=true, or data.cached_views=0"
            raise RecipeError("cached views need a locked image tower", fix=fix)
        rows = tower.views(
            store, config.cached_views, seed=recipe.seed, augment=config.augment, policy=policy
        )
    train = pairs(transform=transform, policy=policy, rows=rows)
    width = None if rows is None else int(rows.views[0].shape[1])
    evaluate = None if valid is None else _evaluator(recipe, valid, tower)
    return Data(train, evaluate, "embeddings", width, image.resolution, fingerprint)


def peak_learning_rate(recipe: TrainRecipe, global_batch_size: int) -> float:
    """The recipe's rate at this run's global batch."""
    return scaled_learning_rate(
        recipe.optimizer.lr,
        batch_size=global_batch_size,
        reference_batch_size=recipe.optimizer.lr_batch_size,
        scaling=recipe.optimizer.lr_scaling,
    )


def report_captions(store: StoreReader, context_length: int) -> None:
    """Say how much of the captions the model will not see."""
    captions = [caption for caption, _ in zip(store.captions(), range(_CAPTIONS_LOOKED_AT), strict=False)]
    found = token_statistics(captions, context_length)
    print(
        f"{store.path}: {store.pair_count} pairs; of {found.captions} captions looked at, "
        f"{100 * found.truncated_share:.2f} % are cut at {context_length} tokens and "
        f"{100 * found.unknown_share:.2f} % of the tokens are [UNK]",
        file=sys.stderr,
    )


def _features_of(recipe: TrainRecipe, store: StoreReader) -> Rows:
    """Ready-made features in the store's order: [N, width]."""
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


def _augmented_view(
    image_id: str, picture: Image.Image, *, seed: int, view: int, policy: AugmentPolicy
) -> Image.Image:
    number = np.frombuffer(image_id.encode("utf-8", "surrogatepass"), dtype=np.uint8).tolist()
    return augment_image(picture, np.random.default_rng([seed, view, *number]), policy)


def _augment_policy(name: str) -> AugmentPolicy | None:
    if name not in AUGMENT_POLICIES:
        raise UnknownNameError(f"data.augment={name}", fix=f"one of: {', '.join(AUGMENT_POLICIES)}")
    return None if name == "none" else AUGMENT_POLICIES[name]


def _feature_evaluator(recipe: TrainRecipe, valid: StoreReader) -> Evaluate:
    features = _features_of(recipe, valid).astype(np.float32)
    ids = list(valid.image_ids())

    def evaluate(model: ChineseClip) -> dict[str, float]:
        rows = embed_image_features(model, features, ids=ids).rows
        return evaluate_store(
            model, valid, image_rows=rows, batch_size=recipe.validation.batch_size, progress=False
        ).metrics()

    return evaluate


def _evaluator(recipe: TrainRecipe, valid: StoreReader, tower: TowerRows) -> Evaluate:
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
