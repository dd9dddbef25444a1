"""Queries by the picture they belong to: where it came from, its size and shape, how many captions it has."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from cnclip.errors import StoreError
from cnclip.evaluation.chapters.blocks import Words
from cnclip.evaluation.insight.slice_making import Looked, Slice, bucketed
from cnclip.evaluation.insight.slice_statistics import LEAST
from cnclip.evaluation.rows import Indices
from cnclip.images.decode import IMAGE_FORMATS
from cnclip.stores.reader import StoreReader

MOST_PICTURES = 50_000  # that are looked at; of more, a sample
MOST_SOURCES = 12
SIDES = (0, 64, 128, 224, 336, 512, 1024)  # pixels of the shorter side
SHAPES = (
    1.0,
    1.1,
    1.4,
    1.6,
    2.0,
    3.0,
)  # longer side / shorter side; the model sees them squashed to a square
CAPTIONS = (1, 2, 3, 5, 6, 11)
_ROW, _NUMBER = re.compile(r":\d+$"), re.compile(r"\d+")


@dataclass(frozen=True)
class LookedPictures:
    """What is known of some pictures of a store.

    Attributes:
        images: int64 [P] ascending indices.
        sources: P names of where they came from; None where the store does not know.
        sides: int64 [P, 2] width and height in pixels as in the file; 0 where the header cannot be read.
    """

    images: Indices
    sources: tuple[str, ...] | None
    sides: npt.NDArray[np.int64]


def choose_pictures(images: Indices, seed: int) -> Indices:
    """The pictures that are looked at: all different ones, or a sample of MOST_PICTURES, ascending."""
    different = np.unique(images)
    if len(different) <= MOST_PICTURES:
        return different
    rng = np.random.default_rng([seed, len(different)])
    return np.sort(rng.choice(different, MOST_PICTURES, replace=False))


@lru_cache(maxsize=1)  # several models are asked about the same pictures
def look_at(store: StoreReader, images: tuple[int, ...]) -> LookedPictures:
    """Read where pictures came from and the sizes that their files' headers tell; nothing is decoded.

    Args:
        store: of the pictures.
        images: ascending indices.
    """
    names, files = [], []
    sides = np.zeros((len(images), 2), dtype=np.int64)
    bar = tqdm(images, desc="picture sizes", unit="img", disable=None, leave=False)
    for place, index in enumerate(bar):
        try:
            stored = store.image(index)
        except StoreError:
            names.append("")
            files.append("")
            continue
        names.append(stored.image_id)
        files.append(_file(stored.where))
        sides[place] = _size(stored.image)
    chosen = np.array(images, dtype=np.int64)
    return LookedPictures(chosen, _sources(store, chosen, names, files), sides)


def slice_by_picture(looked: LookedPictures, pictures: Indices, captions: Indices) -> list[Looked]:
    """Slices by source, size, shape and number of captions.

    Args:
        looked: what is known of pictures.
        pictures: int64 [Q] the picture of each query.
        captions: int64 [store.image_count] captions of every picture.
    """
    place = np.minimum(np.searchsorted(looked.images, pictures), max(0, len(looked.images) - 1))
    known = looked.images[place] == pictures
    found = [Looked(known, bucketed("captions", captions[pictures], CAPTIONS, Words(" 条", " captions")))]
    if looked.sources is not None:
        found.append(Looked(known, _by_source(np.array(looked.sources)[place], known)))
    shorter, longer = looked.sides.min(axis=1)[place], looked.sides.max(axis=1)[place]
    sized = known & (shorter > 0)
    slices = bucketed("size", shorter, SIDES, Words(" 像素", " px"))
    slices += bucketed("shape", longer / np.maximum(1, shorter), SHAPES, Words("", ""))
    return [*found, Looked(sized, slices)]


def _by_source(names: npt.NDArray[np.str_], known: npt.NDArray[np.bool_]) -> list[Slice]:
    """The largest sources one by one, all others together."""
    different, counts = np.unique(names[known], return_counts=True)
    order = np.lexsort((different, -counts))
    large = [different[place] for place in order if counts[place] >= LEAST][:MOST_SOURCES]
    found = [Slice("source", str(name), Words(str(name), str(name)), names == name) for name in large]
    others = ~np.isin(names, large)
    if (others & known).any() and large:
        shown = Words(f"其余 {len(different) - len(large)} 处", f"{len(different) - len(large)} others")
        found.append(Slice("source", "", shown, others))
    return found


def _sources(
    store: StoreReader, images: Indices, names: Sequence[str], files: Sequence[str]
) -> tuple[str, ...] | None:
    """Names by the first that tells pictures apart: part of an index store, folder of the id, source file."""
    parts = store.header.parts
    if parts:
        ends = np.cumsum([part.images for part in parts])
        labels = [part.path.rstrip("/").rpartition("/")[2] for part in parts]
        if len(set(labels)) < len(labels):
            labels = [part.path for part in parts]
        return tuple(labels[place] for place in np.searchsorted(ends, images, side="right"))
    for found in (_folders(names), tuple(files)):
        if len(set(found)) > 1:
            return found
    return None


def _folders(names: Sequence[str]) -> tuple[str, ...]:
    """The first folder of each id by which ids differ: coco/1.jpg -> coco; "" where an id has none there."""
    folders = [name.split("/")[:-1] for name in names]
    least, most = min(folders), max(folders)  # what these two share, all do
    shared = next(
        (place for place, (one, two) in enumerate(zip(least, most, strict=False)) if one != two), None
    )
    shared = len(least) if shared is None else shared
    found = ("/".join(parts[shared : shared + 1]) for parts in folders)
    return tuple("*" if name.isdecimal() else name for name in found)


def _file(where: str) -> str:
    """The file of a row, its numbers as *, so that parts of one set are one source; "" if none is named."""
    return _NUMBER.sub("*", _ROW.sub("", where)) if _ROW.search(where) else ""


def _size(data: bytes) -> tuple[int, int]:
    """Width and height that the header of a file tells; (0, 0) where it tells none."""
    try:
        with Image.open(io.BytesIO(data), formats=IMAGE_FORMATS) as image:
            return image.size
    except Exception:  # Pillow raises whatever it likes; a picture without a size is left out
        return 0, 0
