"""Size, shape, format and oddities of a store's pictures, as numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cnclip.stores.doctor.histogram import Histogram, histogram
from cnclip.stores.doctor.pictures import (
    ANIMATED,
    BLANK,
    DECODED,
    FORMATS,
    MODES,
    TRANSPARENT,
    TURNED,
    Rows,
)

TINY_SIDE = 32  # pixels; a shorter side below it holds less than two patches of a ViT
HUGE_SIDE = 2048  # pixels; a longer side from here on costs more time to decode than the model needs
STRETCHED = 4.0  # longer side / shorter side from here on: squashed to a square little can be recognised

_SIDES = (1, 32, 64, 128, 224, 336, 512, 768, 1024, 2048, 4096)
_ASPECTS = (1, 1.1, 1.25, 1.4, 1.6, 2, 3, 4, 8)
_NEAREST_MODES = ("1", "P", "PA")


@dataclass(frozen=True)
class PictureFacts:
    """The pictures of a store; all counts but the first are of those that decode.

    Attributes:
        count, decoded: pictures, and those that decode.
        file_bytes: sum of the files.
        formats, modes: name -> pictures, the most frequent first; modes are Pillow's, of the file.
        shorter_side: pixels.
        aspect: longer side / shorter side.
        tiny, huge, stretched: see TINY_SIDE, HUGE_SIDE, STRETCHED.
        blank: nearly all of one colour, see `mostly_blank`.
        turned: by an EXIF orientation.
        transparent: with transparency, which is laid on white.
        animated: of several frames, the first of which counts.
        indexed: palette or one-bit pictures.
        differ_in_cn_clip: turned, transparent or indexed; Chinese-CLIP's transform shows a model another
            picture of these: it knows no orientation, drops transparency, resizes indexed pixels unsmoothed.
    """

    count: int
    decoded: int
    file_bytes: int
    formats: dict[str, int]
    modes: dict[str, int]
    shorter_side: Histogram
    aspect: Histogram
    tiny: int
    huge: int
    stretched: int
    blank: int
    turned: int
    transparent: int
    animated: int
    indexed: int
    differ_in_cn_clip: int


def picture_facts(pictures: Rows) -> PictureFacts:
    """Measure sketches, PICTURE [N]."""
    good = pictures[pictures["traits"] & DECODED != 0]
    shorter = np.minimum(good["width"], good["height"])
    longer = np.maximum(good["width"], good["height"])
    traits = good["traits"]
    indexed = np.isin(good["mode"], [MODES.index(mode) for mode in _NEAREST_MODES])
    otherwise = indexed | (traits & (TURNED | TRANSPARENT) != 0)
    return PictureFacts(
        count=len(pictures),
        decoded=len(good),
        file_bytes=int(pictures["file_bytes"].sum()),
        formats=_named(good["format"], FORMATS),
        modes=_named(good["mode"], MODES),
        shorter_side=histogram(shorter, _SIDES),
        aspect=histogram(longer / np.maximum(shorter, 1), _ASPECTS),
        tiny=int((shorter < TINY_SIDE).sum()),
        huge=int((longer >= HUGE_SIDE).sum()),
        stretched=int((longer >= STRETCHED * shorter).sum()),
        blank=int((traits & BLANK != 0).sum()),
        turned=int((traits & TURNED != 0).sum()),
        transparent=int((traits & TRANSPARENT != 0).sum()),
        animated=int((traits & ANIMATED != 0).sum()),
        indexed=int(indexed.sum()),
        differ_in_cn_clip=int(otherwise.sum()),
    )


def strange_pictures(pictures: Rows, most: int) -> Iterator[tuple[str, int]]:
    """(what is strange, index) of at most `most` pictures of each kind, the strangest first."""
    shorter = np.minimum(pictures["width"], pictures["height"]).astype(np.int64)
    longer = np.maximum(pictures["width"], pictures["height"]).astype(np.int64)
    decoded = pictures["traits"] & DECODED != 0
    kinds: list[tuple[str, npt.NDArray[np.bool_], npt.NDArray[np.float64] | npt.NDArray[np.int64]]] = [
        ("空白 mostly blank", pictures["traits"] & BLANK != 0, -longer),
        ("太小 tiny", shorter < TINY_SIDE, shorter),
        ("狭长 stretched", longer >= STRETCHED * shorter, -longer / np.maximum(shorter, 1)),
        ("太大 huge", longer >= HUGE_SIDE, -longer),
    ]
    for name, are, rank in kinds:
        rows = np.flatnonzero(are & decoded)
        for index in rows[np.argsort(rank[rows], kind="stable")[:most]]:
            yield name, int(index)


def _named(places: npt.NDArray[np.uint8], names: tuple[str, ...]) -> dict[str, int]:
    counts = np.bincount(places, minlength=len(names))
    order = np.argsort(-counts, kind="stable")
    return {names[place]: int(counts[place]) for place in order if counts[place]}
