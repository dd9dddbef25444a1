"""A store in parts by shares of its pictures, so that no picture of one part gives another part away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from cnclip.errors import RecipeError, SourceError
from cnclip.stores.derived.components import picture_components
from cnclip.stores.derived.rows import NONE, Choice, Places
from cnclip.stores.doctor.pictures import Rows
from cnclip.stores.reader import StoreReader


@dataclass(frozen=True)
class Parted:
    """The parts of a store.

    Attributes:
        choices: one for each share; every picture and every caption is in exactly one.
        groups: sets of pictures that had to stay together, single ones included.
        largest: pictures of the largest.
        crowded: comparisons of near pictures that were left out, see near_pairs.
    """

    choices: list[Choice]
    groups: int
    largest: int
    crowded: int


def split_rows(
    reader: StoreReader, pictures: Rows, shares: Sequence[float], *, seed: int, near: int
) -> Parted:
    """Deal a store's pictures out, groups of equal, near and linked ones as a whole.

    A function of the store's content, the shares, the seed and `near` alone. The counts are those of the
    shares wherever the groups allow it. A caption goes where its pictures go, one without pictures by chance.

    Args:
        reader: of the store.
        pictures: its sketches, see sketch_stores.
        shares: of the parts; their sum is 1.
        seed: of the dealing.
        near: see picture_components.

    Raises:
        RecipeError: shares that are none.
        SourceError: a part would get no picture.
    """
    check_shares(shares)
    pair_images, pair_texts = reader.pair_images, reader.pair_texts
    labels, crowded = picture_components(pictures, pair_images, pair_texts, reader.text_count, near=near)
    roots, members, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    part_of_group = deal(roots, sizes, shares, seed)
    part_of_image = part_of_group[members]
    part_of_text = np.full(reader.text_count, NONE)
    part_of_text[pair_texts] = part_of_image[pair_images]
    edges = np.cumsum(shares)
    for index in np.flatnonzero(part_of_text == NONE).tolist():
        drawn = int(np.searchsorted(edges, _draws(seed, f"caption {index}")[0], side="right"))
        part_of_text[index] = min(drawn, len(shares) - 1)
    everyone = np.arange(reader.image_count)
    choices = []
    for part in range(len(shares)):
        if not (part_of_image == part).any():
            raise SourceError(
                f"part {part + 1} of {len(shares)} gets no picture: {reader.image_count} pictures stay"
                f" together in {len(roots)} groups, the largest has {sizes.max()}",
                where=str(reader.path),
                fix="give it a larger share, or part fewer near pictures with a smaller --near",
            )
        choices.append(Choice(np.where(part_of_image == part, everyone, NONE), part_of_text == part))
    return Parted(choices, len(roots), int(sizes.max()), crowded)


def check_shares(shares: Sequence[float]) -> None:
    """Refuse shares that are not positive or do not add up to 1.

    Raises:
        RecipeError: they are not.
    """
    if len(shares) < 2 or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        told = ",".join(f"{share:g}" for share in shares)
        raise RecipeError(
            f"shares {told}: there must be two or more, above 0, and their sum 1 (it is {sum(shares):g})",
            fix="--shares 0.9,0.05,0.05",
        )


def deal(roots: Places, sizes: Places, shares: Sequence[float], seed: int) -> Places:
    """int64 [groups]: the part of each group.

    Large groups first, each by chance among the parts that have room for it, with what they still lack as
    weights; one that fits nowhere goes where most is lacking. Single pictures then fill all parts up.

    Args:
        roots: int64 [groups]: the number by which a group is drawn.
        sizes: int64 [groups]: its pictures.
        shares: of the parts.
        seed: of the draws.
    """
    lacking = _targets(int(sizes.sum()), shares)
    draws = [_draws(seed, str(root)) for root in roots.tolist()]
    counts = sizes.tolist()
    parts = np.empty(len(roots), dtype=np.int64)
    for group in sorted(range(len(counts)), key=lambda place: (-counts[place], draws[place][0])):
        weights = [room if room >= counts[group] else 0 for room in lacking]
        wanted = draws[group][1] * sum(weights)
        part = lacking.index(max(lacking))
        for place, weight in enumerate(weights):
            if wanted < weight:
                part = place
                break
            wanted -= weight
        lacking[part] -= counts[group]
        parts[group] = part
    return parts


def _targets(count: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers with the sum `count`, nearest to the shares (largest remainders)."""
    exact = [count * share for share in shares]
    targets = [int(value) for value in exact]
    by_rest = sorted(range(len(shares)), key=lambda place: (targets[place] - exact[place], place))
    for place in by_rest[: count - sum(targets)]:
        targets[place] += 1
    return targets


def _draws(seed: int, name: str) -> tuple[float, float]:
    """Two numbers from 0 to 1 that a seed gives a name, on every machine the same."""
    digest = blake2b(f"{seed} {name}".encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8], "big") / 2**64, int.from_bytes(digest[8:], "big") / 2**64
