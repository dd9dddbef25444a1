"""The recipe's section on data: stores, their mixture, batches, captions, augmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class DataConfig:
    """Pairs for training and validation.

    Attributes:
        train: store of training pairs, or a list of stores, whose samples are mixed in every batch.
        weights: with several stores: how many samples each gives to an epoch, as shares of all of them;
            null = as many as it has. A store that is asked for more than it has runs through its samples
            again, in a new order; one that is asked for less goes on in the next epoch where it stopped.
        valid: store for validation recall@K; null = none.
        features: .npz of ready-made image features (`features` [N, width], `images` ids).
        batch_size: pairs per process and step.
        workers: loader processes per process.
        context_length: most tokens of a caption, with [CLS] and [SEP].
        captions: every_pair = each (picture, caption) once an epoch; one_per_image = each picture once an
            epoch with one of its captions drawn at random.
        first_caption_share: with one_per_image, how often a picture's first caption is drawn, where the
            first is a title and the others are tags; 0 = every caption alike.
        distinct: what no global batch shall hold twice, so that nothing right is learned as wrong: images (of
            one store and number: copies under other ids count as others), captions (their text), both; none =
            batches as they come. Samples change places within 8 global batches.
        augment: name of an augmentation policy for pictures: none, light, strong, auto; or light_flip,
            strong_flip, auto_flip, which mirror half of them: left and right in their captions are exchanged,
            but nothing helps writing in the picture.
        augment_captions: name of an augmentation policy for captions: none, light, strong. They lose words
            that say little, and their clauses change places.
        synonyms: with augment_captions: file of words that may stand for each other, one group a line.
        pixels: exact = the official resize bit for bit, as measuring has it; fast = two to four times as
            fast, at most 2 of 255 off (mean 0.004); a JPEG of four times the resolution or more is decoded
            smaller, which is up to 12 off (mean below 1). Cached views are always exact.
        cached_views: locked image tower only: number of augmented views whose embeddings are computed once
            and kept; 0 runs the tower in every step; 1 with augment none is the plain picture.
    """

    train: str | tuple[str, ...] = ""
    weights: tuple[float, ...] | None = None
    valid: str | None = None
    features: str | None = None
    batch_size: int = 64
    workers: int = 2
    context_length: int = 52
    captions: Literal["every_pair", "one_per_image"] = "every_pair"
    first_caption_share: float = 0.0
    distinct: Literal["none", "images", "captions", "both"] = "none"
    augment: str = "none"
    augment_captions: str = "none"
    synonyms: str | None = None
    pixels: Literal["exact", "fast"] = "exact"
    cached_views: int = 0
