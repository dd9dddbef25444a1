"""What users have (cn_clip files, folders, tables) as two plain streams: pictures, then captions."""

from cnclip.stores.raw.detect import SOURCE_KINDS, SourceKind, SourceOptions, read_source
from cnclip.stores.raw.rows import BadRow, RawImage, RawPair, RawText, Report, Source

__all__ = [
    "BadRow",
    "RawImage",
    "RawPair",
    "RawText",
    "Report",
    "SOURCE_KINDS",
    "Source",
    "SourceKind",
    "SourceOptions",
    "read_source",
]
