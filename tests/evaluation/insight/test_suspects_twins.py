"""The same picture under two ids: candidates by embedding, decided by the hashes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnclip.evaluation.insight.twins import MOST_ALIKE, find_twins, nearest_pairs
from cnclip.stores.reader import StoreReader


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@settings(deadline=None)
@given(st.integers(0, 30), st.integers(1, 60), st.integers(1, 9), st.integers(0, 1000), st.booleans())
def test_nearest_pairs_are_those_of_comparing_all_with_all(
    count: int, most: int, block_rows: int, seed: int, coarse: bool
) -> None:
    rng = np.random.default_rng(seed)
    drawn = (
        rng.integers(1, 3, (count, 3)) if coarse else rng.standard_normal((count, 3))
    )  # equal ones or none
    rows = unit(drawn.astype(np.float64)) if count else np.empty((0, 3), dtype=np.float32)
    pairs, cosine = nearest_pairs(rows, most, block_rows=block_rows)
    first, second = np.triu_indices(count, 1)
    exact = np.einsum("nd,nd->n", rows[first].astype(np.float64), rows[second].astype(np.float64))
    order = np.lexsort((second, first, -exact))[:most]
    assert cosine == pytest.approx(exact[order], abs=1e-6)
    if not coarse:
        assert pairs.tolist() == np.stack([first, second], axis=1)[order].tolist()


def test_rows_that_are_all_equal_fill_the_list_and_no_more() -> None:
    rows = unit(np.ones((60, 4)))
    pairs, cosine = nearest_pairs(rows, 20, block_rows=8)
    assert len(pairs) == len({tuple(pair) for pair in pairs.tolist()}) == 20
    assert (pairs[:, 0] < pairs[:, 1]).all() and cosine == pytest.approx(np.ones(20))


def test_equal_files_equal_pixels_and_near_pictures_are_told_apart(
    make_store: Callable[..., StoreReader], photo: Callable[..., bytes]
) -> None:
    files = [photo(1), photo(1), photo(1, "BMP"), photo(1, "JPEG", quality=50), photo(2)]
    store = make_store([(f"{place}.png", data, ["图"]) for place, data in enumerate(files)])
    found = find_twins(store, unit(np.eye(5) + 0.5))
    kinds = {(twin.first, twin.second): twin.kind for twin in found.pairs}
    assert kinds == {
        (0, 1): "same bytes",
        (0, 2): "same pixels",
        (1, 2): "same pixels",
        (0, 3): "near picture",
        (1, 3): "near picture",
        (2, 3): "near picture",
    }
    assert found.compared == found.decoded == 5 and found.crowded == 0


def test_only_the_nearest_pictures_are_decoded(
    make_store: Callable[..., StoreReader], photo: Callable[..., bytes]
) -> None:
    store = make_store([(f"{place}.png", photo(place // 2), ["图"]) for place in range(6)])
    rows = unit(np.array([[1, 0, 0], [1, 0.1, 0], [0, 1, 0], [0, 1, 0.3], [0, 0, 1], [1, 0, 1]]))
    found = find_twins(store, rows, most_decoded=4)
    assert [(twin.first, twin.second) for twin in found.pairs] == [(0, 1), (2, 3)]
    assert found.decoded == 4 and found.least_cosine == pytest.approx(1 / np.sqrt(1.09), abs=1e-4)
    chosen = find_twins(store, rows, np.array([2, 3, 4]))
    assert [(twin.first, twin.second) for twin in chosen.pairs] == [(2, 3)] and chosen.compared == 3


def test_blank_pictures_are_the_same_only_where_they_are_equal(
    make_store: Callable[..., StoreReader], blank: Callable[[str], bytes]
) -> None:
    store = make_store(
        [(f"{place}.png", blank(one), ["图"]) for place, one in enumerate(["#fff", "#fff", "#fefefe"])]
    )
    found = find_twins(store, unit(np.eye(3) + 1))
    assert [(twin.first, twin.second, twin.kind) for twin in found.pairs] == [(0, 1, "same bytes")]


def test_of_a_large_group_only_the_pairs_with_the_first_are_told(
    make_store: Callable[..., StoreReader], photo: Callable[..., bytes]
) -> None:
    count = MOST_ALIKE + 1
    store = make_store([(f"{place:03}.png", photo(1), ["图"]) for place in range(count)])
    found = find_twins(store, unit(np.ones((count, 4))))
    assert {(twin.first, twin.second) for twin in found.pairs} == {(0, other) for other in range(1, count)}
    assert found.crowded == 1


def test_one_picture_has_no_twin(make_store: Callable[..., StoreReader], photo: Callable[..., bytes]) -> None:
    found = find_twins(make_store([("1.png", photo(1), ["图"])]), unit(np.ones((1, 4))))
    assert found.pairs == () and found.decoded == 0
