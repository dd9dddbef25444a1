"""The parts of a training run, made from a recipe's sections: model, data, validation."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator
from PIL import Image

from cnclip.batches import ImageRows, PairDataset, Rows
from cnclip.checkpoints import (
    LoadAccount,
    load_checkpoint,
    load_image_tower,
    load_text_tower,
    read_image_architecture,
    read_text_architecture,
)
from cnclip.config.recipe import ImageTowerConfig, ModelConfig, TextTowerConfig, TrainRecipe
from cnclip.errors import RecipeError, StoreError, UnknownNameError
from cnclip.evaluation.cache import EmbeddingFacts, cached_embeddings, tower_fingerprint
from cnclip.evaluation.embed import EmbeddingTable, embed_image_features, embed_images
from cnclip.evaluation.evaluate import evaluate_store
from cnclip.images.augment import AUGMENT_POLICIES, AugmentPolicy, augment_image
from cnclip.images.transform import ImageTransform, image_transform
from cnclip.model import (
    ARCHITECTURES,
    BertArchitecture,
    ChineseClip,
    ClipArchitecture,
    FeatureArchitecture,
    ImageArchitecture,
    ResNetArchitecture,
    VitArchitecture,
)
from cnclip.stores.reader import StoreReader
from cnclip.text.wordpiece import token_statistics
from cnclip.towers.lock import lock_tower
from cnclip.training.loop import Evaluate
from cnclip.training.schedule import scaled_learning_rate
from cnclip.training.steps import RowsAre

_CAPTIONS_LOOKED_AT = 100_000


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


def build_model(recipe: TrainRecipe, resume_from: Path | None) -> ChineseClip:
    """The model at the start of the run, locked as the recipe says.

    Weights come from the run's checkpoint, else from `model.checkpoint`, else from the seed and the towers'
    own checkpoints.
    """
    config = recipe.model
    if resume_from is not None:
        model = load_checkpoint(resume_from)
    elif config.checkpoint is not None:
        model = load_checkpoint(Path(config.checkpoint))
    else:
        model = _new_model(config, recipe.seed)
    for tower in ("image", "text"):
        if getattr(config, tower).locked:
            lock_tower(model, tower)
    model.set_grad_checkpointing(config.activation_checkpointing)
    _into_own_memory(model)
    return model


def open_data(recipe: TrainRecipe, model: ChineseClip, accelerator: Accelerator) -> Data:
    """Stores, ready-made rows where the recipe asks for them, and the validation."""
    config = recipe.data
    if config.augment not in AUGMENT_POLICIES:
        raise UnknownNameError(f"data.augment={config.augment}", fix=f"one of: {', '.join(AUGMENT_POLICIES)}")
    policy = None if config.augment == "none" else AUGMENT_POLICIES[config.augment]
    if not config.train:
        raise RecipeError(
            "the recipe names no training store", fix="data.train=FOLDER made by `cnclip data build`"
        )
    store = StoreReader(Path(config.train))
    valid = StoreReader(Path(config.valid)) if config.valid else None
    image = model.architecture.image
    rows: ImageRows | None = None
    rows_are: RowsAre = "embeddings"
    transform = None if isinstance(image, FeatureArchitecture) else image_transform(image.resolution)
    if transform is None:
        rows, rows_are = ImageRows((_features_of(recipe, store),)), "features"
    elif config.cached_views:
        rows = _cached_views(recipe, model, accelerator, store, transform, policy)
    train = PairDataset(
        store, transform=transform, policy=policy, seed=recipe.seed, captions=config.captions, rows=rows
    )
    width = None if rows is None else int(rows.views[0].shape[1])
    fingerprint = {
        "store": store.fingerprint,
        "preprocessing": None if transform is None else transform.fingerprint,
        "validation": None if valid is None else valid.fingerprint,
    }
    evaluate = None if valid is None else _evaluator(recipe, model, accelerator, valid, transform)
    resolution = 0 if isinstance(image, FeatureArchitecture) else image.resolution
    return Data(train, evaluate, rows_are, width, resolution, fingerprint)


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


def _new_model(config: ModelConfig, seed: int) -> ChineseClip:
    model = ChineseClip(_architecture(config), seed=seed)
    with torch.no_grad():
        model.logit_scale.fill_(float(np.log(config.logit_scale)))
    if config.image.checkpoint is not None:
        _tell("image tower", load_image_tower(model, config.image.checkpoint))
    if config.text.checkpoint is not None:
        _tell("text tower", load_text_tower(model, config.text.checkpoint))
    return model


def _tell(tower: str, account: LoadAccount) -> None:
    new = f", new: {', '.join(account.kept)}" if account.kept else ""
    print(f"{tower}: {len(account.loaded)} tensors from {account.source}{new}", file=sys.stderr)


def _into_own_memory(model: ChineseClip) -> None:
    """Copy every weight into memory of its own.

    Weights that lie in a mapped file are aligned by chance, and the matrix kernels of a CPU choose their
    order of summation by alignment: without this a resumed run differs from the uninterrupted one in the
    last bit.
    Convolutions get the channels-last layout, with which a ModifiedResNet trains 1.5 times as fast on a CPU.
    """
    convolutional = isinstance(model.architecture.image, ResNetArchitecture)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            channels_last = convolutional and tensor.ndim == 4
            layout = torch.channels_last if channels_last else torch.contiguous_format
            tensor.data = tensor.data.clone(memory_format=layout)


def _architecture(config: ModelConfig) -> ClipArchitecture:
    if config.name is not None:
        if config.name not in ARCHITECTURES:
            raise UnknownNameError(f"model.name={config.name}", fix=f"one of: {', '.join(ARCHITECTURES)}")
        return ARCHITECTURES[config.name]
    if config.image.checkpoint is None:
        image, embed_dim = _image_architecture(config.image), config.embed_dim
    else:
        image, embed_dim = read_image_architecture(config.image.checkpoint)
    text = _text_architecture(config.text)
    if config.text.checkpoint is not None:
        text = replace(
            read_text_architecture(config.text.checkpoint),
            dropout=text.dropout,
            attention_dropout=text.dropout,
        )
    return ClipArchitecture(embed_dim=embed_dim, image=image, text=text)


def _image_architecture(config: ImageTowerConfig) -> ImageArchitecture:
    if config.kind == "features":
        return FeatureArchitecture(width=config.width)
    if config.kind == "vit":
        if len(config.layers) != 1:
            raise RecipeError(
                f"a vit has one number of layers, not {config.layers}", fix="model.image.layers=[12]"
            )
        heads = config.heads or config.width // 64
        return VitArchitecture(config.width, config.layers[0], heads, config.patch_size, config.resolution)
    if len(config.layers) != 4:
        raise RecipeError(
            f"a resnet has four stages, not {config.layers}", fix="model.image.layers=[3,4,6,3]"
        )
    a, b, c, d = config.layers
    heads = config.heads or config.width * 32 // 64
    return ResNetArchitecture((a, b, c, d), config.width, heads, config.resolution)


def _text_architecture(config: TextTowerConfig) -> BertArchitecture:
    return BertArchitecture(
        hidden=config.hidden,
        layers=config.layers,
        heads=config.heads,
        intermediate=config.intermediate,
        dropout=config.dropout,
        attention_dropout=config.dropout,
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


def _cached_views(
    recipe: TrainRecipe,
    model: ChineseClip,
    accelerator: Accelerator,
    store: StoreReader,
    transform: ImageTransform,
    policy: AugmentPolicy | None,
) -> ImageRows:
    """Embeddings of augmented views by the locked image tower, computed once and kept beside the store."""
    if not recipe.model.image.locked:
        raise RecipeError(
            "cached views need a locked image tower", fix="model.image.locked=true or data.cached_views=0"
        )
    views = []
    for view in range(recipe.data.cached_views):
        alter = (
            None if policy is None else partial(_augmented_view, seed=recipe.seed, view=view, policy=policy)
        )
        made_by = transform.fingerprint
        if policy is not None:
            made_by += f" augment={recipe.data.augment} {policy} seed={recipe.seed} view={view}"
        label = f"image embeddings, view {view + 1}/{recipe.data.cached_views}"
        views.append(_image_embeddings(recipe, model, accelerator, store, transform, made_by, alter, label))
    return ImageRows(tuple(views))


def _image_embeddings(
    recipe: TrainRecipe,
    model: ChineseClip,
    accelerator: Accelerator,
    store: StoreReader,
    transform: ImageTransform,
    made_by: str,
    alter: Callable[[str, Image.Image], Image.Image] | None,
    label: str,
) -> npt.NDArray[np.float32]:
    """Unit rows [N, D] of a store's pictures; the main process computes, all read what it wrote."""
    facts = EmbeddingFacts(
        kind="image", tower=tower_fingerprint(model, "image"), preprocessing=made_by, source=store.fingerprint
    )
    folder = Path(f"{store.path}.embeddings") / facts.short

    def embed() -> EmbeddingTable:
        model.to(accelerator.device)
        return embed_images(
            model,
            store,
            transform=transform,
            batch_size=recipe.validation.batch_size,
            workers=max(1, recipe.data.workers),
            progress=label,
            alter=alter,
        )

    if accelerator.is_main_process:
        cached_embeddings(folder, facts, embed)
    accelerator.wait_for_everyone()
    return cached_embeddings(folder, facts, embed).rows


