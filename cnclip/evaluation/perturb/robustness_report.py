"""Results of the robustness suite as tables, a chart, sentences and the content of `results.json`.

`results.json`, recalls in percent, text to image:

    success   true
    kinds     name -> {shown, promise: same | typo | less, captions, pictures, same_tokens, before, after:
              {r1, r5, r10, mean_recall}, chance (mean recall), change: {r1 …: {value, interval}},
              mcnemar_p (of R@1), similarity, verdict: worse | better | unsure | too few,
              examples [{before, after, rank_before, rank_after}]}, or {…, captions: 0, skipped: why}
    settings  seed, limit, samples
    run       checkpoint, data, preprocessing, precision, versions, seconds
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnclip.evaluation.perturb.bars import Bar, BarChart
from cnclip.evaluation.perturb.kinds import KINDS, PROMISES
from cnclip.evaluation.perturb.robustness import KindResult, Verdict
from cnclip.evaluation.perturb.words import printable
from cnclip.evaluation.statistics import FEWEST, Interval
from cnclip.tables import Table

Results = Mapping[str, KindResult]
VERDICTS: dict[Verdict, str] = {
    "worse": "变差 worse",
    "better": "变好 better",
    "unsure": "无可靠变化 no reliable change",
    "too few": f"图片少于 {FEWEST} 张 too few pictures",
}


NOTHING_TO_LOSE = (
    "改写前的召回与随机相差无几，没有什么可丢：没有变差不说明模型稳健 recall before the change is hardly"
    " above chance: there is nothing to lose, and no loss is no sign of robustness"
)


def robustness_table(results: Results) -> Table:
    """One row per kind that was measured, those that change no caption left out."""
    rows = []
    for name, found in results.items():
        if found.change is None or found.before is None or found.after is None:
            continue
        change = found.change["mean_recall"]
        rows.append(
            [
                name,
                KINDS[name].shown,
                str(found.captions),
                f"{100 * found.same_tokens / found.captions:.0f}%",
                f"{found.before['r1']:.1f}→{found.after['r1']:.1f}",
                f"{found.before['r10']:.1f}→{found.after['r10']:.1f}",
                f"{found.before['mean_recall']:.1f}→{found.after['mean_recall']:.1f}",
                _figures(change),
                VERDICTS[found.verdict],
                f"{found.similarity:.3f}",
            ]
        )
    header = ["种类 kind", "做法 what", "文本 captions", "同 token same tokens", "R@1", "R@10", "MR"]
    header += ["MR 变化 change", "结论 verdict", "余弦 cosine"]
    note = (
        "每行只算该改写适用的文本，改写前后同一批；区间按图片成组重抽样，二十行里有一行碰巧变化属正常"
        " the same captions before and after; one row in twenty changes by luck"
    )
    return Table("文搜图召回：改写前→改写后 Text→image recall, before→after (%)", header, rows, note)


def example_table(results: Results) -> Table:
    """Captions before and after, with the ranks of their pictures."""
    rows = [
        [KINDS[name].shown, example.before, example.after, f"{example.rank_before}→{example.rank_after}"]
        for name, found in results.items()
        for example in found.examples
    ]
    header = ["种类 kind", "改写前 before", "改写后 after", "名次 rank"]
    return Table("失位最多的例子 Captions that lost most places", header, rows)


def robustness_chart(results: Results) -> BarChart:
    """Change of mean recall of each kind."""
    bars = [
        Bar(
            KINDS[name].shown,
            change.value,
            change.low,
            change.high,
            f"{round(change.value, 1) + 0.0:+.1f} ({found.captions})",
            trusted=found.verdict != "too few",
        )
        for name, found in results.items()
        if found.change is not None
        for change in [found.change["mean_recall"]]
    ]
    low = min([0.0, *(bar.low for bar in bars)])
    high = max([0.0, *(bar.high for bar in bars)])
    room = max(1.0, high - low) / 20
    return BarChart(
        title="平均召回的变化（百分点）Change of mean recall, percentage points",
        bars=bars,
        origin=0.0,
        low=round(low - room, 1),
        high=round(high + room, 1),
        note="黑线是 95% 区间，灰色的没有可靠变化 lines: 95 % intervals; grey: no reliable change",
    )


def robustness_lines(results: Results) -> list[str]:
    """Sentences on what is lost, on what is not, and on what could not be measured."""
    lines = [NOTHING_TO_LOSE] if _nothing_to_lose(results) else []
    for promise, shown in PROMISES.items():
        mine = {name: one for name, one in results.items() if KINDS[name].promise == promise and one.change}
        if not mine:
            continue
        changes = {name: one.change["mean_recall"] for name, one in mine.items() if one.change is not None}
        lost = [name for name in sorted(changes, key=_by_value(changes)) if mine[name].verdict == "worse"]
        gained = [name for name in changes if mine[name].verdict == "better"]
        parts = [f"{KINDS[name].shown} {_figures(changes[name])}" for name in lost]
        words = "可靠地变差 reliably worse: " + ("；".join(parts) if parts else "没有 none")
        if gained:
            words += "；可靠地变好 reliably better: " + "；".join(KINDS[name].shown for name in gained)
        lines.append(f"{shown}：{words}")
    nothing = [KINDS[name].shown for name, one in results.items() if not one.captions and not one.skipped]
    if nothing:
        lines.append(f"没有适用的文本 no caption that it changes: {'；'.join(nothing)}")
    lines += [f"{KINDS[name].shown}：{one.skipped}" for name, one in results.items() if one.skipped]
    return lines


def robustness_json(
    results: Results, *, settings: Mapping[str, Any], run: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of results.json; the module's docstring lists the fields."""
    return {
        "success": True,
        "kinds": {name: _kind_json(name, found) for name, found in results.items()},
        "settings": dict(settings),
        "run": dict(run),
    }


