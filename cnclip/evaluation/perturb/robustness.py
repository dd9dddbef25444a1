"""Recall that is lost when captions are written differently, kind by kind.

Text to image only: the caption is what a user types, and the pictures stay what they are. Each kind is
measured on the captions that it changes, before and after, whatever those are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cnclip.errors import SourceError
from cnclip.evaluation.perturb.kinds import KINDS, change_caption, why_skipped
from cnclip.evaluation.retrieval import recall_at_k
from cnclip.evaluation.rows import Indices, Rows
from cnclip.evaluation.statistics import FEWEST, SAMPLES, Interval, intervals, mcnemar
from cnclip.text.wordpiece import encode_ids

KS = (1, 5, 10)
EXAMPLES = 5

Verdict = Literal["worse", "better", "unsure", "too few"]
Embed = Callable[[Sequence[str]], Rows]


@dataclass(frozen=True)
class Changed:
    """What one kind does to a store's captions.

    Attributes:
        texts: int64 [N], the captions that it changes.
        captions: N, as they read then.
    """

    texts: Indices
    captions: list[str]


@dataclass(frozen=True)
class Example:
    """A caption before and after, and the rank of its picture for either; 1 is best."""

    before: str
    after: str
    rank_before: int
    rank_after: int


@dataclass(frozen=True)
class KindResult:
    """One kind, measured on the captions that it changes.

    Attributes:
        captions: how many it changes; 0 where it was skipped.
        pictures: how many they belong to.
        same_tokens: how many of them the tokenizer gives the same ids.
        before, after: r1, r5, r10, mean_recall in percent.
        change: the same names -> after minus before, percentage points, with its interval.
        mcnemar_p: of the hits at rank 1 before and after.
        chance: mean recall of a random order, percent.
        similarity: mean cosine of the caption's embedding before and after.
        examples: those whose picture lost most places first, no two alike.
        skipped: why the kind was not measured.
    """

    captions: int
    pictures: int = 0
    same_tokens: int = 0
    before: Mapping[str, float] | None = None
    after: Mapping[str, float] | None = None
    change: Mapping[str, Interval] | None = None
    mcnemar_p: float = 1.0
    chance: float = 0.0
    similarity: float = 1.0
    examples: Sequence[Example] = ()
    skipped: str | None = None

    @property
    def verdict(self) -> Verdict:
        """Whether mean recall changed, by its interval; of too few pictures nothing is said."""
        if self.change is None or self.pictures < FEWEST:
            return "too few"
        mean = self.change["mean_recall"]
        return "worse" if round(mean.high, 1) < 0 else "better" if round(mean.low, 1) > 0 else "unsure"


@dataclass(frozen=True)
class Measured:
    """The store's side of the measurement.

    Attributes:
        captions: as they are.
        image_rows, text_rows: float32 [n, D] unit rows of its pictures and captions.
        positives: int64 [P, 2] of (image index, caption index).
    """

    captions: Sequence[str]
    image_rows: Rows
    text_rows: Rows
    positives: Indices


def change_captions(
    captions: Sequence[str], texts: Indices, names: Sequence[str], *, seed: int, limit: int = 0
) -> dict[str, Changed]:
    """Every kind on every caption that has a picture.

    Args:
        captions: of a store.
        texts: int64, the captions to change, ascending.
        names: of KINDS; those that cannot be done here are left out.
        seed: of what is drawn.
        limit: most captions of a kind, drawn by the seed; 0 takes all.
    """
    changed: dict[str, Changed] = {}
    for name in names:
        kind = KINDS[name]
        if why_skipped(kind):
            continue
        order = np.random.default_rng([seed, len(texts)]).permutation(texts) if limit else texts
        found: dict[int, str] = {}
        for text in order.tolist():
            new = change_caption(kind, name, captions[text], seed)
            if new is not None:
                found[text] = new
                if len(found) == limit:
                    break
        chosen = sorted(found)
        changed[name] = Changed(np.array(chosen, dtype=np.int64), [found[text] for text in chosen])
    return changed


def measure_robustness(
    store: Measured,
    names: Sequence[str],
    embed: Embed,
    *,
    seed: int = 0,
    limit: int = 0,
    samples: int = SAMPLES,
) -> dict[str, KindResult]:
    """Recall of the captions of each kind before and after.

    Args:
        store: pictures, captions, embeddings.
        names: of KINDS.
        embed: captions -> float32 [N, D] unit rows; called once.
        seed: of the changes and of the bootstrap.
        limit: most captions of a kind; 0 takes all.
        samples: of the bootstrap.

    Raises:
        SourceError: no caption has a picture.
    """
    if not len(store.positives):
        raise SourceError("no caption has a picture, so there is nothing to measure")
    texts = np.unique(store.positives[:, 1])
    changed = change_captions(store.captions, texts, names, seed=seed, limit=limit)
    new = [caption for one in changed.values() for caption in one.captions]
    rows = embed(new) if new else store.text_rows[:0]
    ranks = recall_at_k(store.image_rows, store.text_rows, store.positives, KS).t2i.ranks
    results, start = {}, 0
    for name in names:
        if name not in changed:
            results[name] = KindResult(0, skipped=why_skipped(KINDS[name]))
            continue
        end = start + len(changed[name].captions)
        results[name] = _kind_result(store, changed[name], rows[start:end], ranks, (seed, samples))
        start = end
    return results


def _kind_result(
    store: Measured, changed: Changed, rows: Rows, ranks: Indices, draws: tuple[int, int]
) -> KindResult:
    """Numbers of one kind; `rows` are those of the changed captions, `ranks` those of all captions before."""
    texts = changed.texts
    if not len(texts):
        return KindResult(0)
    place = np.full(len(store.captions), -1)
    place[texts] = np.arange(len(texts))
    mine = store.positives[place[store.positives[:, 1]] >= 0]
    pairs = np.stack([mine[:, 0], place[mine[:, 1]]], axis=1)
    found_after = recall_at_k(store.image_rows, rows, pairs, KS).t2i
    after = found_after.ranks
    before = ranks[texts]
    first = np.full(len(texts), len(store.image_rows))
    np.minimum.at(first, pairs[:, 1], pairs[:, 0])
    hits = [100.0 * np.stack([found <= k for k in KS], axis=1) for found in (before, after)]
    columns = [np.column_stack([hit, hit.mean(axis=1)]) for hit in hits]  # [N, 4]: R@1, R@5, R@10, their mean
    spans = intervals(columns[1] - columns[0], groups=first, seed=draws[0], samples=draws[1])
    keys = [*(f"r{k}" for k in KS), "mean_recall"]
    old = [store.captions[text] for text in texts.tolist()]
    lost, won = int(((before == 1) & (after > 1)).sum()), int(((before > 1) & (after == 1)).sum())
    return KindResult(
        captions=len(texts),
        pictures=len(np.unique(first)),
        same_tokens=sum(one == two for one, two in zip(_ids(old), _ids(changed.captions), strict=True)),
        before=dict(zip(keys, columns[0].mean(axis=0).tolist(), strict=True)),
        after=dict(zip(keys, columns[1].mean(axis=0).tolist(), strict=True)),
        change=dict(zip(keys, spans, strict=True)),
        mcnemar_p=mcnemar(lost, won),
        chance=found_after.chance_mean_recall,
        similarity=float(np.einsum("nd,nd->n", store.text_rows[texts], rows, dtype=np.float64).mean()),
        examples=_examples(old, changed.captions, before, after),
    )


def _ids(captions: Sequence[str]) -> list[list[int]]:
    return encode_ids(captions)


def _examples(old: Sequence[str], new: Sequence[str], before: Indices, after: Indices) -> list[Example]:
    """Captions by the places lost, no caption twice."""
    order = np.argsort(before - after, kind="stable").tolist()
    shown: dict[str, Example] = {}
    for place in order:
        example = Example(old[place], new[place], int(before[place]), int(after[place]))
        shown.setdefault(example.before, example)
        if len(shown) == EXAMPLES:
            break
    return list(shown.values())