def _evaluator(
    recipe: TrainRecipe,
    model: ChineseClip,
    accelerator: Accelerator,
    valid: StoreReader,
    transform: ImageTransform | None,
) -> Evaluate:
    """Validation recall; a locked tower's embeddings of the validation pictures are computed once."""
    batch_size = recipe.validation.batch_size
    if transform is None:
        features = _features_of(recipe, valid)
        ids = [valid.image_id(index) for index in range(valid.image_count)]

        def evaluate_features(current: ChineseClip) -> dict[str, float]:
            rows = embed_image_features(current, features.astype(np.float32), ids=ids).rows
            return evaluate_store(
                current, valid, image_rows=rows, batch_size=batch_size, progress=False
            ).metrics()

        return evaluate_features
    rows = None
    if recipe.model.image.locked:
        rows = _image_embeddings(
            recipe, model, accelerator, valid, transform, transform.fingerprint, None, "validation pictures"
        )

    def evaluate(current: ChineseClip) -> dict[str, float]:
        return evaluate_store(
            current,
            valid,
            transform=transform,
            image_rows=rows,
            batch_size=batch_size,
            workers=max(1, recipe.data.workers),
            progress=False,
        ).metrics()

    return evaluate


def _augmented_view(
    image_id: str, picture: Image.Image, *, seed: int, view: int, policy: AugmentPolicy
) -> Image.Image:
    number = np.frombuffer(image_id.encode("utf-8", "surrogatepass"), dtype=np.uint8).tolist()
    return augment_image(picture, np.random.default_rng([seed, view, *number]), policy)
