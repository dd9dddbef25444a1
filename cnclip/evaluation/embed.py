"""Pictures and captions -> unit float32 rows with their ids, in batches, with a progress bar.

Pictures are decoded and resized by threads (Pillow releases the interpreter lock), stay uint8 until they are
on the model's device and are normalised there. Captions are encoded once each and sorted by length, so that
batches hold little padding. The model is put in eval mode for the time of the call and put back after it,
module by module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from cnclip.errors import CheckpointError, RecipeError, SourceError
from cnclip.evaluation.ahead import in_order
from cnclip.evaluation.progress import progress_bar
from cnclip.evaluation.rows import Rows
from cnclip.images.transform import ImageTransform, normalize_pixels
from cnclip.model import ChineseClip
from cnclip.text.tokenizer import tokenize_batch


@dataclass(frozen=True)
class EmbeddingTable:
    """Embeddings and what they belong to.

    Attributes:
        ids: one name per row.
        rows: float32 [N, D], each of unit length.
    """

    ids: list[str]
    rows: Rows


class NamedImage(Protocol):
    """A picture's name and its file's bytes."""

    @property
    def image_id(self) -> str: ...
    @property
    def image(self) -> bytes: ...


class ImageSource(Protocol):
    """Numbered pictures: a StoreReader, or a tree of class folders."""

    @property
    def image_count(self) -> int: ...
    def image(self, index: int, /) -> NamedImage: ...


def embed_images(
    model: ChineseClip,
    source: ImageSource,
    *,
    transform: ImageTransform,
    batch_size: int = 64,
    workers: int = 2,
    progress: str | None = "images",
    alter: Callable[[str, Image.Image], Image.Image] | None = None,
) -> EmbeddingTable:
    """Embed every picture of a source, in its order.

    Args:
        model: on any device, in any mode.
        source: numbered pictures, read by the calling thread.
        transform: the model's own preprocessing.
        batch_size: pictures per forward pass.
        workers: threads that decode and resize; 0 decodes in the calling thread.
        progress: label of the progress bar on stderr; None shows none.
        alter: (id, RGB picture) -> RGB picture, before the transform: an augmented view. Runs in the threads.

    Raises:
        ImageError: a picture cannot be decoded; it names the id.
        CheckpointError: the model gives NaN for a picture; it names the id.
        SourceError: the source is empty.
        RecipeError: a batch size below 1 or a negative number of workers.
    """
    names: list[str] = []
    rows: list[Rows] = []
    batches = image_batches(
        model, source, transform=transform, batch_size=batch_size, workers=workers, alter=alter
    )
    with progress_bar(source.image_count, progress, "img") as bar:
        for ids, part in batches:
            names += ids
            rows.append(part)
            bar.update(len(ids))
    return _table(names, rows, "image")


def image_batches(
    model: ChineseClip,
    source: ImageSource,
    *,
    transform: ImageTransform,
    batch_size: int,
    workers: int,
    alter: Callable[[str, Image.Image], Image.Image] | None = None,
) -> Iterator[tuple[list[str], Rows]]:
    """The ids and rows of each batch of pictures, in the order of the source; see embed_images."""
    _check_counts(batch_size, workers)

    def decode(named: NamedImage) -> tuple[str, Tensor]:
        picture = transform.read(named.image, name=named.image_id)
        if alter is not None:
            picture = alter(named.image_id, picture)
        return named.image_id, transform.to_uint8(picture)

    device = next(model.parameters()).device
    stored = (source.image(index) for index in range(source.image_count))
    with closing(in_order(decode, stored, workers, ahead=2 * batch_size)) as decoded:
        while batch := list(islice(decoded, batch_size)):
            names = [name for name, _ in batch]
            with _measuring(model):
                pixel_values = normalize_pixels(
                    torch.stack([pixels for _, pixels in batch]).to(device)
                )  # [B, 3, S, S]
                rows = _unit_rows(model(pixel_values=pixel_values).image, names, "image")
            yield names, rows


def embed_image_features(
    model: ChineseClip,
    features: Rows,
    *,
    ids: Sequence[str],
    batch_size: int = 1024,
) -> EmbeddingTable:
    """Embed ready-made image features with a model whose image tower is a projection.

    Args:
        model: its image architecture is a FeatureArchitecture.
        features: float32 [N, width] rows of another network.
        ids: N names.
        batch_size: rows per forward pass.
    """
    device = next(model.parameters()).device
    rows = []
    with _measuring(model):
        for start in range(0, len(features), batch_size):
            part = torch.as_tensor(features[start : start + batch_size], dtype=torch.float32, device=device)
            names = ids[start : start + batch_size]
            rows.append(_unit_rows(model(pixel_values=part).image, names, "image"))
    return _table(list(ids), rows, "image")


def embed_texts(
    model: ChineseClip,
    captions: Sequence[str],
    *,
    ids: Sequence[str] | None = None,
    batch_size: int = 256,
    progress: str | None = "texts",
) -> EmbeddingTable:
    """Embed captions, in their order; equal captions get equal rows.

    Args:
        model: on any device, in any mode.
        captions: N captions as written; the tokenizer cleans them.
        ids: N names; the captions themselves where there are none.
        batch_size: captions per forward pass.
        progress: label of the progress bar on stderr; None shows none.

    Raises:
        CheckpointError: the model gives NaN for a caption; it names the id.
        SourceError: no captions.
        RecipeError: a batch size below 1.
    """
    names = list(captions if ids is None else ids)
    name_of = dict(zip(captions, names, strict=True))
    distinct = sorted(name_of, key=lambda caption: (len(caption), caption))
    rows: list[Rows] = []
    with progress_bar(len(distinct), progress, "txt") as bar:
        for part in text_batches(model, distinct, [name_of[one] for one in distinct], batch_size):
            rows.append(part)
            bar.update(len(part))
    table = _table(names, rows, "text")
    place = {caption: index for index, caption in enumerate(distinct)}
    return EmbeddingTable(ids=names, rows=table.rows[[place[caption] for caption in captions]])


def text_batches(
    model: ChineseClip, captions: Sequence[str], ids: Sequence[str], batch_size: int
) -> Iterator[Rows]:
    """The rows of each batch of captions, in the order given; sort them by length, see embed_texts."""
    _check_counts(batch_size)
    device = next(model.parameters()).device
    for start in range(0, len(captions), batch_size):
        block = slice(start, start + batch_size)
        batch = tokenize_batch(captions[block])
        token_ids, attention_mask = batch.token_ids.to(device), batch.attention_mask.to(device)
        with _measuring(model):
            text = model(token_ids=token_ids, attention_mask=attention_mask).text
            rows = _unit_rows(text, ids[block], "text")
        yield rows


def _check_counts(batch_size: int, workers: int = 0) -> None:
    if batch_size < 1 or workers < 0:
        raise RecipeError(
            f"batch_size {batch_size} and workers {workers} make no sense", fix="--batch_size 64"
        )


@contextmanager
def _measuring(model: ChineseClip) -> Iterator[None]:
    """No autograd, no dropout; each module's mode as before at the end."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module, training in modes:
            module.training = training


