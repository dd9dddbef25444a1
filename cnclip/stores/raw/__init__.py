"""What users have (cn_clip files, folders, tables, tar, Parquet, …) as two streams: pictures, captions."""

from cnclip.stores.raw.detect import Detected, detect
from cnclip.stores.raw.opened import read_source
from cnclip.stores.raw.options import SOURCE_KINDS, SourceKind, SourceOptions
from cnclip.stores.raw.rows import BadRow, RawImage, RawPair, RawText, Report, Source

__all__ = [
    "BadRow",
    "Detected",
    "RawImage",
    "RawPair",
    "RawText",
    "Report",
    "SOURCE_KINDS",
    "Source",
    "SourceKind",
    "SourceOptions",
    "detect",
    "read_source",
]