def interval_json(interval: Interval) -> dict[str, Any]:
    """A number with its interval, four decimals."""
    return {"value": round(interval.value, 4), "interval": [round(interval.low, 4), round(interval.high, 4)]}


def _kind_json(name: str, found: KindResult) -> dict[str, Any]:
    value: dict[str, Any] = {
        "shown": KINDS[name].shown,
        "promise": KINDS[name].promise,
        "captions": found.captions,
    }
    if found.skipped:
        value["skipped"] = found.skipped
    if found.change is None or found.before is None or found.after is None:
        return value
    return value | {
        "pictures": found.pictures,
        "same_tokens": found.same_tokens,
        "before": {key: round(number, 4) for key, number in found.before.items()},
        "after": {key: round(number, 4) for key, number in found.after.items()},
        "change": {key: interval_json(change) for key, change in found.change.items()},
        "mcnemar_p": found.mcnemar_p,
        "chance": round(found.chance, 4),
        "similarity": round(found.similarity, 4),
        "verdict": found.verdict,
        "examples": [
            {
                "before": printable(one.before),
                "after": printable(one.after),
                "rank_before": one.rank_before,
                "rank_after": one.rank_after,
            }
            for one in found.examples
        ],
    }


def _nothing_to_lose(results: Results) -> bool:
    """Whether no kind of enough pictures had twice the mean recall of a random order before its change."""
    mine = [one for one in results.values() if one.before is not None and one.pictures >= FEWEST]
    before = [(one.before or {})["mean_recall"] for one in mine]
    return bool(mine) and all(value < 2 * one.chance for value, one in zip(before, mine, strict=True))


def _figures(change: Interval) -> str:
    value, low, high = (
        round(number, 1) + 0.0 for number in (change.value, change.low, change.high)
    )  # no -0.0
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


def _by_value(changes: Mapping[str, Interval]) -> Callable[[str], float]:
    return lambda name: changes[name].value
