"""The chapter on the test set's own mistakes: how many suspects, what they would change, their pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cnclip.evaluation.chapters.blocks import Block, Cell, Chapter, Grid, Paragraph, Pictures, Words
from cnclip.evaluation.chapters.naming import MODEL
from cnclip.evaluation.examples import Picture, QueryResult, stored_picture
from cnclip.evaluation.insight.neighbours import FEWEST
from cnclip.evaluation.insight.suspect_findings import FILE_NAME, Suspect, SuspectFindings
from cnclip.evaluation.insight.suspect_pairs import STRENGTHS, Reason
from cnclip.evaluation.insight.twins import MOST_ALIKE
from cnclip.stores.reader import StoreReader

MOST_SHOWN = 16  # suspects with their pictures, of all models together
_OF_ONE_REASON = 5

REASONS: dict[Reason, Words] = {
    "same bytes": Words("图片文件完全相同", "The same picture file"),
    "same pixels": Words("图片像素完全相同", "The same pixels"),
    "near picture": Words("图片几乎相同", "Nearly the same picture"),
    "same caption": Words("文本相同", "The same caption"),
    "same words": Words("文本用词相同", "The same words"),
    "words covered": Words("该图的文本已说全", "The picture's captions say it all"),
    "mutual": Words("互为第一（只凭模型）", "Each other's first (by the model alone)"),
}
_LEVELS = (  # of suspect_recall, and before them none
    Words("报告的数", "As reported"),
    Words("算上同一张图", "With the same pictures"),
    Words("再算上同样的文本", "… and the same captions"),
    Words("再算上说全的", "… and captions that say it all"),
    Words("再算上互为第一的", "… and each other's first"),
)
_INTRO = Words(
    "测试集自己也会错：同一张图用了两个编号，同一句话配了好几张图却只标一张。模型找到没标的那张，会被算错。"
    "下面列的是疑点，不是定论：请按 suspects.jsonl 逐条看图决定。报告的召回率不因它们而变。",
    "A test set makes mistakes, too: one picture under two ids, or a caption that fits several pictures of"
    " which one is labelled. A model that finds the other one is counted as wrong. What follows are suspects,"
    " not facts: go through suspects.jsonl and decide by looking. The reported recall stays as it is.",
)
_READING = Words(
    "把疑点都算对，召回率最多到这里；差得越多，R@1 的高低越不能只怪模型。“说全”和“互为第一”是从模型排在"
    "前面的图里挑的，算上它们必然升高，不能拿来比较模型。",
    "What recall would be at most, were all these suspects correct. The larger the difference, the less a low"
    " R@1 says of the model. The last two rows pick among what the model puts first, so they can only raise"
    " the number: do not compare models by them.",
)
_HOW = Words(
    "怎么用：先看同一文件和同样的文本，几乎都是真的；几乎相同的图片若是图标，可能故意只差一处。“说全”指图片"
    "自己的几条文本合起来包含了这条文本的每个实词，多半是真的；“互为第一”最弱，模型弱时多半是模型自己的错。"
    "确认后改标注，或去重后重新测。",
    "How to use it: begin with equal files and equal captions, nearly all of which are real; drawings that"
    " are nearly the same may differ in a detail on purpose. “Say it all” means that the picture's captions"
    " hold every telling word of the caption; most of these are real. “Each other's first” is the weakest,"
    " of a weak model mostly its own mistake. Then mend the labels, or remove duplicates, and measure again.",
)


def suspects_chapter(found: Mapping[str, SuspectFindings], store: StoreReader) -> Chapter:
    """Suspects of one model, or of several side by side.

    Args:
        found: the models' names -> findings, all of one store.
        store: its pictures.
    """
    blocks: list[Block] = [Paragraph(words) for words in _verdicts(found)]
    blocks += [_recall_grid(found), _reason_grid(found), Paragraph(_HOW)]
    blocks += [Paragraph(words) for words in _limits(found)]
    blocks += _galleries(found, store)
    return Chapter("suspects", Words("测试集里的疑点", "Suspects in the test set"), blocks, _INTRO)


def _verdicts(found: Mapping[str, SuspectFindings]) -> Iterator[Words]:
    for label, one in found.items():
        if one.queries < FEWEST or one.pictures < FEWEST:
            yield Words(
                f"{label}：只有 {one.queries} 个查询、{one.pictures} 张图，太少，不谈召回率会变多少。",
                f"{label}: only {one.queries} queries and {one.pictures} pictures, too few to say what recall"
                " would be.",
            )
            continue
        if not any(count.suspects for count in one.counts.values()):
            yield Words(f"{label}：没有找到疑点。", f"{label}: no suspects found.")
            continue
        reported, sure = one.recalls[0].t2i, one.recalls[2].t2i
        k = min(reported)
        yield Words(
            f"{label}：若同一张图、同样的文本都算对，文搜图 R@{k} 最多是 {sure[k]:.1f}，而不是"
            f" {reported[k]:.1f}；再算上“说全”的，最多 {one.recalls[3].t2i[k]:.1f}。",
            f"{label}: with the same pictures and the same captions counted as correct, text → image R@{k}"
            f" would be at most {sure[k]:.1f} instead of {reported[k]:.1f}; with captions that say it all, at"
            f" most {one.recalls[3].t2i[k]:.1f}.",
        )


def _recall_grid(found: Mapping[str, SuspectFindings]) -> Grid:
    first = next(iter(found.values())).recalls[0]
    rows: list[Sequence[Cell]] = [
        [
            label,
            _LEVELS[number],
            str(recall.suspects),
            *(f"{value:.1f}" for value in recall.t2i.values()),
            *(f"{value:.1f}" for value in recall.i2t.values()),
        ]
        for label, one in found.items()
        for number, recall in enumerate(one.recalls)
    ]
    header = [MODEL, Words("什么算对", "What counts"), Words("疑点对数", "Suspects")]
    header += [Words(f"文搜图 R@{k}", f"Text → image R@{k}") for k in first.t2i]
    header += [Words(f"图搜文 R@{k}", f"Image → text R@{k}") for k in first.i2t]
    return Grid(
        Words("疑点都算对时的召回率（%）", "Recall were the suspects correct (%)"), header, rows, _READING
    )


def _reason_grid(found: Mapping[str, SuspectFindings]) -> Grid:
    rows: list[Sequence[Cell]] = [
        [
            label,
            REASONS[reason],
            f"{strength:.2f}",
            str(one.counts[reason].suspects),
            str(one.counts[reason].before),
            str(one.counts[reason].captions),
        ]
        for label, one in found.items()
        for reason, strength in STRENGTHS.items()
    ]
    header = [MODEL, Words("理由", "Reason"), Words("强度", "Strength"), Words("对数", "Pairs")]
    header += [Words("排在标注之前", "Before the labelled"), Words("涉及文本", "Captions")]
    note = Words(
        f"每对只算最强的理由。全部疑点在 {FILE_NAME}，一行一对，强的在前。",
        f"Each pair counts under its strongest reason. All of them are in {FILE_NAME}, one per line, the"
        " strongest first.",
    )
    return Grid(Words("为什么可疑", "Why they are suspected"), header, rows, note)


def _limits(found: Mapping[str, SuspectFindings]) -> Iterator[Words]:
    """What was not looked at."""
    one = next(iter(found.values()))
    if one.sampled:
        yield Words(
            f"图片太多：只看了 {one.pictures} 张里随机抽的 {one.twins.compared} 张和它们的文本（种子固定）。",
            f"Of {one.pictures} pictures only a seeded sample of {one.twins.compared} and their captions was"
            " looked at.",
        )
    if one.twins.decoded:
        yield Words(
            f"相同的图片：先按向量找最近的图片对，再解码其中 {one.twins.decoded} 张比对；余弦低于"
            f" {one.twins.least_cosine:.2f} 的没有看。要查全部图片，用 cnclip data check。",
            f"The same pictures: of the nearest pairs by embedding {one.twins.decoded} pictures were decoded"
            f" and compared; pairs of a cosine below {one.twins.least_cosine:.2f} were not. cnclip data check"
            " looks at every picture.",
        )
    if one.too_general or one.twins.crowded:
        yield Words(
            f"没有列出：{one.too_general} 条被 {MOST_ALIKE} 张以上图片共用的文本（太笼统，标注分不开）；"
            f"{one.twins.crowded} 组超过 {MOST_ALIKE} 张的相同图片，每组只列与第一张的配对。",
            f"Not listed: {one.too_general} captions shared by more than {MOST_ALIKE} pictures, too general"
            f" for any label; of {one.twins.crowded} groups of more than {MOST_ALIKE} equal pictures all but"
            " the pairs with the first.",
        )


def _galleries(found: Mapping[str, SuspectFindings], store: StoreReader) -> Iterator[Pictures]:
    each = max(1, MOST_SHOWN // max(1, len(found)))
    for label, one in found.items():
        chosen = chosen_suspects(one.suspects, each)
        if chosen:
            yield Pictures(
                Words(f"{label}：疑点举例", f"{label}: some of the suspects"),
                {"": [QueryResult(suspect.caption, _pair(suspect, store)) for suspect in chosen]},
                Words(
                    "绿框、✓ 是标注的图片，另一张是疑点：它也符合上面这句话吗？若标注的那张根本不符合，"
                    "就是标错了。",
                    "In green, with ✓, the labelled picture; the other is the suspect: does the caption fit"
                    " it, too? Where it does not fit the labelled one, the label itself is wrong.",
                ),
                [_heading(suspect) for suspect in chosen],
            )


def chosen_suspects(suspects: Sequence[Suspect], count: int) -> list[Suspect]:
    """Suspects to show: those that stand before the labelled picture, some of each reason, none twice.

    Args:
        suspects: strongest first.
        count: how many at most.
    """
    chosen: list[Suspect] = []
    shown: set[frozenset[int]] = set()
    captions: set[str] = set()
    taken = dict.fromkeys(STRENGTHS, 0)
    for one in sorted(suspects, key=lambda one: one.margin < 0):
        pictures = frozenset((one.image, one.labelled))
        if pictures in shown or one.caption in captions or taken[one.reason] == _OF_ONE_REASON:
            continue
        shown.add(pictures)
        captions.add(one.caption)
        taken[one.reason] += 1
        chosen.append(one)
    order = {reason: place for place, reason in enumerate(STRENGTHS)}
    turns = {reason: iter(range(len(chosen))) for reason in STRENGTHS}
    by_turn = [(next(turns[one.reason]), order[one.reason], place) for place, one in enumerate(chosen)]
    return [chosen[place] for _, _, place in sorted(by_turn)[:count]]


def _pair(suspect: Suspect, store: StoreReader) -> list[Picture]:
    return [
        stored_picture(store, suspect.labelled, suspect.labelled_cosine, True),
        stored_picture(store, suspect.image, suspect.cosine, None),
    ]


def _heading(suspect: Suspect) -> Words:
    reason = REASONS[suspect.reason]
    return Words(f"{suspect.caption}（{reason.zh}）", f"{suspect.caption} ({reason.en})")
