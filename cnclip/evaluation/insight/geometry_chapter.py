"""The chapter on the embedding space: hubs, their pictures, the gap, alignment and uniformity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cnclip.evaluation.chapters.blocks import Block, Cell, Chapter, Curves, Grid, Paragraph, Pictures, Words
from cnclip.evaluation.chapters.naming import DIRECTION, DIRECTIONS, MODEL
from cnclip.evaluation.examples import QueryResult
from cnclip.evaluation.insight.geometry import GeometryFindings, HubPicture
from cnclip.evaluation.insight.hubness import Hubness
from cnclip.evaluation.insight.modality import Modality
from cnclip.evaluation.insight.neighbours import FEWEST

_SHOWN = 5
_EVEN = "even"

_INTRO = Words(
    "向量空间的形状：有没有“枢纽”（被太多查询找到、挡住正确答案的图片或文本），图片与文本隔得多远，"
    "向量是否均匀铺开。括号里是随机时的值。",
    "The shape of the embedding space: whether there are hubs (pictures or captions that far too many queries"
    " find, in the place of the right ones), how far pictures and captions lie apart, and whether the"
    " embeddings are spread evenly. In brackets: what blind chance gives.",
)
_TODO = Words(
    "有枢纽时可以做什么：先看下面的图，纯色、拼图、文字海报之类的图片可以从图库里拿掉；再试 CSLS、双向"
    " softmax 或 QB-norm 这类分数校正，它们压低总是靠前的条目；训练时用更大的 batch 和更多难负例。",
    "What to do about hubs: look at the pictures below first, and take plain, collage and poster pictures out"
    " of the gallery; then try a correction of scores (CSLS, dual softmax, QB-norm), which lowers what always"
    " stands in front; train with larger batches and harder negatives.",
)
_GAP = Words(
    "图片与文本的余弦不能同图片之间、文本之间的余弦相比：两种向量往往各占一片，"
    "隔开的距离本身不好也不坏。因此任何阈值都要在“文本对图片”的分数上定。比较模型时看配对与非配对的差距、对齐（越小越好）和均匀"
    "（越小越均匀）。有效维数远小于总维数，说明向量挤在少数几个方向上。",
    "Cosines of a picture and a caption must not be compared with those of two pictures or two captions: each"
    " kind mostly has its own region, and the distance between them is in itself neither good nor bad. Any"
    " threshold is one on scores of captions against pictures. To compare models, look at how far correct"
    " pairs are from other pairs, at alignment (lower is better) and at uniformity (lower is more even). An"
    " effective dimension far below the width means that the embeddings crowd in a few directions.",
)

_GALLERY = Words(
    "每行第一张是常被错找到的图片（分数是它对找到它的查询的平均余弦）；后面是几条把它错找进来的查询和它们的"
    "正确图片，先列正确图片排在它后面的。",
    "First in each row is the picture wrongly found, with its mean cosine to the queries that found it; then"
    " come some of the queries for which it is wrong, each with its right picture, first those whose right"
    " picture stands behind it.",
)


def geometry_chapter(found: Mapping[str, GeometryFindings]) -> Chapter:
    """Hubs and gap of one model, or of several side by side.

    Args:
        found: the models' names -> findings.
    """
    blocks: list[Block] = [Paragraph(words) for words in _verdicts(found)]
    blocks.append(_hubness_table(found))
    telling = {label: one for label, one in found.items() if one.pictures.tells}
    if telling:
        blocks.append(_share_curves(telling))
    if any(hubs.has_hubs for one in found.values() for hubs in (one.pictures, one.captions)):
        blocks.append(Paragraph(_TODO))
    blocks += _galleries(telling)
    captions = _caption_table({label: one for label, one in found.items() if one.captions.tells})
    if captions:
        blocks.append(captions)
    blocks += [_modality_table(found), Paragraph(_GAP)]
    return Chapter("geometry", Words("向量空间", "The embedding space"), blocks, _INTRO)


def _verdicts(found: Mapping[str, GeometryFindings]) -> Iterator[Words]:
    for label, one in found.items():
        for direction, hubs in (("t2i", one.pictures), ("i2t", one.captions)):
            zh_start, en_start = f"{label}，{DIRECTIONS[direction].zh}：", f"{label}, "
            en_start += f"{DIRECTIONS[direction].en}: "
            said = _verdict(hubs)
            yield Words(zh_start + said.zh, en_start + said.en)


def _verdict(hubs: Hubness) -> Words:
    if not hubs.tells:
        return Words(
            f"只有 {hubs.queries} 个查询、{hubs.items} 个条目，太少，不下结论"
            f"（至少各 {FEWEST} 个，条目多于 {hubs.k}）。",
            f"only {hubs.queries} queries and {hubs.items} items (at least {FEWEST} each, and more items than"
            f" {hubs.k}), too few to tell.",
        )
    share = f"{hubs.wrong_top_share:.1f} %"
    chance = f"{hubs.chance_top_share:.1f} %"
    zh = (
        f"最常被错找到的 1 % 条目，错占了前 {hubs.k} 名里 {share} 的位置（随机 {chance}），{hubs.never:.1f} %"
        f" 从未被找到（随机 {hubs.chance_never:.1f} %）。"
    )
    en = (
        f"the 1 % of items that are wrong most often take {share} of all places among the first {hubs.k}"
        f" (chance {chance}), and {hubs.never:.1f} % are never found (chance {hubs.chance_never:.1f} %)."
    )
    if hubs.has_hubs:
        return Words(f"有枢纽：{zh}", f"there are hubs: {en}")
    return Words(f"没有明显的枢纽：{zh}", f"no marked hubs: {en}")


def _hubness_table(found: Mapping[str, GeometryFindings]) -> Grid:
    rows: list[list[Cell]] = []
    for label, one in found.items():
        for direction, hubs in (("t2i", one.pictures), ("i2t", one.captions)):
            rows.append(
                [
                    label,
                    DIRECTIONS[direction],
                    str(hubs.queries),
                    str(hubs.items),
                    f"{hubs.skewness:.2f} ({hubs.chance_skewness:.2f})",
                    f"{hubs.top_share:.1f} ({hubs.chance_top_share:.1f})",
                    f"{hubs.never:.1f} ({hubs.chance_never:.1f})",
                ]
            )
    k = next(iter(found.values())).pictures.k if found else 0
    return Grid(
        Words("枢纽程度", "Hubness"),
        [
            MODEL,
            DIRECTION,
            Words("查询数", "Queries"),
            Words("条目数", "Items"),
            Words("偏度（随机）", "Skewness (chance)"),
            Words("前 1 % 占位 %", "Places of top 1 %, %"),
            Words("从未找到 %", "Never found, %"),
        ],
        rows,
        Words(
            f"N_k 是把某条目排进前 {k} 名的查询数；偏度是它的标准化三阶矩，越大说明少数条目被找得越多。",
            f"N_k is the number of queries that have an item among their first {k}; the skewness is its third"
            " standardised moment: the larger, the more often few items are found.",
        ),
    )


def _share_curves(found: Mapping[str, GeometryFindings]) -> Curves:
    series = {}
    steps = 50
    for label, one in found.items():
        steps = len(one.pictures.shares) - 1
        series[label] = [(100 * place / steps, share) for place, share in enumerate(one.pictures.shares)]
    series[_EVEN] = [(100 * place / steps, 100 * place / steps) for place in range(steps + 1)]
    return Curves(
        Words("少数图片占了多少位置", "How many places few pictures take"),
        Words("图片，最常被找到的在前（%）", "Pictures, the most found first (%)"),
        Words("占前几名位置的份额（%）", "Share of all places (%)"),
        series,
        note=Words(
            "直线是每张图片完全均等；越往左上弯，结果越集中在少数图片。图库比查询大得多时，一部分弯曲是难免的。",
            "The straight line is perfect evenness; the more a line bends to the upper left, the fewer"
            " pictures fill the results. With far more pictures than queries some bend is inevitable.",
        ),
        names={_EVEN: Words("均等", "even")},
    )


def _galleries(found: Mapping[str, GeometryFindings]) -> Iterator[Pictures]:
    for label, one in found.items():
        shown = [QueryResult(hub.image_id, [hub.picture, *hub.wanted]) for hub in one.hub_pictures[:_SHOWN]]
        if shown:
            title = Words(f"{label}：最常被错找到的图片", f"{label}: the pictures wrongly found most often")
            headings = [_heading(hub, one.pictures.k) for hub in one.hub_pictures[:_SHOWN]]
            yield Pictures(title, {"": shown}, _GALLERY, headings)


def _heading(hub: HubPicture, k: int) -> Words:
    counts = hub.hub
    return Words(
        f"{hub.image_id}：进了 {counts.count} 个查询的前 {k} 名，其中 {counts.right} 个是对的，"
        f"{counts.before} 个的正确图片排在它后面",
        f"{hub.image_id}: among the first {k} of {counts.count} queries, {counts.right} of them right;"
        f" before the right picture of {counts.before}",
    )


def _caption_table(found: Mapping[str, GeometryFindings]) -> Grid | None:
    rows: list[list[Cell]] = [
        [label, hub.caption, str(hub.hub.count), str(hub.hub.right), str(hub.hub.before)]
        for label, one in found.items()
        for hub in one.hub_captions[:_SHOWN]
    ]
    if not rows:
        return None
    return Grid(
        Words("最常被错找到的文本", "The captions wrongly found most often"),
        [
            MODEL,
            Words("文本", "Caption"),
            Words("被几张图找到", "Found by"),
            Words("其中对的", "Right"),
            Words("排在正确文本之前", "Before the right one"),
        ],
        rows,
        Words(
            "太笼统的文本（“一张图片”）常是枢纽：它们对什么图都像。",
            "Captions that say little often are hubs: they resemble every picture.",
        ),
    )


def _modality_table(found: Mapping[str, GeometryFindings]) -> Grid:
    lines: list[tuple[Words, str, int]] = [
        (Words("配对的平均余弦", "Mean cosine, correct pairs"), "matching", 3),
        (Words("非配对的平均余弦", "Mean cosine, other pairs"), "others", 3),
        (Words("两张图片的平均余弦", "Mean cosine, two pictures"), "within_pictures", 3),
        (Words("两条文本的平均余弦", "Mean cosine, two captions"), "within_captions", 3),
        (Words("模态间隙（两个中心的距离）", "Modality gap (distance of the two means)"), "gap", 3),
        (
            Words("离自己一类的中心更近（%，50 是分不开）", "Nearer to their own kind's mean (%, 50: mixed)"),
            "nearer_to_own",
            1,
        ),
        (Words("对齐 alignment（越小越好）", "Alignment (lower is better)"), "alignment", 3),
        (Words("图片均匀 uniformity", "Uniformity, pictures"), "picture_uniformity", 3),
        (Words("文本均匀 uniformity", "Uniformity, captions"), "caption_uniformity", 3),
        (Words("图片有效维数", "Effective dimension, pictures"), "picture_dimension", 1),
        (Words("文本有效维数", "Effective dimension, captions"), "caption_dimension", 1),
        (Words("总维数", "Width"), "width", 0),
    ]
    rows: list[list[Cell]] = [
        [words, *(_number(one.modality, name, digits) for one in found.values())]
        for words, name, digits in lines
    ]
    sampled = next((one.modality for one in found.values() if one.modality.sampled), None)
    note = Words("全部精确计算。", "All of it exact.")
    if sampled:
        note = Words(
            f"均匀取 {sampled.uniformity_rows} 行、有效维数取 {sampled.dimension_rows} 行的固定随机样本；"
            "其余精确。",
            f"Uniformity is of a seeded sample of {sampled.uniformity_rows} rows, the effective dimension of"
            f" {sampled.dimension_rows}; the rest is exact.",
        )
    title = Words("图片与文本的位置", "Where pictures and captions lie")
    return Grid(title, [Words("数", "Number"), *(Words(label, label) for label in found)], rows, note)


def _number(modality: Modality, name: str, digits: int) -> str:
    value = float(getattr(modality, name))
    return "-" if value != value else f"{round(value, digits) + 0.0:.{digits}f}"  # no -0.000
