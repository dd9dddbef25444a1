"""Score corrections for retrieval: dual softmax, CSLS and QB-norm, measured beside the plain ranks.

Each takes from an item what it owes to being near to everything, and ranks the gallery of a query anew:

- dual_softmax: s * softmax over the queries of (temperature * s), for each item (Cheng et al., Improving
  Video-Text Retrieval by Multi-Stream Corpus Alignment and Dual Softmax Loss, 2021);
- csls: 2 s - r(item), r the mean similarity of the item to its k nearest queries (Conneau et al., Word
  Translation Without Parallel Data, ICLR 2018, 2.3); the query's own term is the same for all its items;
- qb_norm: softmax over a bank of training queries of (beta * s), for the test queries whose nearest item is
  among the k nearest of a bank query, else s (Bogolin et al., Cross Modal Retrieval with Querybank
  Normalisation, CVPR 2022, dynamic inverted softmax).

Over the test queries, dual_softmax and csls see all of them at once: no search engine can, and published
numbers did not. Over a bank of training queries every one of the three is fair; see corrections_words.

Similarities are exact (see `rows`), every sum is taken in the order of the rows, and what follows is done
item by item in float64: so ranks do not depend on the size of the blocks, threads or the BLAS. Ties count
against the model, as in `retrieval`. Memory holds blocks, never the matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from cnclip.errors import RecipeError, SourceError, UnknownNameError
from cnclip.evaluation.corrections_ranks import Correct, corrected_ranks
from cnclip.evaluation.corrections_sums import log_sums, nearest_means
from cnclip.evaluation.retrieval import checked_pairs, top_items
from cnclip.evaluation.retrieval_result import DirectionResult, RetrievalResult, direction_result
from cnclip.evaluation.rows import Indices, Rows, Scores, check_rows

Correction = Literal["dual_softmax", "csls", "qb_norm"]
CORRECTIONS: tuple[Correction, ...] = get_args(Correction)
_GREATEST_TEMPERATURE = 300.0  # exp(2 * 300) and a million times as much are still float64 numbers


@dataclass(frozen=True)
class CorrectionSettings:
    """What the corrections are made with.

    Attributes:
        temperature: what dual_softmax multiplies similarities by: the model's exp(logit_scale).
        neighbours: csls's k; the paper's 10.
        beta: what qb_norm multiplies similarities by; the paper's 20.
        retrieved: qb_norm's k, the items of each bank query that count as retrieved; the paper's 1.
        over: whose queries dual_softmax and csls take their sums and means over; qb_norm's are the bank's.
        bank_rows: queries of a larger bank are drawn without replacement down to so many.
        seed: of that draw.
        block_rows: side of the blocks of the similarity matrix; memory only, never the result.
    """

    temperature: float = 100.0
    neighbours: int = 10
    beta: float = 20.0
    retrieved: int = 1
    over: Literal["test", "bank"] = "test"
    bank_rows: int = 50_000
    seed: int = 0
    block_rows: int = 1024

    def __post_init__(self) -> None:
        for name, value in (("temperature", self.temperature), ("beta", self.beta)):
            if not 0 < value <= _GREATEST_TEMPERATURE:
                raise RecipeError(
                    f"{name} of a correction is {value}", fix=f"above 0, up to {_GREATEST_TEMPERATURE:g}"
                )
        if min(self.neighbours, self.retrieved, self.bank_rows, self.block_rows) < 1:
            raise RecipeError("neighbours, retrieved, bank_rows and block_rows are at least 1")


@dataclass(frozen=True)
class Bank:
    """Queries of the training split: unit rows.

    Attributes:
        images: float32 [n, D] pictures, the queries of image -> text.
        texts: float32 [m, D] captions, the queries of text -> image.
    """

    images: Rows
    texts: Rows

    def sampled(self, rows: int, seed: int) -> Bank:
        """At most `rows` of each, in their order; the same for the same seed."""
        return Bank(_drawn(self.images, rows, seed), _drawn(self.texts, rows, seed))


@dataclass(frozen=True)
class CorrectedRetrieval:
    """Ranks by corrected scores, and what was used for them.

    Attributes:
        result: as recall_at_k gives it; its `scores` are the corrected ones, on the correction's own scale.
        changed: direction -> queries whose items were ranked by another score than s, percent; below 100
            for qb_norm alone.
        bank: direction -> bank queries that were used; 0 where the test queries were.
    """

    result: RetrievalResult
    changed: dict[str, float]
    bank: dict[str, int]


def is_transductive(name: Correction, settings: CorrectionSettings) -> bool:
    """Whether a correction looks at all test queries at once."""
    return name != "qb_norm" and settings.over == "test"


def corrected_recall(
    name: Correction,
    image_rows: Rows,
    text_rows: Rows,
    positives: Indices,
    ks: Sequence[int] = (1, 5, 10),
    settings: CorrectionSettings | None = None,
    *,
    bank: Bank | None = None,
) -> RetrievalResult:
    """Rank every image for every text and every text for every image by corrected scores.

    Args:
        name: of the correction.
        image_rows: float32 [n_image, D], unit length.
        text_rows: float32 [n_text, D], unit length.
        positives: int64 [pairs, 2] of (image index, text index).
        ks: the Ks, each >= 1.
        settings: None takes the defaults.
        bank: training queries; qb_norm needs them, and so does settings.over == "bank".

    Raises:
        UnknownNameError: no such correction.
        RecipeError: no bank where one is needed.
        SourceError: rows of the bank that do not fit; and see retrieval.recall_at_k.
    """
    return corrected_retrieval(name, image_rows, text_rows, positives, ks, settings, bank=bank).result


def corrected_retrieval(
    name: Correction,
    image_rows: Rows,
    text_rows: Rows,
    positives: Indices,
    ks: Sequence[int] = (1, 5, 10),
    settings: CorrectionSettings | None = None,
    *,
    bank: Bank | None = None,
) -> CorrectedRetrieval:
    """The same, with what was used for it; see corrected_recall."""
    settings = settings or CorrectionSettings()
    if name not in CORRECTIONS:
        raise UnknownNameError(f"no correction {name!r}", fix=f"one of: {', '.join(CORRECTIONS)}")
    pairs = checked_pairs(image_rows, text_rows, positives)
    seen, used = Bank(image_rows, text_rows), {"t2i": 0, "i2t": 0}
    if not is_transductive(name, settings):
        seen = _usable(bank, image_rows.shape[1], name).sampled(settings.bank_rows, settings.seed)
        used = {"t2i": len(seen.texts), "i2t": len(seen.images)}
    changed: dict[str, float] = {}

    def ranked(way: str, queries: Rows, gallery: Rows, asked: Rows, places: Indices) -> DirectionResult:
        correct, changed[way] = _correction(name, settings, queries, gallery, asked)
        scores, above = corrected_ranks(queries, gallery, places, correct, block_rows=settings.block_rows)
        return direction_result(places[:, 0], scores, above, (len(queries), len(gallery)), ks)

    result = RetrievalResult(
        t2i=ranked("t2i", text_rows, image_rows, seen.texts, pairs[:, ::-1]),
        i2t=ranked("i2t", image_rows, text_rows, seen.images, pairs),
    )
    return CorrectedRetrieval(result, changed, used)


def _correction(
    name: Correction, settings: CorrectionSettings, queries: Rows, gallery: Rows, asked: Rows
) -> tuple[Correct, float]:
    """The corrected score of one direction, and the queries whose scores it changes, percent.

    Args:
        name: of the correction.
        settings: its numbers.
        queries: float32 [Q, D] that are ranked for.
        gallery: float32 [G, D].
        asked: float32 [N, D] the queries that sums and means are taken over.
    """
    side = settings.block_rows
    if name == "csls":
        near = nearest_means(asked, gallery, settings.neighbours, block_rows=side)
        return lambda similarity, query, item: 2 * similarity - near[item], 100.0
    if name == "dual_softmax":
        scale = settings.temperature
        sums = log_sums(asked, gallery, scale, block_rows=side)
        return lambda similarity, query, item: similarity * np.exp(scale * similarity - sums[item]), 100.0
    sums = log_sums(asked, gallery, settings.beta, block_rows=side)
    retrieved = np.unique(top_items(asked, gallery, settings.retrieved, block_rows=side)[0])
    active = np.isin(top_items(queries, gallery, 1, block_rows=side)[0][:, 0], retrieved)

    def normalised(similarity: Scores, query: Indices, item: Indices) -> Scores:
        return np.where(active[query], settings.beta * similarity - sums[item], similarity)

    return normalised, float(100 * active.mean())


def _usable(bank: Bank | None, width: int, name: str) -> Bank:
    """The bank, checked.

    Raises:
        RecipeError: there is none.
        SourceError: it is empty, not of unit rows or of another width.
    """
    if bank is None:
        raise RecipeError(
            f"{name} needs a bank of training queries",
            fix="--bank TRAIN_STORE, a store of the training split",
        )
    for rows, kind in ((bank.images, "image"), (bank.texts, "text")):
        check_rows(rows, kind)
        if not len(rows):
            raise SourceError(f"the bank has no {kind} rows", fix="take a store of the training split")
        if rows.shape[1] != width:
            raise SourceError(f"{kind} rows of the bank have {rows.shape[1]} columns, the others {width}")
    return bank


def _drawn(rows: Rows, count: int, seed: int) -> Rows:
    if len(rows) <= count:
        return rows
    drawn: Rows = rows[np.sort(np.random.default_rng(seed).choice(len(rows), count, replace=False))]
    return drawn
