"""The chapter of score corrections: each beside the plain numbers, with what may be reported of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cnclip.evaluation.chapters.blocks import Block, Cell, Chapter, Grid, Paragraph, Words
from cnclip.evaluation.corrections import Correction
from cnclip.evaluation.corrections_findings import CorrectionFindings, Variant
from cnclip.evaluation.corrections_words import FAIR, HARMS, MEANINGS, NAMES, TRANSDUCTIVE
from cnclip.evaluation.insight.neighbours import FEWEST
from cnclip.evaluation.uncertainty import metric_name

_DIRECTIONS = {"t2i": Words("文搜图", "Text → image"), "i2t": Words("图搜文", "Image → text")}
_INTRO = Words(
    "有的图片跟什么查询都像，总排在前面（枢纽，hub）。校正压低这样的项目，重新排名；模型一点没变。"
    "每种校正单独测量，默认不做，下面所有别的数字都没有校正。先看差别可不可靠，再看它能不能用。",
    "Some pictures are near to every query and always stand in front (hubs). A correction lowers them"
    " and ranks anew; the model is the same. Each is measured by itself and never made by default: no"
    " other number of this report is corrected. See first whether a difference is reliable, then"
    " whether the correction may be used.",
)
_OVER = {
    "test": Words("全部测试查询 ⚠", "all test queries ⚠"),
    "bank": Words("训练查询库", "bank of training queries"),
}


def corrections_chapter(found: Mapping[str, Mapping[Correction, CorrectionFindings]]) -> Chapter:
    """Plain and corrected numbers of one model, or of several.

    Args:
        found: the models' names -> correction -> findings; the name is not shown where there is one model.
    """
    measured = {label: findings for label, findings in found.items() if findings}
    blocks: list[Block] = []
    for label, findings in measured.items():
        shown = label if len(measured) > 1 else ""
        blocks.append(_grid(shown, list(findings.values())))
        blocks += [Paragraph(words) for one in findings.values() for words in _verdicts(shown, one)]
    blocks += [Paragraph(words) for words in _explained(measured)]
    blocks.append(Paragraph(HARMS))
    return Chapter("corrections", Words("分数校正", "Score corrections"), blocks, _INTRO)


def _explained(found: Mapping[str, Mapping[Correction, CorrectionFindings]]) -> Iterator[Words]:
    """What each correction does, and what may be reported."""
    names = dict.fromkeys(name for findings in found.values() for name in findings)
    for name in names:
        shown, meaning = NAMES[name], MEANINGS[name]
        yield Words(f"{shown.zh}：{meaning.zh}", f"{shown.en}: {meaning.en}")
    every = [one for findings in found.values() for one in findings.values()]
    overs = {(variant.over, one.name) for one in every for variant in one.variants}
    for over, said in (("test", TRANSDUCTIVE), ("bank", FAIR)):
        affected = [NAMES[name] for name in names if (over, name) in overs]
        if affected:
            zh, en = "、".join(one.zh for one in affected), ", ".join(one.en for one in affected)
            yield Words(f"{zh}（{_OVER[over].zh}）：{said.zh}", f"{en} ({_OVER[over].en}): {said.en}")


def _grid(label: str, findings: list[CorrectionFindings]) -> Grid:
    title = Words("校正前后", "Before and after")
    if label:
        title = Words(f"{label}：{title.zh}", f"{label}: {title.en}")
    metrics = [key for key in findings[0].plain["t2i"] if key != "mrr"]
    rows: list[list[Cell]] = []
    for way, name in _DIRECTIONS.items():
        plain = findings[0].plain[way]
        none = Words("不校正", "plain")
        rows.append([name, none, "", *(f"{plain[key]:.2f}" for key in metrics), ""])
        for one in findings:
            for variant in one.variants:
                numbers = [f"{variant.numbers[way][key]:.2f}" for key in metrics]
                rows.append([name, NAMES[one.name], _OVER[variant.over], *numbers, _change(variant, way)])
    return Grid(
        title,
        [
            Words("方向", "Direction"),
            Words("校正", "Correction"),
            Words("依据", "Taken over"),
            *(Words(f"{metric_name(key)} %", f"{metric_name(key)} %") for key in metrics),
            Words("R@1 的变化，百分点", "Change of R@1, points"),
        ],
        rows,
        Words(
            "变化是同一批查询上的成对差，方括号内是 95 % 区间。⚠ 不能与公开发表的普通成绩相比。",
            "The change is the paired difference on the same queries, with its 95 % interval. ⚠ must not be"
            " compared with published plain numbers.",
        ),
    )


def _change(variant: Variant, way: str) -> str:
    found = variant.comparison(way, "r1")
    if found is None:
        return ""
    span = found.difference.interval
    return f"{span.value:+.2f} [{span.low:+.2f}, {span.high:+.2f}]"


def _verdicts(label: str, findings: CorrectionFindings) -> Iterator[Words]:
    """One paragraph for each variant, both directions."""
    few = {way: count for way, count in findings.queries.items() if count < FEWEST}
    for variant in findings.variants:
        name, over = NAMES[findings.name], _OVER[variant.over]
        before = f"{label}，" if label else "", f"{label}, " if label else ""
        said = [_verdict(variant, way, few) for way in _DIRECTIONS]
        more = _about_bank(findings, variant)
        yield Words(
            f"{before[0]}{name.zh}（{over.zh}）：{'；'.join(one.zh for one in said)}。{more.zh}",
            f"{before[1]}{name.en} ({over.en}): {'; '.join(one.en for one in said)}.{more.en}",
        )


def _verdict(variant: Variant, way: str, few: Mapping[str, int]) -> Words:
    name, found = _DIRECTIONS[way], variant.comparison(way, "r1")
    if way in few:
        return Words(
            f"{name.zh}只有 {few[way]} 条查询，不下结论", f"{name.en}: {few[way]} queries are too few"
        )
    if found is None:
        return Words(f"{name.zh}没有算区间", f"{name.en}: no intervals were drawn")
    span = found.difference.interval
    if not found.difference.differs:
        return Words(
            f"{name.zh} R@1 没有可靠的差别（{span.value:+.2f}）",
            f"{name.en}: R@1 does not differ reliably ({span.value:+.2f})",
        )
    zh, en = ("高", "higher") if span.value > 0 else ("低", "lower")
    return Words(
        f"{name.zh} R@1 {zh}了 {abs(span.value):.2f} 个百分点",
        f"{name.en}: R@1 is {abs(span.value):.2f} points {en}",
    )


def _about_bank(findings: CorrectionFindings, variant: Variant) -> Words:
    """What bank it was, and how many queries it touched."""
    if variant.over == "test":
        return Words("", "")
    texts, images = variant.bank["t2i"], variant.bank["i2t"]
    zh, en = f"查询库：{texts} 条文本、{images} 张图片", f" Bank: {texts} captions, {images} pictures"
    if findings.settings.bank_rows in (texts, images):
        zh, en = f"{zh}（至多抽 {findings.settings.bank_rows}）", f"{en} (drawn down to that many at most)"
    if findings.name == "qb_norm":
        shares = [f"{variant.changed[way]:.0f} %" for way in _DIRECTIONS]
        zh += f"；改动了 {shares[0]} 的文本查询、{shares[1]} 的图片查询"
        en += f"; {shares[0]} of the text and {shares[1]} of the picture queries were changed"
    return Words(zh + "。", en + ".")
