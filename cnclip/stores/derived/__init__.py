"""Stores out of stores (subset, split, merge, dedup), and stores as files of other formats. No torch."""

from cnclip.stores.derived.duplicates import find_repeats, group_lines
from cnclip.stores.derived.merge import Duplicates, merged
from cnclip.stores.derived.rows import Choice, DerivedSource, origin_of
from cnclip.stores.derived.sketches import sketch_stores
from cnclip.stores.derived.split import check_shares, split_rows
from cnclip.stores.derived.subset import IdKind, KeptCaptions, choose, read_ids

__all__ = [
    "Choice",
    "DerivedSource",
    "Duplicates",
    "IdKind",
    "KeptCaptions",
    "check_shares",
    "choose",
    "find_repeats",
    "group_lines",
    "merged",
    "origin_of",
    "read_ids",
    "sketch_stores",
    "split_rows",
]
