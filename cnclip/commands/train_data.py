"""What a training run reads: pairs of one or several stores in their order, and the validation."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from cnclip.artifacts import sha256_file
from cnclip.batches import (
    GlobalBatchSampler,
    ImageRows,
    Mixture,
    PairBatch,
    PairDataset,
    SampleSettings,
    pair_loader,
    steps_per_epoch,
)
from cnclip.commands.train_rows import TowerRows, feature_evaluator, features_of, tower_evaluator
from cnclip.config.data import DataConfig
from cnclip.config.recipe import TrainRecipe
from cnclip.errors import RecipeError, UnknownNameError
from cnclip.images.augment import AUGMENT_POLICIES, AugmentPolicy
from cnclip.images.fast import pixel_transform
from cnclip.images.transform import image_transform
from cnclip.model import ChineseClip, FeatureArchitecture
from cnclip.stores.reader import StoreReader
from cnclip.text.synonyms import read_synonyms
from cnclip.text.vary import CAPTION_POLICIES
from cnclip.text.wordpiece import token_statistics
from cnclip.training.loop import Evaluate, LoopSettings
from cnclip.training.peers import Peers
from cnclip.training.schedule import scaled_learning_rate
from cnclip.training.steps import RowsAre

_CAPTIONS_LOOKED_AT = 100_000
_ORDER_VERSION = 2  # of the rule by which samples come: another rule is another run


@dataclass(frozen=True)
class Data:
    """What a run reads.

    Attributes:
        train: training samples.
        mixture: their order.
        evaluate: validation recall of a model, or None.
        rows_are: what ready-made rows are, see StepSettings.
        rows_width: their length; None where pictures are trained on.
        resolution: pixels of the square pictures; 0 for ready-made features.
        fingerprint: JSON values of all that decides the training data, for the checkpoint.
    """

    train: PairDataset
    mixture: Mixture
    evaluate: Evaluate | None
    rows_are: RowsAre
    rows_width: int | None
    resolution: int
    fingerprint: dict[str, Any]


def open_data(recipe: TrainRecipe, model: ChineseClip, accelerator: Accelerator, peers: Peers) -> Data:
    """Stores, ready-made rows where the recipe asks for them, and the validation.

    Raises:
        RecipeError: no store, or settings that do not go together.
        StoreError: a store is missing or damaged.
    """
    config, image = recipe.data, model.architecture.image
    policy = _augment_policy(config.augment)
    stores = _training_stores(config)
    valid = StoreReader(Path(config.valid)) if config.valid else None
    settings = _sample_settings(recipe)
    fingerprint = _fingerprint(config, stores, valid)
    if isinstance(image, FeatureArchitecture):
        rows = [ImageRows((features_of(recipe, store),)) for store in stores]
        train = PairDataset(stores, settings, rows=rows)
        fingerprint["features"] = sha256_file(Path(recipe.data.features or ""))
        evaluate = None if valid is None else feature_evaluator(recipe, valid)
        mixture = train.mixture(config.weights)
        return Data(train, mixture, evaluate, "features", image.width, 0, fingerprint)
    transform = image_transform(image.resolution)
    policy = None if policy is None else policy.for_size(image.resolution)
    pixels = pixel_transform(image.resolution, config.pixels)
    fingerprint["preprocessing"] = (transform if config.cached_views else pixels).fingerprint
    batch_size, workers = recipe.validation.batch_size, max(1, config.workers)
    tower = TowerRows(model, accelerator, peers, transform, batch_size, workers)
    views = None
    if config.cached_views:
        _refuse_views(recipe, policy)
        count, augment = config.cached_views, config.augment
        views = [
            tower.views(each, count, seed=recipe.seed, augment=augment, policy=policy) for each in stores
        ]
    train = PairDataset(stores, replace(settings, transform=pixels, policy=policy), rows=views)
    width = None if views is None else int(views[0].views[0].shape[1])
    evaluate = None if valid is None else tower_evaluator(recipe, valid, tower)
    mixture = train.mixture(config.weights)
    return Data(train, mixture, evaluate, "embeddings", width, image.resolution, fingerprint)


def open_sampler(
    recipe: TrainRecipe, data: Data, accelerator: Accelerator, *, first_step: int, steps: int
) -> GlobalBatchSampler:
    """Which samples this process reads from `first_step` on."""
    distinct = recipe.data.distinct
    return GlobalBatchSampler(
        data.mixture,
        batch_size=recipe.data.batch_size,
        steps=steps,
        first_step=first_step,
        rank=accelerator.process_index,
        processes=accelerator.num_processes,
        groups=None if distinct == "none" else partial(data.train.groups, kind=distinct),
    )


def training_batches(recipe: TrainRecipe, data: Data, sampler: GlobalBatchSampler) -> Iterator[PairBatch]:
    """This process's batches; ready-made rows need no workers."""
    workers = 0 if data.train.rows is not None else recipe.data.workers
    return pair_loader(data.train, sampler, workers=workers, context_length=recipe.data.context_length)