def _unit_rows(embeddings: Tensor | None, names: Sequence[str], kind: str) -> Rows:
    """Embeddings [B, D] of any precision as float32 rows of unit length on the CPU."""
    assert embeddings is not None, f"the model gave no {kind} embeddings"
    rows = embeddings.float().cpu()
    bad = ~torch.isfinite(rows).all(dim=1)
    if bad.any():
        name = names[int(bad.nonzero()[0])]
        raise CheckpointError(
            f"the model gives NaN or infinity for {kind} {name} ({int(bad.sum())} of {len(names)})",
            where=f"{kind} {name}",
            fix="take an earlier checkpoint, or measure in float32",
        )
    unit: npt.NDArray[np.float32] = torch.nn.functional.normalize(rows, dim=1).numpy()
    return unit


def _table(ids: list[str], rows: list[Rows], kind: str) -> EmbeddingTable:
    if not rows:
        raise SourceError(f"no {kind} to embed")
    end = sum(map(len, rows))
    whole = np.empty((end, rows[0].shape[1]), dtype=np.float32)
    while rows:  # a batch goes once it is copied, so that memory never holds two tables
        part = rows.pop()
        whole[end - len(part) : end] = part
        end -= len(part)
    return EmbeddingTable(ids=ids, rows=whole)
