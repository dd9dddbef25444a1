"""What an examination is asked for and what it finds, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cnclip.errors import RecipeError
from cnclip.stores.doctor.caption_facts import CaptionFacts
from cnclip.stores.doctor.findings import Finding, Limits
from cnclip.stores.doctor.groups import Groups
from cnclip.stores.doctor.leakage import Leak
from cnclip.stores.doctor.near_hash import MAX_RADIUS
from cnclip.stores.doctor.negatives import BatchOutlook
from cnclip.stores.doctor.picture_facts import PictureFacts
from cnclip.stores.doctor.scan import StoreSketch

FEW_ROWS = 0.01  # share of a batch's rows with a false negative that is not worth a thought


@dataclass(frozen=True)
class CheckupOptions:
    """How to examine.

    Attributes:
        context_length: most pieces of a caption that the model will get, [CLS] and [SEP] included.
        batch_size: pairs of the global batch that training will have.
        duplicates: `loss.duplicates` of that training; false negatives are judged by it.
        near: bits in which the hashes of near pictures may differ, 0 to 12.
        workers: processes.
        most: examples of each kind that are shown.
        limits: see Limits.
    """

    context_length: int = 52
    batch_size: int = 256
    duplicates: Literal["keep", "mask"] = "keep"
    near: int = 6
    workers: int = 1
    most: int = 10
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        for name, low, high in (("batch_size", 2, 1 << 30), ("near", 0, MAX_RADIUS), ("workers", 1, 1024)):
            if not low <= getattr(self, name) <= high:
                raise RecipeError(
                    f"--{name.replace('_', '-')} is {getattr(self, name)}", fix=f"{low} to {high}"
                )
        if self.most < 0:
            raise RecipeError(f"--max-examples is {self.most}", fix="0 or more")


@dataclass(frozen=True)
class Negatives:
    """False negatives to expect of a store's batches.

    Attributes:
        pairs: that can be trained on: both rows could be read.
        sharing: pairs that share a caption or a picture with another one.
        outlooks: for several batch sizes, every other pair of the batch being a negative.
        masked: for the same batch sizes, with the recipe's `loss.duplicates: mask`, which knows a picture by
            its id and a caption by its exact text.
        wanted: of `outlooks`, the one of the batch size asked for (or of all pairs, where there are fewer).
        largest: the largest batch of whose rows at most FEW_ROWS have a false negative.
    """

    pairs: int
    sharing: int
    outlooks: list[BatchOutlook]
    masked: list[BatchOutlook]
    wanted: BatchOutlook
    largest: int


@dataclass(frozen=True)
class StoreCheckup:
    """One store's facts.

    Attributes:
        name: its path as given.
        sketch: the rows themselves.
        pictures, captions: their facts.
        same_bytes, same_pixels, near: pictures in groups.
        same_captions: captions in groups, empty ones aside.
        negatives: None where there are no two pairs.
        unlabelled_captions, unused_pictures: rows of no pair.
    """

    name: str
    sketch: StoreSketch
    pictures: PictureFacts
    captions: CaptionFacts
    same_bytes: Groups
    same_pixels: Groups
    near: Groups
    same_captions: Groups
    negatives: Negatives | None
    unlabelled_captions: int
    unused_pictures: int


@dataclass(frozen=True)
class Checkup:
    """The outcome.

    Attributes:
        options: as given.
        stores: in the order given.
        leaks: of each two stores.
        crowded: comparisons of near hashes that were left out; 0 in ordinary data.
        findings: errors first.
    """

    options: CheckupOptions
    stores: list[StoreCheckup]
    leaks: list[Leak]
    crowded: int
    findings: list[Finding]

    @property
    def should_train(self) -> bool:
        """Whether no finding is an error."""
        return all(finding.grade != "error" for finding in self.findings)