def report_misfits(sampler: GlobalBatchSampler) -> None:
    """Say how many samples could not be kept apart from their like."""
    if sampler.misfits:
        print(
            f"data.distinct: {sampler.misfits} of {sampler.dealt} samples shared a batch with an equal "
            "picture or caption all the same: there are more of their like than batches to deal them to",
            file=sys.stderr,
        )


def peak_learning_rate(recipe: TrainRecipe, global_batch_size: int) -> float:
    """The recipe's rate at this run's global batch."""
    return scaled_learning_rate(
        recipe.optimizer.lr,
        batch_size=global_batch_size,
        reference_batch_size=recipe.optimizer.lr_batch_size,
        scaling=recipe.optimizer.lr_scaling,
    )


def loop_settings(recipe: TrainRecipe, data: Data, accelerator: Accelerator) -> LoopSettings:
    """How long the run is and when things happen in it."""
    global_batch_size = recipe.data.batch_size * accelerator.num_processes
    per_epoch = steps_per_epoch(len(data.mixture), global_batch_size)
    return LoopSettings(
        steps=recipe.schedule.steps or max(1, round(recipe.schedule.epochs * per_epoch)),
        steps_per_epoch=per_epoch,
        warmup_steps=recipe.schedule.warmup_steps,
        peak_learning_rate=peak_learning_rate(recipe, global_batch_size),
        global_batch_size=global_batch_size,
        log_every=recipe.log_every_steps,
        validate_every=recipe.validation.every_steps,
        save_every=recipe.saving.every_steps,
    )


def report_captions(data: Data, context_length: int) -> None:
    """Say what of each store an epoch holds, and how much of its captions the model will not see."""
    for store, length, count in zip(
        data.train.stores, data.mixture.lengths, data.mixture.counts, strict=True
    ):
        captions = [caption for caption, _ in zip(store.captions(), range(_CAPTIONS_LOOKED_AT), strict=False)]
        found = token_statistics(captions, context_length)
        times = "" if count == length else f", {count / length:.3g} times an epoch"
        print(
            f"{store.path}: {store.pair_count} pairs{times}; of {found.captions} captions looked at, "
            f"{100 * found.truncated_share:.2f} % are cut at {context_length} tokens and "
            f"{100 * found.unknown_share:.2f} % of the tokens are [UNK]",
            file=sys.stderr,
        )


def _training_stores(config: DataConfig) -> list[StoreReader]:
    paths = (config.train,) if isinstance(config.train, str) else config.train
    if not paths or not all(paths):
        fix = "data.train=FOLDER made by `cnclip data build`"
        raise RecipeError("the recipe names no training store", fix=fix)
    return [StoreReader(Path(path)) for path in paths]


def _sample_settings(recipe: TrainRecipe) -> SampleSettings:
    config = recipe.data
    if config.augment_captions not in CAPTION_POLICIES:
        names = ", ".join(CAPTION_POLICIES)
        raise UnknownNameError(f"data.augment_captions={config.augment_captions}", fix=f"one of: {names}")
    wording = None if config.augment_captions == "none" else CAPTION_POLICIES[config.augment_captions]
    if wording is None and config.synonyms is not None:
        raise RecipeError("data.synonyms without data.augment_captions", fix="data.augment_captions=light")
    return SampleSettings(
        seed=recipe.seed,
        captions=config.captions,
        first_caption_share=config.first_caption_share,
        wording=wording,
        synonyms=None if config.synonyms is None else read_synonyms(Path(config.synonyms)),
    )


def _refuse_views(recipe: TrainRecipe, policy: AugmentPolicy | None) -> None:
    """Refuse views of a tower that changes, and mirrored ones, whose captions would not know of it."""
    if not recipe.model.image.locked:
        fix = "model.image.locked=true, or data.cached_views=0"
        raise RecipeError("cached views need a locked image tower", fix=fix)
    if policy is not None and policy.flip_probability:
        raise RecipeError(
            f"cached views know no captions, and data.augment={recipe.data.augment} mirrors pictures",
            fix=f"data.augment={recipe.data.augment.removesuffix('_flip')}, or data.cached_views=0",
        )


def _fingerprint(config: DataConfig, stores: list[StoreReader], valid: StoreReader | None) -> dict[str, Any]:
    return {
        "stores": [store.fingerprint for store in stores],
        "weights": None if config.weights is None else list(config.weights),
        "distinct": config.distinct,
        "order": _ORDER_VERSION,
        "synonyms": None if config.synonyms is None else sha256_file(Path(config.synonyms)),
        "validation": None if valid is None else valid.fingerprint,
    }


def _augment_policy(name: str) -> AugmentPolicy | None:
    if name not in AUGMENT_POLICIES:
        raise UnknownNameError(f"data.augment={name}", fix=f"one of: {', '.join(AUGMENT_POLICIES)}")
    return None if name == "none" else AUGMENT_POLICIES[name]
