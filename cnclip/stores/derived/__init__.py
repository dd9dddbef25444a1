"""Stores out of stores (subset, split, merge, dedup, clean, filter), and as other files. No torch."""

from cnclip.stores.derived.boilerplate import Phrases, find_boilerplate, read_phrases
from cnclip.stores.derived.clean import (
    CleanedSource,
    CleanPlan,
    change_lines,
    is_empty,
    plan_cleaning,
)
from cnclip.stores.derived.duplicates import Likeness, find_repeats, group_lines
from cnclip.stores.derived.index import write_index
from cnclip.stores.derived.merge import Duplicates, merged
from cnclip.stores.derived.rows import Choice, DerivedSource, origin_of
from cnclip.stores.derived.scores import (
    Filtered,
    keep_good_pairs,
    least_score,
    pairs_around,
    score_lines,
    score_tables,
    worst_pairs,
)
from cnclip.stores.derived.sketches import sketch_stores
from cnclip.stores.derived.split import check_shares, split_rows
from cnclip.stores.derived.subset import IdKind, KeptCaptions, choose, read_ids

__all__ = [
    "Choice",
    "CleanPlan",
    "CleanedSource",
    "DerivedSource",
    "Duplicates",
    "Filtered",
    "IdKind",
    "KeptCaptions",
    "Likeness",
    "Phrases",
    "change_lines",
    "check_shares",
    "choose",
    "find_boilerplate",
    "find_repeats",
    "group_lines",
    "is_empty",
    "keep_good_pairs",
    "least_score",
    "merged",
    "origin_of",
    "pairs_around",
    "plan_cleaning",
    "read_ids",
    "read_phrases",
    "score_lines",
    "score_tables",
    "sketch_stores",
    "split_rows",
    "write_index",
    "worst_pairs",
]
