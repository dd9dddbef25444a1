"""Mistakes of a test set itself: pairs of caption and picture that look correct, but are not labelled so.

Suspects, not facts. In the order of their strength:

same bytes, same pixels, near picture   the picture is the labelled one under another id (see twins)
same caption    a caption of the picture is the same but for marks, spaces and case
same words      a caption of the picture says the same telling words in the same order (see said)
words covered   the captions of the picture hold every telling word of the caption, and the model puts the
                pair before a labelled one; the more words, the stronger
mutual          picture and caption are each other's first, and the caption is as near to the picture's
                captions as these are to each other; the model alone says so

Looked at by eye: of 20 drawn from each kind that a weak model (R@1 of 9) found in 1000 photos of Flickr8k-CN,
19 of "same words", 18 of "words covered" and 6 of "mutual" were right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cnclip.evaluation.insight.evidence import Evidence
from cnclip.evaluation.insight.labels import best_items, labels_of
from cnclip.evaluation.insight.neighbours import Neighbours
from cnclip.evaluation.insight.said import read_said
from cnclip.evaluation.insight.suspect_findings import IN_RESULTS, ReasonCount, Suspect, SuspectFindings
from cnclip.evaluation.insight.suspect_pairs import (
    STRENGTHS,
    Candidates,
    Reason,
    SuspectPair,
    candidates,
    from_candidates,
    from_captions,
    from_twins,
)
from cnclip.evaluation.insight.suspect_recall import counted_recalls
from cnclip.evaluation.insight.twins import find_twins
from cnclip.evaluation.rows import Indices
from cnclip.evaluation.similarity import pair_scores

MOST_PICTURES = 50_000
MOST_SUSPECTS = 100_000


class _Scored(NamedTuple):
    """A pair, its similarity, and that of the caption's best correct picture."""

    pair: SuspectPair
    cosine: float
    labelled: int
    labelled_cosine: float


def find_suspects(
    evidence: Evidence, neighbours: Neighbours, *, most_pictures: int = MOST_PICTURES
) -> SuspectFindings:
    """Look for pairs that are correct but not labelled, and say what they cost.

    Args:
        evidence: one model on one store.
        neighbours: what its queries found.
        most_pictures: above so many a sample is looked at, with the captions of its pictures.

    Raises:
        ResourceError: jieba is not installed.
        StoreError: a picture's or a caption's record is damaged.
    """
    store, labels = evidence.store, labels_of(evidence)
    chosen = _chosen(evidence, most_pictures)
    twins = find_twins(store, evidence.images.rows, chosen)
    texts = _labelled_texts(evidence, chosen)
    asked = _within(candidates(neighbours, len(evidence.texts.rows)), texts)
    own = {text for image in np.unique(asked.images).tolist() for text in labels.texts_of(image)}
    said = read_said(store, sorted(own.union(texts.tolist())))
    same, too_general = from_captions({text: said[text] for text in texts.tolist()}, labels)
    pairs: dict[tuple[int, int], SuspectPair] = {}
    for found in (
        from_twins(twins.pairs, labels),
        same,
        from_candidates(asked, said, labels, evidence.texts.rows),
    ):
        for pair in found:
            kept = pairs.setdefault((pair.text, pair.image), pair)
            if pair.strength > kept.strength:
                pairs[pair.text, pair.image] = pair
    scored = _scored(evidence, list(pairs.values()))
    ends = np.array([(one.pair.image, one.pair.text) for one in scored], dtype=np.int64).reshape(-1, 2)
    return SuspectFindings(
        suspects=tuple(_described(evidence, one) for one in scored[:MOST_SUSPECTS]),
        twins=twins,
        recalls=counted_recalls(evidence, ends, [one.pair.reason for one in scored]),
        pictures=store.image_count,
        queries=evidence.result.t2i.queries,
        too_general=too_general,
        counts=_counts(scored),
        left_out=max(0, len(scored) - MOST_SUSPECTS),
        shown_twins=tuple(
            (store.image_id(twin.first), store.image_id(twin.second), twin.kind)
            for twin in twins.pairs[:IN_RESULTS]
        ),
    )


def _chosen(evidence: Evidence, most: int) -> Indices:
    """The pictures to look at, ascending: all, or a sample."""
    count = evidence.store.image_count
    if count <= most:
        return np.arange(count)
    rng = np.random.default_rng([evidence.draws.seed, count])
    return np.sort(rng.choice(count, most, replace=False))


def _labelled_texts(evidence: Evidence, chosen: Indices) -> Indices:
    """The captions of the pictures that are looked at, ascending."""
    return np.unique(evidence.positives[np.isin(evidence.positives[:, 0], chosen), 1])


def _within(pairs: Candidates, texts: Indices) -> Candidates:
    mine = np.isin(pairs.texts, texts)
    return Candidates(pairs.texts[mine], pairs.images[mine], pairs.mutual[mine])


def _scored(evidence: Evidence, pairs: list[SuspectPair]) -> list[_Scored]:
    """The pairs with their similarities, strongest first."""
    images, texts = evidence.images.rows, evidence.texts.rows
    ends = np.array([(pair.image, pair.text) for pair in pairs], dtype=np.int64).reshape(-1, 2)
    right = best_items(texts, images, evidence.positives[:, ::-1])[ends[:, 1]]
    suspected = pair_scores(images, texts, ends[:, 0], ends[:, 1]).tolist()
    scored = map(
        _Scored, pairs, suspected, right.tolist(), pair_scores(images, texts, right, ends[:, 1]).tolist()
    )
    return sorted(
        scored,
        key=lambda one: (
            -one.pair.strength,
            one.labelled_cosine - one.cosine,
            one.pair.text,
            one.pair.image,
        ),
    )


def _counts(scored: Sequence[_Scored]) -> dict[Reason, ReasonCount]:
    found: dict[Reason, ReasonCount] = {}
    for reason in STRENGTHS:
        mine = [one for one in scored if one.pair.reason == reason]
        before = sum(one.cosine >= one.labelled_cosine for one in mine)
        found[reason] = ReasonCount(len(mine), before, len({one.pair.text for one in mine}))
    return found


def _described(evidence: Evidence, one: _Scored) -> Suspect:
    """A pair with its ids and its caption."""
    image_ids, text_ids = evidence.images.ids, evidence.texts.ids
    pair = one.pair
    same_picture = pair.reason in ("same bytes", "same pixels", "near picture")
    return Suspect(
        text=pair.text,
        image=pair.image,
        text_id=text_ids[pair.text],
        image_id=image_ids[pair.image],
        caption=evidence.store.text(pair.text).caption,
        reason=pair.reason,
        strength=pair.strength,
        because=(image_ids if same_picture else text_ids)[pair.because],
        cosine=one.cosine,
        labelled=one.labelled,
        labelled_id=image_ids[one.labelled],
        labelled_cosine=one.labelled_cosine,
    )
