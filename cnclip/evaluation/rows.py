"""Unit-length rows: the checks before they are ranked, and the grid on which their products are exact.

Rows are rounded to multiples of 2**-26. Every product of two components is then an integer times 2**-52, and
every partial sum of a unit-length dot product stays below 2**53 such units, which float64 holds exactly in
any order of summation. Scores, and so ranks, do not depend on block sizes, the order of items, threads or the
BLAS. The rounding is at most 7.5e-9 per component, below the noise of float32 towers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cnclip.errors import SourceError

Rows = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]

GRID = float(2**26)
_UNIT_TOLERANCE = 1e-3


def on_grid(rows: Rows) -> Scores:
    """Rows in whole multiples of 2**-26, whose dot products are exact: float64 [N, D], in that unit."""
    whole: Rows = np.rint(rows * np.float32(GRID))  # by a power of two: exact in float32 too
    return whole.astype(np.float64)


def check_rows(rows: Rows, kind: str, ids: Sequence[str] | None = None) -> None:
    """Refuse rows that cannot be ranked.

    Args:
        rows: float32 [N, D].
        kind: "image" or "text", for the message.
        ids: the rows' names; their number where there are none.

    Raises:
        SourceError: not a matrix, a value that is not finite, a row whose length is not 1.
    """
    if rows.ndim != 2:
        raise SourceError(f"{kind} embeddings have {rows.ndim} dimensions, not 2 (rows, features)")
    length = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))
    wrong = np.flatnonzero(~(np.abs(length - 1) <= _UNIT_TOLERANCE))
    if not len(wrong):
        return
    first = int(wrong[0])
    name = str(first) if ids is None else ids[first]
    finite = bool(np.isfinite(rows[first]).all())
    what = f"has length {length[first]:.4g}, not 1" if finite else "holds NaN or infinity"
    raise SourceError(
        f"the embedding of {kind} {name} {what} ({len(wrong)} of {len(rows)} rows)",
        where=f"{kind} {name}",
        fix="normalise the rows" if finite else "look for NaN in the checkpoint; take an earlier one",
    )
