"""The outcome as tables of ready text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cnclip.stores.doctor.caption_facts import Counted
from cnclip.stores.doctor.findings import Finding, part
from cnclip.stores.doctor.outcome import Checkup, StoreCheckup
from cnclip.tables import Table

GRADE_NAMES = {"error": "错误 error", "warning": "警告 warning", "note": "提示 note"}
_SHOWN = 60  # characters of a caption in a table


def verdict(checkup: Checkup) -> str:
    """The answer in one line."""
    errors = sum(finding.grade == "error" for finding in checkup.findings)
    warnings = sum(finding.grade == "warning" for finding in checkup.findings)
    if errors:
        return f"先别训练 do not train yet: {errors} 项错误 errors, {warnings} 项警告 warnings"
    return f"可以训练 training may start: 没有错误 no errors, {warnings} 项警告 warnings"


def finding_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """Each finding in three lines: grade, title and numbers; where; what to do."""
    for finding in findings:
        yield f"[{GRADE_NAMES[finding.grade]}] {finding.title}: {finding.measured}"
        yield f"    {finding.where}"
        yield f"    → {finding.advice}"


def summary_tables(checkup: Checkup) -> list[Table]:
    """What fits on a screen: counts, duplicates, what the stores share, false negatives."""
    tables = [_counts(checkup), _repeats(checkup)]
    if checkup.leaks:
        tables.append(_shared(checkup))
    return tables + [_batches(store) for store in checkup.stores if store.negatives]


def store_tables(store: StoreCheckup) -> list[Table]:
    """The details of one store."""
    pictures, captions = store.pictures, store.captions
    return [
        _shares("图片格式 Picture formats", "格式 format", pictures.formats, pictures.decoded),
        _shares("图片模式 Picture modes", "模式 mode", pictures.modes, pictures.decoded),
        _shares("语言 Languages", "语言 language", captions.languages, captions.count),
        _shares("简繁 Scripts", "字形 script", captions.scripts, captions.count),
        _shares("全角与半角 Full and half width", "写法 form", captions.widths, captions.count),
        _examples("未知字 What becomes [UNK]", captions.unknown_parts),
        _examples("重复最多的文本 Most repeated captions", captions.repeated),
        _examples("常见标签 Frequent labels", captions.frequent_labels),
        _examples("相同开头 Common beginnings", captions.starts),
        _examples("相同结尾 Common endings", captions.ends),
        Table(
            "最长的文本 Longest captions",
            ["词元 tokens", "文本 caption"],
            [[str(item.tokens), cut(item.text)] for item in captions.longest],
        ),
    ]


def cut(text: str, most: int = _SHOWN) -> str:
    """The text, or its start and an ellipsis."""
    return text if len(text) <= most else f"{text[:most]}…"


def _counts(checkup: Checkup) -> Table:
    header = ["库 store", "图片 pictures", "文本 captions", "图文对 pairs", "坏图 undecodable",
              "截断 truncated", "[UNK]", "空文本 empty", "空白图 blank"]  # fmt: skip
    rows = []
    for store in checkup.stores:
        pictures, captions = store.pictures, store.captions
        cells = [
            pictures.count,
            captions.count,
            len(store.sketch.pair_images),
            pictures.count - pictures.decoded,
        ]
        rows.append(
            [
                store.name,
                *map(str, cells),
                f"{captions.truncated / max(1, captions.count):.2%}",
                f"{captions.unknown / max(1, captions.pieces):.2%}",
                str(captions.empty),
                str(pictures.blank),
            ]
        )
    return Table("数据概况 The data", header, rows)


def _repeats(checkup: Checkup) -> Table:
    header = [
        "库 store",
        "字节相同 same bytes",
        "像素相同 same pixels",
        "近似 near",
        "文本相同 same caption",
    ]
    rows = []
    for store in checkup.stores:
        groups = (store.same_bytes, store.same_pixels, store.near, store.same_captions)
        rows.append([store.name, *(f"{group.extra} ({len(group.sizes)})" for group in groups)])
    note = f"多余的行（组数） extra rows (groups); 近似 near: {checkup.options.near} bits of 64"
    if checkup.crowded:
        note += f"; {checkup.crowded} 次比较未做 comparisons left out: too many pictures alike"
    return Table("重复 Repetition", header, rows, note)


def _shared(checkup: Checkup) -> Table:
    header = ["库 stores", "像素相同 same pixels", "近似或相同 near or same", "文本相同 same caption"]
    rows = []
    for leak in checkup.leaks:
        first, second = checkup.stores[leak.first], checkup.stores[leak.second]
        for store, place in ((first, "in_first"), (second, "in_second")):
            other = second if store is first else first
            same, near, captions = (getattr(item, place) for item in (leak.same, leak.near, leak.captions))
            total = store.pictures.count
            cells = [part(same, total), part(near, total), part(captions, store.captions.count)]
            rows.append([f"{store.name} ∩ {other.name}", *cells])
    return Table("库之间的泄漏 Leakage between stores", header, rows)


def _batches(store: StoreCheckup) -> Table:
    assert store.negatives is not None
    rows = [
        [
            str(plain.batch_size),
            f"{plain.false_negatives:.2f}",
            f"{plain.per_row:.2f}",
            f"{plain.rows_share:.2%}",
            f"{masked.false_negatives:.2f}",
            f"{masked.rows_share:.2%}",
        ]
        for plain, masked in zip(store.negatives.outlooks, store.negatives.masked, strict=True)
    ]
    header = [
        "批大小 B",
        "假负样本对 false negatives",
        "每行 per row",
        "受影响的行 rows",
        "mask 后 with mask",
        "行 rows",
    ]
    note = (
        f"{part(store.negatives.sharing, store.negatives.pairs)} 的图文对与别的图文对文字或图片相同 "
        "of the pairs share a caption or a picture; mask = loss.duplicates=mask"
    )
    return Table(f"批内假负样本的期望 Expected false negatives: {store.name}", header, rows, note)


def _shares(title: str, name: str, counts: Mapping[str, int], total: int) -> Table:
    rows = [[key, str(count), f"{count / max(1, total):.2%}"] for key, count in counts.items()]
    return Table(title, [name, "数量 count", "占比 share"], rows)


def _examples(title: str, counted: Sequence[Counted]) -> Table:
    rows = [[cut(item.text), str(item.captions)] for item in counted]
    return Table(title, ["文字 text", "文本数 captions"], rows)
