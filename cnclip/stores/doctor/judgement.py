"""The doctor's opinion: each fact that matters as a finding with its grade and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cnclip.stores.doctor.caption_facts import Counted
from cnclip.stores.doctor.findings import GRADES, Finding, Grade, grade_of, part
from cnclip.stores.doctor.leakage import Leak
from cnclip.stores.doctor.outcome import FEW_ROWS, CheckupOptions, Negatives, StoreCheckup
from cnclip.stores.doctor.picture_facts import HUGE_SIDE, STRETCHED, TINY_SIDE

SHARED_CAPTIONS = 0.1  # share of a store's captions that are also in another one; below it only a note
MANY_CAPTIONS = 0.2
MANY_LOW_QUALITY = 0.05  # tiny or stretched pictures, mixed scripts
LONGEST_CONTEXT = 512


def judge(
    stores: Sequence[StoreCheckup], leaks: Sequence[Leak], options: CheckupOptions
) -> Iterator[Finding]:
    """All findings: of each store, then of each two."""
    for place, store in enumerate(stores):
        yield from _pictures(store, options)
        yield from _captions(store, options)
        yield from _negatives(store, options, is_trained_on=place == 0)
    for leak in leaks:
        yield from _leaks(leak, stores, options)


def _finding(
    grade: Grade | None, code: str, where: str, words: tuple[str, str], measured: str
) -> Iterator[Finding]:
    """One finding, or none without a grade; `words` are title and advice."""
    if grade is not None:
        yield Finding(grade, code, where, words[0], measured, words[1])


def _soft(share: float, many: float) -> Grade | None:
    """The grade of a share without a limit."""
    return None if share <= 0 else "warning" if share > many else "note"


def _pictures(store: StoreCheckup, options: CheckupOptions) -> Iterator[Finding]:
    facts, limits, where = store.pictures, options.limits, store.name
    unread = len(store.sketch.captions) - store.captions.count
    rows = facts.count + len(store.sketch.captions)
    bad = facts.count - facts.decoded + unread
    yield from _finding(
        grade_of(bad / max(1, rows), limits.undecodable), "undecodable", where,
        ("读不了的图片或文本 rows that cannot be read",
         "训练会在这里中断：重建库 Training would stop here: build the store again with "
         "`cnclip data build`, which opens every picture"),
        f"{facts.count - facts.decoded} 张图片 pictures, {unread} 条文本 captions",
    )  # fmt: skip
    yield from _finding(
        grade_of(facts.blank / max(1, facts.decoded), limits.blank), "blank", where,
        ("几乎空白的图片 mostly blank pictures",
         "多为占位图或下载失败：请删去这些行 Often placeholders of failed downloads: drop their rows"),
        part(facts.blank, facts.decoded),
    )  # fmt: skip
    extra = store.same_pixels.extra
    yield from _finding(
        grade_of(extra / max(1, facts.decoded), limits.repeated), "repeated-pictures", where,
        ("像素相同的图片 pictures with the same pixels",
         "同图不同号会互为负样本：合并为一个图片编号 Under different ids they are each other's negatives: "
         "give them one id"),
        f"{part(extra, facts.decoded)}, {len(store.same_pixels.sizes)} 组 groups",
    )  # fmt: skip
    extra = store.near.extra
    yield from _finding(
        "note" if extra > store.same_pixels.extra else None, "near-pictures", where,
        ("近似的图片 near-duplicate pictures",
         "划分训练集与测试集时放在同一侧 Keep each group on one side when you split the data"),
        f"{part(extra, facts.decoded)}, {len(store.near.sizes)} 组 groups",
    )  # fmt: skip
    yield from _sizes(store)


def _sizes(store: StoreCheckup) -> Iterator[Finding]:
    facts, where = store.pictures, store.name
    total = max(1, facts.decoded)
    yield from _finding(
        _soft(facts.tiny / total, MANY_LOW_QUALITY), "tiny", where,
        (f"短边不足 {TINY_SIDE} 像素 shorter side below {TINY_SIDE} pixels",
         "多为缩略图或图标：找原图，或删去 Often thumbnails or icons: find the originals, or drop them"),
        part(facts.tiny, facts.decoded),
    )  # fmt: skip
    yield from _finding(
        _soft(facts.stretched / total, MANY_LOW_QUALITY), "stretched", where,
        (f"长边至少是短边的 {STRETCHED:g} 倍 longer side at least {STRETCHED:g} times the shorter",
         "模型看到的是压成正方形的图：请裁剪 The model sees them squashed to a square: crop them"),
        part(facts.stretched, facts.decoded),
    )  # fmt: skip
    yield from _finding(
        _soft(facts.huge / total, 1.0), "huge", where,
        (f"长边达到 {HUGE_SIDE} 像素 longer side of {HUGE_SIDE} pixels and more",
         "解码费时而模型用不上：缩小后再建仓 Slow to decode and of no use to the model: scale them down "
         "before you build"),
        part(facts.huge, facts.decoded),
    )  # fmt: skip
    yield from _finding(
        _soft(facts.differ_in_cn_clip / total, 1.0), "differ-in-cn-clip", where,
        ("Chinese-CLIP 会看成另一张图 Chinese-CLIP would show its models another picture",
         "cnclip 已正确处理；与官方数字比较时请留意 cnclip handles them; mind it when you compare numbers"),
        f"{part(facts.differ_in_cn_clip, facts.decoded)}: EXIF 旋转 turned {facts.turned}, "
        f"透明 transparent {facts.transparent}, 索引色 palette or 1-bit {facts.indexed}",
    )  # fmt: skip


def _captions(store: StoreCheckup, options: CheckupOptions) -> Iterator[Finding]:
    facts, limits, where = store.captions, options.limits, store.name
    total = max(1, facts.count)
    longer = min(facts.whole_length, LONGEST_CONTEXT)
    yield from _finding(
        grade_of(facts.truncated / total, limits.truncated), "truncated", where,
        (f"超过 {facts.context_length} 个词元而被截断的文本 captions cut at {facts.context_length} tokens",
         f"加大上下文长度，{longer} 可保全 99%；或缩短文本 Raise the context length ({longer} keeps 99% "
         "whole), or shorten the captions" if longer > facts.context_length
         else "缩短过长的文本 Shorten the longest captions"),
        f"{part(facts.truncated, facts.count)}, 最长 longest {facts.most_tokens}",
    )  # fmt: skip
    yield from _finding(
        grade_of(facts.unknown / max(1, facts.pieces), limits.unknown), "unknown", where,
        ("词表没有的字 characters that the vocabulary lacks ([UNK])",
         "替换或删去这些字 Replace or remove them; the model sees all of them as one and the same"),
        f"{part(facts.unknown, facts.pieces)}: {_some(facts.unknown_parts)}",
    )  # fmt: skip
    yield from _finding(
        grade_of(facts.empty / total, limits.empty), "empty", where,
        ("清洗后为空的文本 captions with nothing left after cleaning",
         "删去这些行 Drop these rows: they all mean the same to the model"),
        part(facts.empty, facts.count),
    )  # fmt: skip
    yield from _finding(
        _soft(facts.merged / max(1, facts.different), MANY_LOW_QUALITY), "merged", where,
        ("模型分不清的不同文本 different captions that are one to the model",
         "它们在截断处之前相同，或只差在 [UNK] They are equal up to the cut, or differ in [UNK] only"),
        part(facts.merged, facts.different),
    )  # fmt: skip
    yield from _style(store)


def _style(store: StoreCheckup) -> Iterator[Finding]:
    facts, where = store.captions, store.name
    total = max(1, facts.count)
    yield from _finding(
        _soft(facts.labels / total, MANY_CAPTIONS), "labels", where,
        ("像标签的文本（至多两个词）label-like captions (two words at most)",
         "写成句子，如“一张{}的照片”，并用 loss.duplicates=mask Make sentences of them by templates, and "
         "train with loss.duplicates=mask, or measure as classification"),
        f"{part(facts.labels, facts.count)}: {_some(facts.frequent_labels)}",
    )  # fmt: skip
    edges = sorted([*facts.starts, *facts.ends], key=lambda edge: -edge.captions)
    most = edges[0].captions if edges else 0
    yield from _finding(
        _soft(most / max(1, facts.different), MANY_CAPTIONS), "boilerplate", where,
        ("套话：许多文本开头或结尾相同 boilerplate: many captions begin or end alike",
         "删去套话，它占用词元而不说明图片 Strip it: it takes tokens and tells nothing about the picture"),
        f"{part(most, facts.different)}: {_some(edges)}",
    )  # fmt: skip
    simplified, both = (facts.scripts.get(name, 0) for name in ("简体 simplified", "简繁混用 both"))
    traditional = facts.scripts.get("繁体 traditional", 0)
    mixed = both + (min(simplified, traditional) if simplified and traditional else 0)
    yield from _finding(
        _soft(mixed / total, MANY_LOW_QUALITY), "scripts", where,
        ("简体与繁体混用 simplified and traditional Chinese mixed",
         "统一为一种，通常转为简体 Convert to one of them, usually simplified"),
        f"简 {simplified}, 繁 {traditional}, 同句混用 both in one {both}",
    )  # fmt: skip
    other = sum(facts.languages.get(name, 0) for name in ("拉丁 Latin", "其他 other", "无文字 no letters"))
    yield from _finding(
        _soft(other / total, MANY_CAPTIONS), "languages", where,
        ("没有汉字的文本 captions without a Chinese character",
         "词表以中文为主：请翻译或删去 The vocabulary is made for Chinese: translate or drop them"),
        part(other, facts.count),
    )  # fmt: skip


def _negatives(store: StoreCheckup, options: CheckupOptions, *, is_trained_on: bool) -> Iterator[Finding]:
    """False negatives of a batch; the first store is the one to train on, the others are only told of."""
    found, where = store.negatives, store.name
    if found is None:
        yield Finding(
            "error", "no-pairs", where, "没有可训练的图文对 no pairs to train on",
            f"{store.pictures.count} 张图片 pictures, {store.captions.count} 条文本 captions",
            "可用于搜索，不能训练 It can be searched, not trained on",
        )  # fmt: skip
        return
    size = found.wanted.batch_size
    masked = next(outlook for outlook in found.masked if outlook.batch_size == size)
    judged = masked if options.duplicates == "mask" else found.wanted
    grade = grade_of(judged.per_row, options.limits.false_negatives)
    if grade == "error" and size < options.batch_size and masked.rows_share <= FEW_ROWS:
        grade = "warning"  # a store smaller than a batch: everything meets, and the mask cures it
    if grade is not None and not is_trained_on:
        grade = "note"
    yield from _finding(
        grade, "false-negatives", where,
        ("批内假负样本 false negatives in a batch", _advice(found, masked.rows_share)),
        f"B = {size}: {judged.rows_share:.2%} 的行 of the rows, 每行 {judged.per_row:.2f} 个 per row",
    )  # fmt: skip


def _advice(found: Negatives, masked_share: float) -> str:
    """What helps against false negatives, given the share of rows that masking leaves."""
    if found.wanted.rows_share <= FEW_ROWS:
        return "很少，不必处理 So few that nothing needs to be done"
    if masked_share <= FEW_ROWS:
        return (
            f"用 loss.duplicates=mask 训练，只剩 {masked_share:.2%} 的行；或用 data.distinct=both、"
            "data.captions=one_per_image Train with loss.duplicates=mask: it leaves "
            f"{masked_share:.2%} of the rows; or with data.distinct=both or data.captions=one_per_image"
        )
    advice = (
        f"用 loss.duplicates=mask 后仍有 {masked_share:.2%}：先去重，或换用多正例损失、分组批次 Train with "
        f"loss.duplicates=mask, which leaves {masked_share:.2%} of the rows; remove duplicates, or use a "
        "multi-positive loss or batches that avoid equal rows"
    )
    if 8 <= found.largest < found.wanted.batch_size:
        advice += f"; B ≤ {found.largest} 时不足 keeps it below {FEW_ROWS:.0%}"
    return advice


def _leaks(leak: Leak, stores: Sequence[StoreCheckup], options: CheckupOptions) -> Iterator[Finding]:
    first, second = stores[leak.first], stores[leak.second]
    where = f"{first.name} ↔ {second.name}"
    near, limits = leak.near, options.limits
    grades = (grade_of(leak.same.share, limits.leakage), grade_of(near.share, limits.near_leakage))
    yield from _finding(
        next((grade for grade in GRADES if grade in grades), None), "leaked-pictures", where,
        ("两个库共有的图片 pictures in both stores",
         "测得的分数会虚高：从训练集删去它们 Scores measured on them are too good: remove them from "
         "training"),
        f"近似或相同 near or same {part(near.in_first, first.pictures.count)} ↔ "
        f"{part(near.in_second, second.pictures.count)}; "
        f"像素相同 same pixels {leak.same.in_first} ↔ {leak.same.in_second}",
    )  # fmt: skip
    shared = leak.captions
    yield from _finding(
        _soft(shared.share, SHARED_CAPTIONS), "leaked-captions", where,
        ("两个库共有的文本 captions in both stores",
         "短而常见的文本难免；长句相同则查来源 Short, common captions are bound to recur; for long ones look "
         "at where they come from"),
        f"{part(shared.in_first, first.captions.count)} ↔ {part(shared.in_second, second.captions.count)}",
    )  # fmt: skip


def _some(counted: Sequence[Counted], most: int = 5) -> str:
    return "，".join(f"{item.text} ×{item.captions}" for item in counted[:most]) or "-"
