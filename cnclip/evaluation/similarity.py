"""Cosine similarities of chosen rows: of pairs, and of all rows with all in blocks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from cnclip.errors import SourceError
from cnclip.evaluation.rows import Indices, Rows

Mask = npt.NDArray[np.bool_]
_UNSURE = 1e-4  # float32 products of unit rows are nearer to the truth than this


def pair_scores(
    image_rows: Rows, text_rows: Rows, images: Indices, texts: Indices, *, block_pairs: int = 8192
) -> Rows:
    """Cosine similarity of each pair: float32 [pairs]; the same whatever the block size.

    Args:
        image_rows: float32 [n_image, D], unit length.
        text_rows: float32 [n_text, D], unit length.
        images, texts: int64 [pairs], the rows of each pair.
        block_pairs: pairs that are looked at together; memory only.

    Raises:
        SourceError: rows of different length.
    """
    if image_rows.shape[1] != text_rows.shape[1]:
        raise SourceError(f"image rows have {image_rows.shape[1]} columns, text rows {text_rows.shape[1]}")
    scores = np.empty(len(images), dtype=np.float32)
    for start in range(0, len(images), block_pairs):
        block = slice(start, start + block_pairs)
        scores[block] = _products(image_rows[images[block]], text_rows[texts[block]])
    return scores


class SimilarRows:
    """Which rows are alike: their cosine similarity is at least a threshold.

    Products are taken in float32 on a device; those near the threshold are taken again in float64, so that
    the answer does not depend on device, threads or block size.

    Args:
        rows: float32 [N, D], unit length.
        threshold: least cosine similarity, -1 to 1.
        device: where the products are taken; holds the rows.
    """

    def __init__(self, rows: Rows, threshold: float, *, device: torch.device | str = "cpu") -> None:
        self._rows = rows
        self._threshold = threshold
        self._on_device = torch.from_numpy(rows).to(device)

    def alike(self, first: Indices, second: Indices) -> Mask:
        """bool [len(first), len(second)]: whether each row of `first` is like each of `second`."""
        device = self._on_device.device
        one, two = (self._on_device[torch.from_numpy(places).to(device)] for places in (first, second))
        products = one @ two.T  # float32 [first, second]
        found: Mask = (products >= self._threshold).cpu().numpy()
        unsure = torch.nonzero((products - self._threshold).abs() < _UNSURE).cpu().numpy()
        for start in range(0, len(unsure), 8192):
            row, column = unsure[start : start + 8192].T
            exact = _products(self._rows[first[row]], self._rows[second[column]])
            found[row, column] = exact >= self._threshold
        return found

    def similarity(self, first: int, second: int) -> float:
        """Cosine similarity of two rows."""
        return float(_products(self._rows[[first]], self._rows[[second]])[0])


def _products(first: Rows, second: Rows) -> npt.NDArray[np.float64]:
    """Row by row in float64, the sum in one order always."""
    products: npt.NDArray[np.float64] = np.einsum(
        "nd,nd->n", first.astype(np.float64), second.astype(np.float64)
    )
    return products
