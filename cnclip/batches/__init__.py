"""From a store to batches: which sample comes when, and what it looks like, as pure functions of counters.

Order, caption and augmentation depend on (seed, epoch, sample) alone, never on a process's random state, so a
resumed run, or one with other workers or another number of processes at the same global batch, sees the
same pairs in the same order.
"""

from cnclip.batches.dataset import ImageRows, PairDataset, PairSample, Rows
from cnclip.batches.loader import PairBatch, pair_loader
from cnclip.batches.order import GlobalBatchSampler, steps_per_epoch

__all__ = [
    "GlobalBatchSampler",
    "ImageRows",
    "PairBatch",
    "PairDataset",
    "PairSample",
    "Rows",
    "pair_loader",
    "steps_per_epoch",
]
