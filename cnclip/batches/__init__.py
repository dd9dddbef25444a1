"""From a store to batches: which sample comes when, and what it looks like, as pure functions of counters.

Order, caption and augmentation depend on (seed, epoch, sample) alone, never on a process's random state, so a
resumed run, or one with other workers or another number of processes at the same global batch, sees the
same pairs in the same order. The order is computed, never stored: it costs the same for a hundred pairs and
for a hundred million.
"""

from cnclip.batches.dataset import Distinct, ImageRows, PairDataset, PairSample, Rows, SampleSettings
from cnclip.batches.loader import PairBatch, lost_worker, pair_loader
from cnclip.batches.mixture import Address, Addresses, Mixture
from cnclip.batches.order import GlobalBatchSampler, steps_per_epoch

__all__ = [
    "Address",
    "Addresses",
    "Distinct",
    "GlobalBatchSampler",
    "ImageRows",
    "Mixture",
    "PairBatch",
    "PairDataset",
    "PairSample",
    "Rows",
    "SampleSettings",
    "lost_worker",
    "pair_loader",
    "steps_per_epoch",
]
