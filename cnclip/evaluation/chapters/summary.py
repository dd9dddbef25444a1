"""The first chapter: what was measured, the main numbers with their intervals, and how models differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cnclip.evaluation.chapters.blocks import Block, Cell, Chapter, Grid, Paragraph, Words
from cnclip.evaluation.chapters.naming import (
    CHANCE,
    DIRECTION,
    DIRECTIONS,
    MODEL,
    metric_words,
    percent,
    with_interval,
)
from cnclip.evaluation.retrieval_tables import JSON_NAMES, shared_metrics
from cnclip.evaluation.uncertainty import Comparison

Run = Mapping[str, Any]
FEWEST = 20  # queries below which no number is to be trusted


def summary_chapter(runs: Mapping[str, Run]) -> Chapter:
    """Two sentences and the main table.

    Args:
        runs: model -> content of its results.json, all measured on the same data.
    """
    blocks: list[Block] = [Paragraph(words) for words in _sentences(runs)]
    blocks.append(_main_table(runs))
    official = {label: run["cn_clip"] for label, run in runs.items() if "cn_clip" in run}
    if official:
        blocks.append(_official_table(official))
    return Chapter("summary", Words("总结", "Summary"), blocks)


def differences_chapter(comparisons: Sequence[Comparison]) -> Chapter:
    """Whether two models differ, number by number, in words.

    Args:
        comparisons: of every two models; none make a chapter that is left out.
    """
    title = Words("模型之间的差别", "How the models differ")
    if not comparisons:
        return Chapter("differences", title, [])
    blocks: list[Block] = [Paragraph(words) for words in _verdicts(comparisons)]
    pairs = list(dict.fromkeys((one.first, one.second) for one in comparisons))
    for first, second in pairs:
        mine = [one for one in comparisons if (one.first, one.second) == (first, second)]
        heading = Words(f"{second} 减 {first}，同样的查询", f"{second} minus {first}, the same queries")
        blocks.append(Grid(heading, _header(first, second), [_difference_row(one) for one in mine]))
    note = Words(
        "方括号里是 95% 自助法区间；不含 0 才算有可靠差别。McNemar 检验只看首位答案。",
        "Brackets: 95 % bootstrap interval; two models differ where it leaves out 0."
        " McNemar's test looks at the first answer only.",
    )
    if len(pairs) > 1:
        note = Words(
            f"{note.zh}共 {len(comparisons)} 次比较，p 值未作多重比较校正。",
            f"{note.en} {len(comparisons)} comparisons; p values are not corrected for their number.",
        )
    return Chapter("differences", title, [*blocks, Paragraph(note)])


def _header(first: str, second: str) -> list[Words]:
    return [
        DIRECTION,
        Words("指标", "Number"),
        Words("差（百分点）", "Difference (points)"),
        Words("p", "p"),
        Words("McNemar p", "McNemar p"),
        Words(f"只有 {first} 对", f"Only {first} right"),
        Words(f"只有 {second} 对", f"Only {second} right"),
    ]


def _sentences(runs: Mapping[str, Run]) -> Iterator[Words]:
    first = next(iter(runs.values()))
    texts, images = first["text_to_image"], first["image_to_text"]
    yield Words(
        f"用 {texts['queries']} 条中文文本在 {texts['gallery']} 张图片里找图，再用 {images['queries']} 张图片"
        f"在 {images['gallery']} 条文本里找文。",
        f"{texts['queries']} Chinese texts were searched among {texts['gallery']} pictures, and"
        f" {images['queries']} pictures among {images['gallery']} texts.",
    )
    left_out = texts["unlabelled"], images["unlabelled"]
    if any(left_out):
        yield Words(
            f"没有标注答案、因此不计入的查询：{left_out[0]} 条文本，{left_out[1]} 张图片。",
            f"Left out, since nothing says what is correct: {left_out[0]} texts, {left_out[1]} pictures.",
        )
    repeated = first.get("counts", {}).get("repeated_captions", 0)
    if repeated:
        yield Words(
            f"{repeated} 条文本与别的图片的文本一字不差：任何模型都分不开，同分按错算，R@1 因此偏低。",
            f"{repeated} captions are word for word another picture's: no model can tell them apart, and ties"
            " count against it, so R@1 is low.",
        )
    yield _best(runs)
    if all(_is_chance(run) for run in runs.values()):
        yield Words(
            "这些数字与随机没有可靠的差别：在这份数据上，没有哪个模型学到了可用的东西。",
            "These numbers do not differ reliably from chance: on these data no model here has learnt"
            " anything of use.",
        )
    if min(texts["queries"], images["queries"]) < FEWEST:
        yield Words(
            f"查询不足 {FEWEST} 条，下面的数字只能看看，不能当结论。",
            f"Fewer than {FEWEST} queries: the numbers below show that things work, and prove nothing.",
        )


def _is_chance(run: Run) -> bool:
    """Whether the interval of the recall at the largest K reaches down to chance, both ways."""
    for way in ("text_to_image", "image_to_text"):
        found = run[way]
        name = max((name for name in found["chance"] if name[1:].isdigit()), key=lambda name: int(name[1:]))
        span = found.get("intervals", {}).get(name)
        if span is None or span[0] > found["chance"][name] or found["chance"][name] >= 100:
            return False
    return True


def _best(runs: Mapping[str, Run]) -> Words:
    """The best model's main numbers, text to image, beside chance."""
    best = max(runs, key=lambda label: float(runs[label]["mean_recall"]))
    found = runs[best]["text_to_image"]
    names = [name for name in shared_metrics(runs.values()) if name[1:].isdigit()]
    ends = dict.fromkeys((names[0], names[-1]))
    shares = [(name[1:], percent(found[name]), _chance(found["chance"][name])) for name in ends]
    zh = "，".join(
        f"正确图片{'排第一' if k == '1' else f'在前 {k} 个里'}的占 {share}%（随机 {chance}%）"
        for k, share, chance in shares
    )
    en = ", ".join(
        f"{share} % {'in first place' if k == '1' else f'among the first {k}'} (chance {chance} %)"
        for k, share, chance in shares
    )
    start = Words("", "From")
    if len(runs) > 1:  # no verdict: whether models differ is said by the chapter after this one
        start = Words(f"平均召回率最高的是 {best}：", f"{best} has the highest mean recall: from")
    middle = f"{found['median_rank']:g}"
    return Words(
        f"{start.zh}文搜图时，{zh}；一半查询的正确图片排在前 {middle} 名。",
        f"{start.en} text to image a correct picture is found for {en}; for half of the texts it is among"
        f" the first {middle}.",
    )


