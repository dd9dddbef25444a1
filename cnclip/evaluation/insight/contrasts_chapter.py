"""The chapter of wins and losses: one model's best and hardest queries, or what models do differently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cnclip.evaluation.chapters.blocks import Block, Cell, Chapter, Grid, Paragraph, Pictures, Words
from cnclip.evaluation.examples import Extreme, Gallery, QueryResult, extreme_texts, found_pictures
from cnclip.evaluation.insight.contrasts import Contrast, find_contrast
from cnclip.evaluation.insight.evidence import Evidence
from cnclip.evaluation.insight.neighbours import FEWEST
from cnclip.evaluation.rows import Indices

MOST_PICTURES = 60
MOST_OTHERS = 3  # models that the first is compared with
_TOP_OF_ONE, _QUERIES_OF_ONE = 4, 6
_TOP = 3  # pictures of each model, beside the correct one

_INTRO = Words(
    "看图比看数字更快地说明模型会什么、不会什么。绿框、✓ 是标注的正确图片；前几名里没有它时，它排在最后，"
    "并写明名次。先看错的是不是真错：查询太笼统、测试集漏标，也会落到“难”的一栏。",
    "Pictures tell faster than numbers what a model can do. A green frame and ✓ mark the picture that is"
    " labelled as correct; where it is not among the first, it stands last, under its rank. See first whether"
    " a mistake is one: vague captions and missing labels end up among the hard ones, too.",
)


def contrasts_chapter(measured: Mapping[str, Evidence]) -> Chapter | None:
    """Galleries of one model, or of the first of several beside each other one; None without a model.

    Args:
        measured: the models' names -> their evidence, all on one store.
    """
    if not measured:
        return None
    blocks = _few(next(iter(measured.values())).result.t2i.queries)
    blocks += _extremes(*measured.values()) if len(measured) == 1 else _comparisons(measured)
    return Chapter("contrasts", Words("赢在哪里，输在哪里", "Wins and losses"), blocks, _INTRO)


def _few(queries: int) -> list[Block]:
    if queries >= FEWEST:
        return []
    return [
        Paragraph(
            Words(
                f"只有 {queries} 个有标注的查询，下面的图只是例子，说明不了模型的好坏。",
                f"Only {queries} labelled queries: what follows are examples, and no verdict on a model.",
            )
        )
    ]


def _extremes(evidence: Evidence) -> list[Block]:
    """The hardest queries, then the best ones."""
    shown: list[tuple[Extreme, Words, Words]] = [
        (
            "worst",
            Words("最难的查询", "The hardest queries"),
            Words(
                "正确图片名次最靠后的文本；同名次的，正确图片分数低的在前。",
                "Captions whose correct picture has the largest rank, and of equal ones the lowest score.",
            ),
        ),
        (
            "best",
            Words("最好的查询", "The best queries"),
            Words(
                "正确图片名次最靠前的文本；同名次的，正确图片分数高的在前。",
                "Captions whose correct picture has the smallest rank, and of equal ones the highest score.",
            ),
        ),
    ]
    blocks: list[Block] = []
    for which, title, note in shown:
        texts = extreme_texts(evidence.result.t2i, evidence.store, which, _QUERIES_OF_ONE)
        answers = _answers(evidence, texts, _TOP_OF_ONE)
        ranks = evidence.result.t2i.ranks[texts].tolist()
        headings: list[Cell] = [
            Words(f"{answer.query}（第 {rank} 名）", f"{answer.query} (rank {rank})")
            for answer, rank in zip(answers, ranks, strict=True)
        ]
        blocks.append(Pictures(title, {"": answers}, note, headings))
    return blocks


def _comparisons(measured: Mapping[str, Evidence]) -> list[Block]:
    """The first model beside each other one."""
    (label, first), *others = measured.items()
    shown = others[:MOST_OTHERS]
    count = max(1, MOST_PICTURES // (2 * len(shown) * 2 * (_TOP + 1)))
    contrasts = {
        other: find_contrast(first.result.t2i, evidence.result.t2i, first.store, count=count)
        for other, evidence in shown
    }
    blocks: list[Block] = [_counts(label, contrasts)]
    if len(others) > len(shown):
        blocks.append(
            Paragraph(
                Words(
                    f"图只给第一个模型与其后 {len(shown)} 个模型的对比。",
                    f"Pictures are shown of the first model beside the {len(shown)} that follow it.",
                )
            )
        )
    for other, evidence in shown:
        pair = {label: first, other: evidence}
        contrast = contrasts[other]
        blocks += _side_by_side(pair, contrast.first_wins, label, other)
        blocks += _side_by_side(pair, contrast.second_wins, other, label)
    return blocks


def _counts(label: str, contrasts: Mapping[str, Contrast]) -> Grid:
    rows: list[Sequence[Cell]] = [
        [
            f"{label} / {other}",
            str(found.both),
            str(found.only_first),
            str(found.only_second),
            str(found.neither),
        ]
        for other, found in contrasts.items()
    ]
    return Grid(
        Words("谁答对了（文搜图 R@1）", "Who was right (text → image, R@1)"),
        [
            Words("前者 / 后者", "First / second"),
            Words("都对", "Both"),
            Words("只有前者对", "Only the first"),
            Words("只有后者对", "Only the second"),
            Words("都错", "Neither"),
        ],
        rows,
        Words(
            "两个模型各有所长时，“只有一方对”的两栏都大：合起来用，或看各自擅长哪类查询。",
            "Where both columns of “only one” are large, the models know different things: use them together,"
            " or look at which queries each is good at.",
        ),
    )


def _side_by_side(pair: Mapping[str, Evidence], texts: Indices, winner: str, loser: str) -> list[Block]:
    """Captions that one model gets right and the other does not, with what both found."""
    title = Words(f"{winner} 对，{loser} 错", f"Right for {winner}, wrong for {loser}")
    if not len(texts):
        return [Paragraph(Words(f"{title.zh}：没有这样的查询。", f"{title.en}: no such query."))]
    answers = {label: _answers(evidence, texts, _TOP) for label, evidence in pair.items()}
    ranks = pair[loser].result.t2i.ranks[texts].tolist()
    headings: list[Cell] = [
        Words(f"{answer.query}（{loser} 排第 {rank}）", f"{answer.query} ({loser}: rank {rank})")
        for answer, rank in zip(answers[winner], ranks, strict=True)
    ]
    note = Words(
        f"按 {loser} 差的名次从多到少。",
        f"Those first that {loser} misses by most places.",
    )
    return [Pictures(title, answers, note, headings)]


def _answers(evidence: Evidence, texts: Indices, top: int) -> list[QueryResult]:
    gallery = Gallery(evidence.store, evidence.images.rows)
    return found_pictures(texts, evidence.result.t2i, gallery, evidence.texts.rows, top=top)
