"""Labelled pictures in one file: NumPy archives, MNIST's idx files, CIFAR's binary files.

    NAME.npz                   `labels` int [N], or int8 [N, C] with 1 shown, 0 not, -1 not judged; and
                               `pixels` uint8 [N, H, W, 3] or [N, H, W], or `embeddings` float [N, D] of the
                               model's image tower; `ids` [N] if there are names
    *-images-idx3-ubyte[.gz]   MNIST and its relatives; *-labels-idx1-ubyte[.gz] stands beside it
    *.bin                      CIFAR-10 or CIFAR-100, "binary version" (rows of 1 or 2 label bytes and 3 072
                               bytes of pixels, plane by plane); CIFAR-100 takes the fine label

CIFAR's "python version" is a pickle, which can run any program when it is read: it is refused, and the binary
version of the same page holds the same pictures.
"""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from cnclip.artifacts import sha256_file
from cnclip.errors import SourceError
from cnclip.evaluation.archives import ArchiveWords, archive_names, read_archive
from cnclip.evaluation.class_folders import FolderImage
from cnclip.evaluation.class_metrics import Marks
from cnclip.evaluation.classes import ClassNames
from cnclip.evaluation.labelled import LabelledImages, LabelledRows
from cnclip.evaluation.rows import Indices

Pixels = npt.NDArray[np.uint8]
_CIFAR_PIXELS = 3 * 32 * 32


class ArrayImages:
    """Pictures of an array, each as a PNG file's bytes, made when it is asked for."""

    def __init__(self, pixels: Pixels, ids: list[str]) -> None:
        """Take uint8 [N, H, W, 3] or [N, H, W] and N names."""
        self._pixels = pixels
        self._ids = ids

    @property
    def image_count(self) -> int:
        """How many."""
        return len(self._ids)

    def image(self, index: int) -> FolderImage:
        """One picture, without loss."""
        buffer = io.BytesIO()
        Image.fromarray(self._pixels[index]).save(buffer, "png", compress_level=1)
        return FolderImage(self._ids[index], buffer.getvalue())


def holds_embeddings(path: Path) -> bool:
    """Whether a file is a NumPy archive of ready embeddings.

    Raises:
        SourceError: it cannot be read.
    """
    return path.suffix == ".npz" and "embeddings" in archive_names(path, _words(path))


def rows_from_array(path: Path, classes: ClassNames) -> LabelledRows:
    """Embeddings and labels of a NumPy archive; rows are brought to unit length.

    Raises:
        SourceError: not such a file, wrong shapes, a row without direction, labels beyond the classes.
    """
    arrays = _archive(path)
    given = _take(arrays, "embeddings", path)
    if given.dtype.kind not in "fiu" or given.ndim != 2 or not given.size:
        raise SourceError(f"embeddings are {given.dtype} {given.shape}, not numbers [N, D]", where=str(path))
    rows = given.astype(np.float64)
    with np.errstate(over="ignore"):
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise SourceError("an embedding is zero, NaN or infinite", where=str(path), fix="embed again")
    labels, marks = _labels(_take(arrays, "labels", path), len(rows), classes, path)
    ids = _ids(arrays, len(rows), path)
    return LabelledRows(ids, (rows / lengths).astype(np.float32), labels, marks, sha256_file(path))


def images_from_array(path: Path, classes: ClassNames) -> LabelledImages:
    """Pictures and labels of a NumPy archive, an idx file or a CIFAR file.

    Raises:
        SourceError: not such a file, wrong shapes, a truncated file, labels beyond the classes.
    """
    ids = None
    if path.suffix == ".npz":
        arrays = _archive(path)
        pixels, given = _take(arrays, "pixels", path), _take(arrays, "labels", path)
        ids = None if pixels.ndim == 0 else _ids(arrays, len(pixels), path)
    elif "idx3-ubyte" in path.name:
        beside = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
        pixels, given = _read_idx(path), _read_idx(beside)
    elif path.suffix == ".bin":
        pixels, given = _read_cifar(path)
    else:
        raise SourceError(
            f"not a file of labelled pictures: {path.name}",
            where=str(path),
            fix="give class folders, a store with --labels, an .npz file, MNIST's idx files, or the binary"
            " version of CIFAR (the python version is a pickle, which is not opened)",
        )
    grey, colour = pixels.ndim == 3, pixels.ndim == 4 and pixels.shape[3] == 3
    if pixels.dtype != np.uint8 or not (grey or colour) or not pixels.size:
        raise SourceError(
            f"pixels are {pixels.dtype} {pixels.shape}, not uint8 [N, H, W, 3] or [N, H, W]", where=str(path)
        )
    labels, marks = _labels(given, len(pixels), classes, path)
    names = ids or _ids({}, len(pixels), path)
    return LabelledImages(
        source=ArrayImages(pixels, names),
        ids=names,
        indices=np.arange(len(pixels)),
        labels=labels,
        unlabelled=0,
        fingerprint=sha256_file(path),
        marks=marks,
    )