def _chance(value: float) -> str:
    """Two digits, as far as these are not whole: 0.13, 1.3, 13, 100."""
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"


def _main_table(runs: Mapping[str, Run]) -> Grid:
    names = shared_metrics(runs.values())
    rows: list[list[Cell]] = []
    for way, key in JSON_NAMES.items():
        chance = next(iter(runs.values()))[key]["chance"]
        rows.append([DIRECTIONS[way], CHANCE, *(percent(chance.get(name)) for name in names)])
        for label, run in runs.items():
            rows.append([DIRECTIONS[way], label, *(_cell(run[key], name) for name in names)])
    note = Words(
        "百分比（名次除外），MR 是各 R@K 的平均。方括号里是 95% 区间，同一图片的文本一起重抽样。"
        "同分时按最坏的名次算。",
        "Percent, ranks aside; MR is the mean of the R@K. Brackets: 95 % intervals, captions of one picture"
        " drawn together. Ties count against the model.",
    )
    header = [DIRECTION, MODEL, *map(metric_words, names)]
    return Grid(Words("图文检索", "Retrieval"), header, rows, note)


def _cell(found: Run, name: str) -> str:
    span = found.get("intervals", {}).get(name)
    return percent(found[name]) if span is None else with_interval(found[name], *span)


def _official_table(official: Mapping[str, Mapping[str, Run]]) -> Grid:
    names = ("r1", "r5", "r10", "mean_recall")
    rows: list[list[Cell]] = []
    for way, key in JSON_NAMES.items():
        for label, run in official.items():
            counts = [str(run[key][name]) for name in ("queries", "without_answer")]
            rows.append([DIRECTIONS[way], label, *(percent(run[key][name]) for name in names), *counts])
    header = [DIRECTION, MODEL, *map(metric_words, names), Words("查询", "Queries")]
    note = Words("没有答案的查询按未命中计。", "Queries without an answer count as misses.")
    title = Words("按 cn_clip 的算法", "As cn_clip counts")
    return Grid(title, [*header, Words("无答案", "Without answer")], rows, note)


def _verdicts(comparisons: Sequence[Comparison]) -> Iterator[Words]:
    """One sentence per two models: where they differ reliably, and where not."""
    for first, second in dict.fromkeys((one.first, one.second) for one in comparisons):
        mine = [one for one in comparisons if (one.first, one.second) == (first, second)]
        parts: list[Words] = []
        for better, worse, sign in ((second, first, 1), (first, second, -1)):
            won = [one for one in mine if one.difference.differs and sign * one.difference.interval.value > 0]
            if won:
                zh, en = _listed(won)
                parts.append(
                    Words(
                        f"{better} 可靠地好于 {worse}：{zh}",
                        f"{better} is reliably better than {worse}: {en}",
                    )
                )
        even = [one for one in mine if not one.difference.differs]
        if even:
            zh, en = _listed(even)
            parts.append(
                Words(
                    f"{first} 与 {second} 没有可靠差别：{zh}",
                    f"{first} and {second} do not differ reliably: {en}",
                )
            )
        yield Words("；".join(part.zh for part in parts) + "。", "; ".join(part.en for part in parts) + ".")


def _listed(comparisons: Sequence[Comparison]) -> tuple[str, str]:
    names = [(DIRECTIONS[one.direction], metric_words(one.metric)) for one in comparisons]
    zh = "、".join(f"{way.zh} {metric.zh}" for way, metric in names)
    return zh, ", ".join(f"{way.en.lower()} {metric.en}" for way, metric in names)


def _difference_row(one: Comparison) -> list[Cell]:
    found, span = one.difference, one.difference.interval
    row: list[Cell] = [DIRECTIONS[one.direction], metric_words(one.metric)]
    row += [f"{span.value:+.2f} [{span.low:+.2f}, {span.high:+.2f}]", _p(found.p)]
    if not one.metric.startswith("r"):
        return [*row, "-", "-", "-"]
    return [*row, _p(found.mcnemar_p), str(found.first_only), str(found.second_only)]


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
