"""Groups of equal and of near rows, and what two stores share."""

from __future__ import annotations

import numpy as np

from cnclip.stores.doctor.groups import NONE, find_near, groups_by_key, rows_in_other
from cnclip.stores.doctor.pictures import BLANK, DECODED, PICTURE


def pictures_of(*rows: tuple[int, int, int]) -> np.ndarray:
    """(pixel key, near key, traits) rows."""
    found = np.zeros(len(rows), dtype=PICTURE)
    for row, (pixels, near, traits) in zip(found, rows, strict=True):
        row["pixel_key"], row["near_key"], row["traits"] = pixels, near, traits
    return found


def test_groups_hold_rows_with_equal_keys_and_only_usable_ones() -> None:
    keys = np.array([5, 9, 5, 7, 9, 9, 5])
    usable = np.array([True, True, True, True, True, True, False])
    groups = groups_by_key(keys, usable)
    assert groups.labels.tolist() == [0, 1, 0, NONE, 1, 1, NONE]
    assert groups.sizes.tolist() == [2, 3]
    assert groups.extra == 3
    assert [rows.tolist() for rows in groups.largest(5)] == [[1, 4, 5], [0, 2]]
    assert [rows.tolist() for rows in groups.largest(1)] == [[1, 4, 5]]


def test_no_rows_make_no_groups() -> None:
    groups = groups_by_key(np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=bool))
    assert groups.extra == 0 and list(groups.largest(3)) == []


def test_near_pictures_make_chains_and_know_their_neighbour_in_the_other_store() -> None:
    near = 0b1111
    pictures = pictures_of(
        (1, 0, DECODED),  # store 0: a picture, its exact copy, one of its own
        (1, 0, DECODED),
        (2, 1 << 40 | 0xFFFF << 20, DECODED),
        (3, near, DECODED),  # store 1: near to the first two; near to this one; blank
        (4, near << 4 | near, DECODED),
        (5, 0, DECODED | BLANK),
    )
    found = find_near(pictures, np.array([0, 0, 0, 1, 1, 1]), 2, 6)
    assert found.groups.labels.tolist() == [0, 0, NONE, 0, 0, NONE]
    assert found.groups.sizes.tolist() == [4]
    assert found.neighbours[:, 1].tolist() == [3, 3, NONE, 4, 3, NONE]
    assert found.neighbours[3, 0] in (0, 1)
    assert found.neighbours[4, 0] == NONE  # eight bits from the first: only the chain joins them
    assert found.crowded == 0


def test_copies_within_a_store_are_compared_once_and_all_told() -> None:
    pictures = pictures_of(*[(1, 0, DECODED)] * 3000, (2, 1, DECODED))
    stores = np.array([0] * 3000 + [1])
    found = find_near(pictures, stores, 2, 6)
    assert found.crowded == 0
    assert (found.neighbours[:3000, 1] == 3000).all()
    assert found.groups.sizes.tolist() == [3001]


def test_no_pictures_at_all() -> None:
    found = find_near(pictures_of(), np.zeros(0, dtype=np.int64), 1, 6)
    assert found.groups.extra == 0 and found.neighbours.shape == (0, 1)


def test_rows_in_other_finds_an_equal_key() -> None:
    assert rows_in_other(np.array([3, 8, 3, 1]), np.array([8, 3])).tolist() == [1, 0, 1, NONE]
    assert rows_in_other(np.array([3]), np.array([], dtype=np.int64)).tolist() == [NONE]
