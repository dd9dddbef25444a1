"""Parts of a store: nothing lost, nothing in two parts, the same every time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cnclip.errors import RecipeError, SourceError
from cnclip.stores.derived import DerivedSource, sketch_stores, split_rows
from cnclip.stores.derived.components import connected
from cnclip.stores.derived.split import deal
from cnclip.stores.doctor import CheckupOptions, Tools, check_stores
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import build_store

Rows = Callable[[StoreReader], tuple[dict[str, bytes], dict[str, tuple[str, tuple[str, ...]]]]]
Parts = Callable[..., list[StoreReader]]


@pytest.fixture
def parts(tmp_path: Path, tools: Tools, open_reader: Callable[[Path], StoreReader]) -> Parts:
    def make(reader: StoreReader, shares: list[float], *, seed: int = 1, near: int = 6) -> list[StoreReader]:
        parted = split_rows(reader, sketch_stores([reader], tools), shares, seed=seed, near=near)
        made = []
        for number, choice in enumerate(parted.choices):
            path = tmp_path / f"份-{seed}-{near}-{number}"
            build_store(DerivedSource([reader], choice, {"kind": "split"}), path)
            made.append(open_reader(path))
        return made

    return make


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_doctor_finds_no_leak_between_parts(
    albums: StoreReader, parts: Parts, tools: Tools, seed: int
) -> None:
    made = parts(albums, [0.5, 0.3, 0.2], seed=seed)
    checkup = check_stores(made, tools, CheckupOptions(workers=1, near=6))
    assert [leak.near.in_second + leak.same.in_second for leak in checkup.leaks] == [0, 0, 0]


def test_every_row_is_in_exactly_one_part(albums: StoreReader, parts: Parts, rows_of: Rows) -> None:
    images, texts = rows_of(albums)
    made = [rows_of(part) for part in parts(albums, [0.5, 0.3, 0.2])]
    assert sum(len(part[0]) for part in made) == len(images)
    assert sum(len(part[1]) for part in made) == len(texts)
    assert {name: data for part in made for name, data in part[0].items()} == images
    assert {name: row for part in made for name, row in part[1].items()} == texts  # links are whole
    assert [len(part[0]) for part in made] == [15, 9, 6]


def test_the_seed_alone_decides(albums: StoreReader, tools: Tools) -> None:
    pictures = sketch_stores([albums], tools)
    one, again, other = (
        split_rows(albums, pictures, [0.5, 0.5], seed=seed, near=6).choices[0].stand_ins.tolist()
        for seed in (1, 1, 2)
    )
    assert one == again != other


def test_near_0_parts_what_is_only_near(albums: StoreReader, tools: Tools) -> None:
    pictures = sketch_stores([albums], tools)
    assert split_rows(albums, pictures, [0.5, 0.5], seed=1, near=0).groups == 30 - 4 - 3 - 1
    assert split_rows(albums, pictures, [0.5, 0.5], seed=1, near=6).groups == 30 - 4 - 3 - 3 - 1


def test_threads_change_nothing(albums: StoreReader, tools: Tools) -> None:
    seen: list[tuple[str, int, int]] = []
    alone = sketch_stores([albums], tools, progress=lambda *told: seen.append(told))
    assert (sketch_stores([albums], tools, workers=3) == alone).all()
    assert seen[-1] == ("pictures looked at", 30, 30)


def test_a_part_without_pictures_is_an_error(albums: StoreReader, tools: Tools) -> None:
    with pytest.raises(SourceError, match="part 2 of 2 gets no picture"):
        split_rows(albums, sketch_stores([albums], tools), [0.99, 0.01], seed=1, near=6)


@pytest.mark.parametrize("shares", [[1.0], [0.5, 0.6], [1.5, -0.5], [0.5, 0.5, 0.0]])
def test_shares_that_are_none_are_refused(albums: StoreReader, tools: Tools, shares: list[float]) -> None:
    with pytest.raises(RecipeError, match="their sum 1"):
        split_rows(albums, sketch_stores([albums], tools), shares, seed=1, near=6)


def test_counts_are_those_of_the_shares_when_single_pictures_fill_up() -> None:
    sizes = np.array([40, 30, *[1] * 930])
    parts = deal(np.arange(len(sizes)), sizes, [0.9, 0.05, 0.05], seed=5)
    assert [int(sizes[parts == part].sum()) for part in range(3)] == [900, 50, 50]


def test_large_groups_go_to_any_part_that_has_room() -> None:
    seen = {int(deal(np.arange(51), np.array([10, *[1] * 50]), [0.5, 0.5], seed)[0]) for seed in range(20)}
    assert seen == {0, 1}


def test_components_are_those_of_a_walk() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        first, second = rng.integers(0, 60, (2, 40))
        labels = connected(60, [first[:20], first[20:]], [second[:20], second[20:]])
        expected = list(range(60))
        for _ in range(60):
            for one, two in zip(first.tolist(), second.tolist(), strict=True):
                expected[one] = expected[two] = min(expected[one], expected[two])
        assert labels.tolist() == expected
