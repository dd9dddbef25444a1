"""The chapter on nearest wrong pictures: what is taken for what, with the pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cnclip.evaluation.chapters.blocks import Block, Cell, Chapter, Grid, Paragraph, Pictures, Words
from cnclip.evaluation.chapters.naming import MODEL
from cnclip.evaluation.examples import QueryResult, stored_picture
from cnclip.evaluation.insight.confusions import ConfusionFindings, Mistake, MixedUp
from cnclip.evaluation.insight.neighbours import FEWEST
from cnclip.evaluation.insight.replaced_words import LEAST_PICTURES, ReplacedWord
from cnclip.stores.reader import StoreReader

MOST_QUERIES = 16  # galleries' rows of two pictures, of all models together
_WORDS_SHOWN, _CAPTIONS_SHOWN = 15, 8

_INTRO = Words(
    "每条文本最近的错图：模型把什么当成了什么。",
    "The nearest wrong picture of each caption: what the model takes for what.",
)
_TODO = Words(
    "怎么用：换词表里成对的词是模型分不清的，给训练数据补这些词的难负例（同场景、只差这个词）；互相认错的图片"
    "若本来就一样，去“测试集里的疑点”一章看；分数远高于正确图片的错图，多半是图里的字、背景或姿势把模型带偏了。",
    "How to use it: the words of the table are those that the model does not tell apart; add hard negatives"
    " to the training data that differ in just these words. Pictures that are mistaken for each other may be"
    " the same: see the chapter on suspects. A wrong picture far before the right one often has text, a"
    " background or a pose that leads the model astray.",
)


def confusions_chapter(found: Mapping[str, ConfusionFindings], store: StoreReader) -> Chapter:
    """What one model takes for what, or several side by side.

    Args:
        found: the models' names -> findings, all of one store.
        store: pictures and captions.
    """
    blocks: list[Block] = [Paragraph(words) for words in _verdicts(found)]
    blocks += _word_grids(found)
    blocks += [Paragraph(_TODO)]
    each = max(2, MOST_QUERIES // max(1, len(found)))
    for label, one in found.items():
        blocks += _galleries(label, one, store, each)
    captions = _caption_grid(found, store)
    if captions:
        blocks.append(captions)
    return Chapter("confusions", Words("最近的错图", "Nearest wrong pictures"), blocks, _INTRO)


def _verdicts(found: Mapping[str, ConfusionFindings]) -> Iterator[Words]:
    for label, one in found.items():
        if one.queries < FEWEST:
            yield Words(
                f"{label}：只有 {one.queries} 个查询，太少，下面只是例子。",
                f"{label}: only {one.queries} queries, so what follows are mere examples.",
            )
            continue
        yield Words(
            f"{label}：{one.queries} 条文本里 {one.missed} 条的第一张图不对，{one.pictures} 张图里"
            f" {one.pictures_missed} 张的第一条文本不对；{one.mixed_up_pairs} 对图片互相认错"
            f"（各有文本把对方排在自己前面，看前 {one.depth} 名）。",
            f"{label}: the first picture is wrong for {one.missed} of {one.queries} captions, the first"
            f" caption for {one.pictures_missed} of {one.pictures} pictures; {one.mixed_up_pairs} pairs of"
            " pictures are mistaken for each other (each stands before the other for a caption of that other,"
            f" among the first {one.depth}).",
        )


def _word_grids(found: Mapping[str, ConfusionFindings]) -> Iterator[Block]:
    title = Words("要的是什么，给的是什么", "Asked for one, got another")
    for label, one in found.items():
        if not one.words:
            yield Paragraph(
                Words(
                    f"{label}：没有哪一对词在 {LEAST_PICTURES} 张以上的图片上被换过。",
                    f"{label}: no pair of words was exchanged on {LEAST_PICTURES} pictures or more.",
                )
            )
            continue
        sample = one.read < one.queries
        yield Grid(
            Words(f"{label}：{title.zh}", f"{label}: {title.en}"),
            [
                Words("要的词", "Asked"),
                Words("给的词", "Got"),
                Words("涉及图片", "Pictures"),
                Words("涉及文本", "Captions"),
                Words("含要的词的文本", "Captions with the word"),
                Words("占比 %", "Share, %"),
            ],
            [_word_row(word) for word in one.words[:_WORDS_SHOWN]],
            Words(
                "把文本和排第一的错图的文本对齐，同一位置上换了的词；错图的文本都没有要的词，正确图片的文本"
                "都没有给的词。"
                f"至少 {LEAST_PICTURES} 张不同的图片才列出"
                + (f"；只读了随机抽的 {one.read} 条文本。" if sample else "。"),
                "The caption and those of the wrong picture that stands first, laid side by side: words in"
                " the same place. No caption of the wrong picture has the word asked for, none of the right"
                f" one the word got. Told from {LEAST_PICTURES} different pictures on"
                + (f"; of a seeded sample of {one.read} captions." if sample else "."),
            ),
        )


def _word_row(word: ReplacedWord) -> list[Cell]:
    return [
        word.asked,
        word.got,
        str(word.pictures),
        str(word.captions),
        str(word.asked_captions),
        f"{100 * word.captions / max(1, word.asked_captions):.1f}",
    ]


def _galleries(label: str, one: ConfusionFindings, store: StoreReader, count: int) -> Iterator[Pictures]:
    nearest = _different(one.nearest, store, count - count // 2)
    if nearest:
        yield Pictures(
            Words(f"{label}：错得最离谱的", f"{label}: farthest astray"),
            {"": [_mistake(mistake, store) for mistake in nearest]},
            Words(
                "左边是正确图片（绿框），右边是排第一的错图；按分数差从大到小。",
                "Left, in green, the correct picture; right the wrong one that stands first. The largest"
                " difference of scores comes first.",
            ),
            [_mistake_heading(mistake, store) for mistake in nearest],
        )
    mixed = one.mixed_up[: count // 2]
    if mixed:
        yield Pictures(
            Words(f"{label}：互相认错的图片", f"{label}: pictures mistaken for each other"),
            {"": [_mixed_up(pair, one, store) for pair in mixed]},
            Words(
                "每张图下面是它的第一条文本；数字是这张图的文本里把另一张排在前面的份额（0 到 1）。",
                "Below each picture its first caption; the number is the share of its captions, 0 to 1, for"
                " which the other one stands before it.",
            ),
            [_mixed_heading(pair) for pair in mixed],
        )


def _different(mistakes: Sequence[Mistake], store: StoreReader, count: int) -> list[Mistake]:
    """The first mistakes, no caption and no wrong picture twice."""
    chosen: list[Mistake] = []
    captions: set[str] = set()
    wrong: set[int] = set()
    for one in mistakes:
        caption = store.text(one.query).caption
        if caption in captions or one.wrong in wrong:
            continue
        captions.add(caption)
        wrong.add(one.wrong)
        chosen.append(one)
    return chosen[:count]


def _mistake(one: Mistake, store: StoreReader) -> QueryResult:
    return QueryResult(
        store.text(one.query).caption,
        [
            stored_picture(store, one.right, one.right_cosine, True),
            stored_picture(store, one.wrong, one.wrong_cosine, False),
        ],
    )


def _mistake_heading(one: Mistake, store: StoreReader) -> Words:
    caption = store.text(one.query).caption
    return Words(f"{caption}（正确图片第 {one.rank} 名）", f"{caption} (correct picture: rank {one.rank})")


def _mixed_up(pair: MixedUp, one: ConfusionFindings, store: StoreReader) -> QueryResult:
    name = f"{one.image_ids[pair.first]} / {one.image_ids[pair.second]}"
    shares = pair.of_first / pair.first_captions, pair.of_second / pair.second_captions
    return QueryResult(
        name,
        [
            stored_picture(store, image, share, None)
            for image, share in zip((pair.first, pair.second), shares, strict=True)
        ],
    )


def _mixed_heading(pair: MixedUp) -> Words:
    first, second = (pair.of_first, pair.first_captions), (pair.of_second, pair.second_captions)
    return Words(
        f"左图 {first[1]} 条文本里 {first[0]} 条、右图 {second[1]} 条里 {second[0]} 条找成对方",
        f"{first[0]} of {first[1]} captions of the left picture, {second[0]} of {second[1]} of the right find"
        " the other",
    )


def _caption_grid(found: Mapping[str, ConfusionFindings], store: StoreReader) -> Grid | None:
    rows: list[Sequence[Cell]] = [
        [
            label,
            one.image_ids[mistake.query],
            store.text(mistake.right).caption,
            store.text(mistake.wrong).caption,
            str(mistake.rank),
            f"{mistake.margin:.3f}",
        ]
        for label, one in found.items()
        for mistake in one.captions[:_CAPTIONS_SHOWN]
    ]
    if not rows:
        return None
    return Grid(
        Words("图搜文：最近的错文本", "Image → text: the nearest wrong captions"),
        [
            MODEL,
            Words("图片", "Picture"),
            Words("最好的正确文本", "Best correct caption"),
            Words("排第一的错文本", "Wrong caption that stands first"),
            Words("正确的名次", "Rank of the correct"),
            Words("分数差", "Difference"),
        ],
        rows,
    )