def _labels(
    given: npt.NDArray[Any], items: int, classes: ClassNames, path: Path
) -> tuple[Indices, Marks | None]:
    """Class numbers, or marks where the labels are a matrix."""
    width = len(classes.names)
    if not np.issubdtype(given.dtype, np.integer) and given.dtype != np.bool_:
        raise SourceError(f"labels are {given.dtype}, not whole numbers", where=str(path))
    if given.shape == (items, width) and given.ndim == 2:
        if not np.isin(given, (-1, 0, 1)).all():
            raise SourceError("marks other than 1, 0 and -1", where=str(path))
        return np.full(items, -1, dtype=np.int64), given.astype(np.int8)
    if given.shape != (items,):
        raise SourceError(
            f"labels have the shape {given.shape}: neither [{items}] nor [{items}, {width}]", where=str(path)
        )
    if items and not 0 <= int(given.min()) <= int(given.max()) < width:
        raise SourceError(
            f"labels go from {given.min()} to {given.max()}, but {classes.path} has {width} classes",
            where=str(path),
            fix="count labels from 0, in the order of the lines",
        )
    return given.astype(np.int64), None


def _archive(path: Path) -> dict[str, npt.NDArray[Any]]:
    return read_archive(path, _words(path))


def _words(path: Path) -> ArchiveWords:
    return ArchiveWords("the arrays", f"no such file: {path}", "save it with numpy.savez, without objects")


def _take(arrays: dict[str, npt.NDArray[Any]], name: str, path: Path) -> npt.NDArray[Any]:
    if name not in arrays:
        raise SourceError(f"no array {name!r}, only {', '.join(arrays) or 'none'}", where=str(path))
    return arrays[name]


def _ids(arrays: dict[str, npt.NDArray[Any]], items: int, path: Path) -> list[str]:
    """The names, or 0, 1, 2 … where there are none.

    Raises:
        SourceError: not one name per item, or one name for two items.
    """
    given = arrays.get("ids", np.arange(items))
    if given.shape != (items,):
        raise SourceError(f"ids have the shape {given.shape}, not [{items}]", where=str(path))
    names = [name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in given]
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise SourceError(
            f"{len(repeated)} ids stand twice, such as {repeated[0]!r}",
            where=str(path),
            fix="give each picture a name of its own",
        )
    return names


def _read_idx(path: Path) -> npt.NDArray[Any]:
    """Unsigned bytes of an idx file (LeCun's format): 0, 0, type 8, dimensions; sizes; values."""
    content = _bytes(path)
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise SourceError("not an idx file of unsigned bytes", where=str(path))
    dimensions = content[3]
    start = 4 + 4 * dimensions
    shape = struct.unpack(f">{dimensions}I", content[4:start]) if len(content) >= start else ()
    if len(content) - start != np.prod(shape, dtype=np.int64):
        raise SourceError("truncated, or longer than its header says", where=str(path), fix="fetch it again")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def _read_cifar(path: Path) -> tuple[Pixels, npt.NDArray[Any]]:
    content = np.frombuffer(_bytes(path), dtype=np.uint8)
    for label_bytes in (1, 2):
        row = label_bytes + _CIFAR_PIXELS
        if len(content) and len(content) % row == 0:
            rows = content.reshape(-1, row)
            planes = rows[:, label_bytes:].reshape(-1, 3, 32, 32)
            return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), rows[:, label_bytes - 1]
    raise SourceError("not whole rows of CIFAR's binary version", where=str(path), fix="fetch it again")


def _bytes(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except FileNotFoundError:
        raise SourceError(f"no such file: {path}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"cannot read the file: {error}", where=str(path), fix="fetch it again") from None
