"""The chapter on slices: in which queries one model, or each of several, is reliably worse or better."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from cnclip.evaluation.chapters.blocks import Bar, Bars, Block, Chapter, Paragraph, Words
from cnclip.evaluation.insight.slice_advice import advice
from cnclip.evaluation.insight.slice_grids import FAMILIES, named, slice_grid, words_grids
from cnclip.evaluation.insight.slice_results import SlicedDirection, SliceResult
from cnclip.evaluation.insight.slice_statistics import LEAST
from cnclip.evaluation.insight.slices import SliceFindings

_CAPTIONS = ("length", "words", "says", "speech", "form", "rarity")
_DRAWN = ("length", "says", "form", "rarity")
_PICTURES = ("source", "size", "shape", "captions")
_LISTED = 6  # slices that the summary names
_WAYS = {
    "t2i": Words("文搜图", "Text → image"),
    "i2t": Words("图搜文", "Image → text"),
}


def slices_chapter(found: Mapping[str, SliceFindings]) -> Chapter:
    """What slices tell of one model, or of several on the same store.

    Args:
        found: model's label -> its findings; the label of a single model is not shown.
    """
    blocks: list[Block] = [Paragraph(_summary(label, one, len(found) > 1)) for label, one in found.items()]
    blocks += [Paragraph(text) for text in advice(list(found.values()))]
    blocks += _bars(found)
    for way, families in (("t2i", (*_CAPTIONS, *_PICTURES)), ("i2t", _PICTURES)):
        directions = {label: getattr(one, way) for label, one in found.items()}
        blocks += [
            grid for family in families if (grid := slice_grid(directions, family, _WAYS[way])) is not None
        ]
    for label, one in found.items():
        blocks += words_grids(one.words, label if len(found) > 1 else "")
    blocks += [Paragraph(text) for text in _notes(next(iter(found.values())))]
    return Chapter("slices", Words("哪些查询更难", "Which queries are harder"), blocks, _INTRO)


_INTRO = Words(
    "把查询分成一类一类，每一类和其余所有查询比平均召回率（R@1、R@5、R@10 的平均）。“差”是这一类减去其余，"
    "单位是百分点；方括号是 95% 区间（没有校正），同一张图的描述一起重抽。只有校正了多重比较之后仍然可靠的"
    "差别才写“更差”或“更好”。有差别不等于它就是原因：长的描述往往也更具体，生僻的词往往在长的描述里。",
    "Queries are sorted into slices, and each slice is compared with all other queries by mean recall (of "
    "R@1, R@5 and R@10). The difference is the slice minus the rest, in percentage points; brackets hold "
    "the 95 % interval (uncorrected), captions of one picture drawn together. Only a difference that "
    "survives the correction for many comparisons is called worse or better. A difference is no cause: "
    "long captions are often more specific, too, and rare words often stand in long captions.",
)


def _summary(label: str, found: SliceFindings, several: bool) -> Words:
    """Which slices are reliably worse or better, in one paragraph."""
    zh, en = (f"{label}：", f"{label}: ") if several else ("", "")
    for way, direction in (("t2i", found.t2i), ("i2t", found.i2t)):
        shown = _WAYS[way]
        zh += f"{shown.zh}平均召回率 {direction.overall.mean_recall:.1f}%。"
        en += f"{shown.en}: mean recall {direction.overall.mean_recall:.1f} %. "
        worse = [one for one in direction.slices if one.verdict == "worse"]
        better = [one for one in direction.slices if one.verdict == "better"]
        for slices, name in ((worse, Words("更差", "worse")), (better, Words("更好", "better"))):
            if slices:
                listed = _listed(slices)
                zh += f"可靠地{name.zh}：{listed.zh}。"
                en += f"Reliably {name.en}: {listed.en}. "
        if direction.tests and not worse and not better:
            zh += f"比较了 {direction.tests} 类，没有一类可靠地不同。"
            en += f"Of {direction.tests} slices none differs reliably. "
        if not direction.slices:
            zh += "查询都是一样的，分不出类。"
            en += "All queries are alike: there is nothing to compare. "
        elif not direction.tests:
            zh += "每一类都太小，不下结论。"
            en += "Every slice is too small for a verdict. "
    return Words(zh, en.strip())


def _listed(slices: Sequence[SliceResult]) -> Words:
    """The slices that differ most, the others by their number."""
    ordered = sorted(slices, key=lambda one: -abs(one.difference))
    names = [(named(one), f"{one.difference:+.1f}") for one in ordered[:_LISTED]]
    zh = "、".join(f"{name.zh}（{difference}）" for name, difference in names)
    en = ", ".join(f"{name.en} ({difference})" for name, difference in names)
    more = len(ordered) - len(names)
    return Words(f"{zh}，还有 {more} 类", f"{en}, and {more} more") if more else Words(zh, en)


def _bars(found: Mapping[str, SliceFindings]) -> Iterator[Bars]:
    """How the main slices differ from all other queries, one chart for each model, all on one axis."""
    chosen = {
        label: [one for one in findings.t2i.slices if one.family in _DRAWN and one.verdict != "few"]
        for label, findings in found.items()
    }
    values = [value for slices in chosen.values() for one in slices for value in _span(one)]
    if not values:
        return
    ends = (10 * math.floor(min(*values, 0) / 10), 10 * math.ceil(max(*values, 0) / 10))
    for label, slices in chosen.items():
        overall = found[label].t2i.overall
        title = Words("文搜图：主要的几类", "Text → image: the main slices")
        if len(found) > 1:
            title = Words(f"{label}：{title.zh}", f"{label}: {title.en}")
        yield Bars(
            title,
            Words(
                "平均召回率与其余查询的差（百分点）", "mean recall, difference to all other queries (points)"
            ),
            [
                Bar(
                    named(one),
                    one.difference,
                    *_span(one),
                    f"{one.difference:+.1f} ({one.mean_recall:.1f} %)",
                    one.verdict in ("worse", "better"),
                )
                for one in slices
            ],
            origin=0.0,
            note=Words(
                f"括号里是这一类的平均召回率，全部查询是 {overall.mean_recall:.1f}%；灰色：没有可靠的差别。",
                f"In brackets: the slice's mean recall; all queries: {overall.mean_recall:.1f} %. Grey: no "
                "reliable difference.",
            ),
            ends=ends if len(found) > 1 else None,
        )


def _span(one: SliceResult) -> tuple[float, float]:
    return one.spans.get("difference", (one.difference, one.difference))


def _notes(found: SliceFindings) -> Iterator[Words]:
    """What was counted, of what, and how sure it is."""
    yield Words(
        f"少于 {LEAST} 条查询或 {LEAST} 张图片的类不下结论。p 值问的是：如果这一类并不特殊，同样大小的一类"
        "会差这么多吗（合并方差，计入同图描述之间的相关）；各类一起按 Holm 校正，单个的词按 "
        "Benjamini–Hochberg 校正。带 * 的类靠词表和规则判断，规则按简体字写成，会有漏判和误判；词性取自 "
        "jieba 词典，不看上下文。",
        f"Nothing is said of slices of fewer than {LEAST} queries or {LEAST} pictures. The p-value asks how "
        "often a slice of this size differs as much if it is not special (pooled variance, with the "
        "correlation of a picture's captions); slices are corrected together by Holm's method, single "
        "words by Benjamini and Hochberg's. Slices with * are told by word lists and rules, written for "
        "simplified characters, and miss or mistake some; parts of speech are those of jieba's dictionary, "
        "whatever the context.",
    )
    yield _rarity_note(found)
    for way, direction in (("t2i", found.t2i), ("i2t", found.i2t)):
        if direction.overall.queries < direction.asked:
            yield Words(
                f"{_WAYS[way].zh}：从 {direction.asked} 条查询里抽了 {direction.overall.queries} 条来看。",
                f"{_WAYS[way].en}: a sample of {direction.overall.queries} of {direction.asked} queries.",
            )
    if found.pictures < found.pictures_of:
        yield Words(
            f"按图片分的类只看了 {found.pictures_of} 张里抽出的 {found.pictures} 张。",
            f"Slices by picture are of a sample of {found.pictures} of {found.pictures_of} pictures.",
        )
    alike = _alike(found.t2i) | _alike(found.i2t)
    if alike:
        yield Words(
            "分不出类的：" + "；".join(f"{title.zh}都是“{kind.zh}”" for title, kind in alike.values()) + "。",
            "All queries are alike in: "
            + "; ".join(f"{title.en}: {kind.en}" for title, kind in alike.values())
            + ".",
        )


def _alike(direction: SlicedDirection) -> dict[str, tuple[Words, Words]]:
    return {name: (FAMILIES[name.partition("/")[0]], kind) for name, kind in direction.alike.items()}


def _rarity_note(found: SliceFindings) -> Words:
    counted, total = found.rarity_captions, found.rarity_of
    if found.rarity_basis == "own":
        return Words(
            f"“最生僻的词”：没有给训练数据，所以数的是测试集自己的 {counted} 条描述里有几条含这个词（连它自"
            "己）。",
            "The rarest word: no training data was given, so what counts is how many of the test set's own "
            f"{counted} captions hold the word, itself included.",
        )
    sample = Words("", "")
    if counted < total:
        sample = Words(f"（从 {total} 条里抽的）", f" (a sample of {total})")
    return Words(
        f"“最生僻的词”：数的是训练数据的 {counted} 条描述{sample.zh}里有几条含这个词；“没见过”是一条也没有。",
        f"The rarest word: what counts is how many of {counted} training captions{sample.en} hold it; "
        "unseen words stand in none.",
    )
