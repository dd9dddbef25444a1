"""Whether a model scores the true caption of a picture above one that is false of it by one detail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cnclip.errors import SourceError
from cnclip.evaluation.pair_ranks import exact_scores
from cnclip.evaluation.perturb.blind import Familiarity, blind_credit, brevity
from cnclip.evaluation.perturb.negatives import NEGATIVES, make_negative
from cnclip.evaluation.perturb.robustness import Embed, Measured, Verdict
from cnclip.evaluation.rows import GRID, Indices, Scores
from cnclip.evaluation.statistics import FEWEST, SAMPLES, Interval, intervals
from cnclip.text.wordpiece import encode_ids

CHANCE = 50.0
ALL = "all"
EXAMPLES = 6


@dataclass(frozen=True)
class Negative:
    """A picture, its caption and a false one."""

    image: int
    text: int
    caption: str
    false_caption: str


class Made(NamedTuple):
    """The negatives of one kind, and how many were given up; see ProbeResult."""

    negatives: list[Negative]
    doubtful: int
    unread: int


@dataclass(frozen=True)
class Judged:
    """A negative with the cosine similarities of the picture to both captions."""

    negative: Negative
    true_score: float
    false_score: float


@dataclass(frozen=True)
class ProbeResult:
    """One kind of negatives.

    Attributes:
        items: pairs of a picture and a caption that the kind applies to.
        pictures: how many pictures they are of.
        doubtful: negatives given up since another caption of the picture says the same.
        unread: negatives given up since the tokenizer gives both captions the same ids: the detail stands
            behind the 52nd token, or both characters are unknown. No model could tell them apart.
        accuracy: percent whose true caption scores higher; equal scores count against the model.
        ties: equal scores.
        margin: mean of the true minus the false cosine.
        brevity: percent that one gets by taking the shorter caption, half for equal lengths.
        familiarity: percent that one gets by taking the caption whose neighbouring characters the captions of
            other pictures have, half for equals.
        unfamiliar: items whose false caption is at least as familiar: no habit of language gives them away.
        unfamiliar_accuracy: of these.
        failures: items that the model gets wrong, worst first, no two of one picture.
    """

    items: int
    doubtful: int = 0
    unread: int = 0
    pictures: int = 0
    accuracy: Interval | None = None
    ties: int = 0
    margin: float = 0.0
    brevity: float = CHANCE
    familiarity: float = CHANCE
    unfamiliar: int = 0
    unfamiliar_accuracy: Interval | None = None
    failures: Sequence[Judged] = ()

    @property
    def verdict(self) -> Verdict:
        """Better or worse than chance, by the interval; of too few pictures nothing is said."""
        if self.accuracy is None or self.pictures < FEWEST:
            return "too few"
        return (
            "better" if self.accuracy.low > CHANCE else "worse" if self.accuracy.high < CHANCE else "unsure"
        )


def make_negatives(
    captions: Sequence[str], positives: Indices, names: Sequence[str], *, seed: int, limit: int = 0
) -> dict[str, Made]:
    """The negatives of each kind, and how many were given up.

    Args:
        captions: of a store.
        positives: int64 [P, 2] of (image index, caption index).
        names: of NEGATIVES.
        seed: of what is drawn.
        limit: most negatives of a kind, drawn by the seed; 0 takes all.
    """
    pairs = np.unique(positives, axis=0)
    siblings: dict[int, list[str]] = {}
    for image, text in pairs.tolist():
        siblings.setdefault(image, []).append(captions[text])
    if limit:
        pairs = pairs[np.random.default_rng([seed, len(pairs)]).permutation(len(pairs))]
    made = {}
    for name in names:
        found: list[Negative] = []
        doubtful = unread = 0
        for image, text in pairs.tolist():
            false, given_up = make_negative(name, captions[text], siblings[image], seed)
            doubtful += given_up
            if false is not None and _reads_alike(captions[text], false):
                unread += 1
            elif false is not None:
                found.append(Negative(image, text, captions[text], false))
                if len(found) == limit:
                    break
        made[name] = Made(sorted(found, key=lambda one: (one.image, one.text)), doubtful, unread)
    return made


def measure_composition(
    store: Measured,
    names: Sequence[str],
    embed: Embed,
    *,
    seed: int = 0,
    limit: int = 0,
    samples: int = SAMPLES,
) -> dict[str, ProbeResult]:
    """Accuracy of each kind, and under "all" of those together that test the picture.

    Args:
        store: pictures, captions, embeddings.
        names: of NEGATIVES.
        embed: captions -> float32 [N, D] unit rows; called once.
        seed: of the negatives and of the bootstrap.
        limit: most negatives of a kind; 0 takes all.
        samples: of the bootstrap.

    Raises:
        SourceError: no caption has a picture.
    """
    if not len(store.positives):
        raise SourceError("no caption has a picture, so there is nothing to measure")
    made = make_negatives(store.captions, store.positives, names, seed=seed, limit=limit)
    wanted = [one.false_caption for one_kind in made.values() for one in one_kind.negatives]
    rows = embed(wanted) if wanted else store.text_rows[:0]
    blind = Familiarity(store.captions, store.positives)
    results, judged, start = {}, dict[str, list[Judged]](), 0
    for name, (found, doubtful, unread) in made.items():
        end = start + len(found)
        pairs = np.array([[one.image, one.text] for one in found], dtype=np.int64).reshape(-1, 2)
        true = exact_scores(store.image_rows, store.text_rows, pairs)
        pairs[:, 1] = np.arange(len(found))
        false = exact_scores(store.image_rows, rows[start:end], pairs)
        judged[name] = [Judged(*one) for one in zip(found, true.tolist(), false.tolist(), strict=True)]
        results[name] = _probe_result(judged[name], (doubtful, unread), blind, (seed, samples))
        start = end
    together = [one for name in names if not NEGATIVES[name].fluency for one in judged[name]]
    kinds = [results[name] for name in names if not NEGATIVES[name].fluency]
    given_up = (sum(one.doubtful for one in kinds), sum(one.unread for one in kinds))
    return results | {ALL: _probe_result(together, given_up, blind, (seed, samples))}


def _probe_result(
    judged: Sequence[Judged], given_up: tuple[int, int], blind: Familiarity, draws: tuple[int, int]
) -> ProbeResult:
    """Numbers of one kind; scores come in grid units, `given_up` are the doubtful and the unread."""
    doubtful, unread = given_up
    if not judged:
        return ProbeResult(0, doubtful, unread)
    found = [one.negative for one in judged]
    true = np.array([one.true_score for one in judged])
    false = np.array([one.false_score for one in judged])
    images = np.array([one.image for one in found], dtype=np.int64)
    right = np.where(true > false, 100.0, 0.0)
    familiar = blind_credit(
        [blind.score(one.caption, one.image) for one in found],
        [blind.score(one.false_caption, one.image) for one in found],
    )
    short = blind_credit(
        [brevity(one.caption) for one in found], [brevity(one.false_caption) for one in found]
    )
    hard = familiar <= 0.5
    return ProbeResult(
        items=len(found),
        doubtful=doubtful,
        unread=unread,
        pictures=len(np.unique(images)),
        accuracy=_interval(right, images, draws),
        ties=int((true == false).sum()),
        margin=float((true - false).mean() / GRID**2),
        brevity=100 * float(short.mean()),
        familiarity=100 * float(familiar.mean()),
        unfamiliar=int(hard.sum()),
        unfamiliar_accuracy=_interval(right[hard], images[hard], draws) if hard.any() else None,
        failures=_failures(judged),
    )


def _reads_alike(caption: str, false: str) -> bool:
    one, other = encode_ids([caption, false])
    return one == other


def _interval(values: Scores, groups: Indices, draws: tuple[int, int]) -> Interval:
    return intervals(values[:, None], groups=groups, seed=draws[0], samples=draws[1])[0]


def _failures(judged: Sequence[Judged]) -> list[Judged]:
    """The wrong ones, by how much the false caption is ahead; similarities as cosines."""
    wrong = [one for one in judged if one.false_score >= one.true_score]
    shown: dict[int, Judged] = {}
    for one in sorted(wrong, key=lambda one: one.true_score - one.false_score):
        shown.setdefault(
            one.negative.image, Judged(one.negative, one.true_score / GRID**2, one.false_score / GRID**2)
        )
        if len(shown) == EXAMPLES:
            break
    return list(shown.values())
