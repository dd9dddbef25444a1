"""Pictures that a model finds alike: the best of each neighbourhood stays, exactly, in blocks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from cnclip.stores.derived import DerivedSource, duplicates, find_repeats, group_lines, sketch_stores
from cnclip.stores.doctor import Tools
from cnclip.stores.reader import StoreReader


class Angles:
    """Pictures as angles in degrees: alike where they differ by at most `reach`."""

    def __init__(self, angles: list[float], reach: float) -> None:
        self.angles, self.reach = np.array(angles), reach

    def alike(self, first, second):  # type: ignore[no-untyped-def]
        return np.abs(self.angles[first][:, None] - self.angles[second][None, :]) <= self.reach

    def similarity(self, first: int, second: int) -> float:
        return float(np.cos(np.radians(self.angles[first] - self.angles[second])))


def by_hand(angles: list[float], ranks: list[int], reach: float) -> list[int]:
    """One after the other, the best first: each follows the best of those that stay."""
    staying: list[int] = []
    leaders = list(range(len(angles)))
    for place in sorted(range(len(angles)), key=lambda place: ranks[place]):
        like = [other for other in staying if abs(angles[other] - angles[place]) <= reach]
        if like:
            leaders[place] = like[0]
        else:
            staying.append(place)
    return leaders


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("block", "strip"), [(1, 1), (3, 2), (7, 5), (1024, 16_384)])
def test_blocks_give_what_one_after_the_other_gives(
    seed: int, block: int, strip: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "_BLOCK", block)
    monkeypatch.setattr(duplicates, "_STRIP", strip)
    rng = np.random.default_rng(seed)
    angles = rng.uniform(0, 60, 40).round(1).tolist()
    ranks = rng.permutation(40)
    found = duplicates._like_leaders(np.arange(40), ranks, Angles(angles, 2.0))
    assert found.tolist() == by_hand(angles, ranks.tolist(), 2.0)


def test_the_largest_stays_and_a_chain_is_not_followed(
    make_store: Callable[..., StoreReader], photo: Callable[..., bytes], tools: Tools
) -> None:
    sizes = [(96, 72), (48, 36), (120, 90), (96, 72)]  # 2 is the largest, then 0 and 3
    images = {f"图{number}": photo(number, size=size) for number, size in enumerate(sizes)}
    images["图4"] = images["图0"]
    texts = [(f"文{number}", f"第{number}张", [f"图{number}"]) for number in range(5)]
    reader = make_store("链", images, texts)
    pictures = sketch_stores([reader], tools)
    likeness = Angles([0, 3, 4, 8.5, 0], 5)  # 2 is like 0, 1 and 3; 0 is not like 3
    repeats = find_repeats(reader, pictures, near=0, likeness=likeness)
    assert repeats.choice.stand_ins.tolist() == [2, 2, 2, 2, 2]
    (line,) = group_lines(reader, pictures, repeats, likeness)
    assert line["kept"] == "图2"
    assert line["removed"][1] == {"image_id": "图1", "why": "similar", "similarity": 0.9998}
    far = find_repeats(reader, pictures, near=0, likeness=Angles([0, 3, 90, 8.5, 0], 6))
    assert far.choice.stand_ins.tolist() == [0, 0, 2, 3, 0]
    (line,) = group_lines(reader, pictures, far, Angles([0, 3, 90, 8.5, 0], 6))
    assert [removed["why"] for removed in line["removed"]] == ["similar", "same bytes"]
    source = DerivedSource([reader], far.choice, {})
    assert [text.image_ids for text in source.texts(lambda row: None)] == [
        ("图0",), ("图0",), ("图2",), ("图3",), ("图0",)
    ]  # fmt: skip


def test_blank_pictures_are_like_nothing(make_store: Callable[..., StoreReader], tools: Tools) -> None:
    import io

    from PIL import Image

    images = {}
    for number, size in enumerate([(20, 20), (30, 30)]):
        buffer = io.BytesIO()
        Image.new("RGB", size, "white").save(buffer, "PNG")
        images[f"白{number}"] = buffer.getvalue()
    reader = make_store("白", images, [("甲", "白色", ["白0", "白1"])])
    repeats = find_repeats(reader, sketch_stores([reader], tools), near=0, likeness=Angles([0, 0], 1))
    assert len(repeats.removed) == 0
