"""Results of the compositional probe as tables, a chart, sentences and the content of `results.json`.

`results.json`, accuracies in percent:

    success   true
    chance    50
    kinds     name -> {shown, fluency, items, pictures, doubtful, unread, accuracy: {value, interval}, ties,
              margin, blind: {brevity, familiarity}, unfamiliar: {items, accuracy}, verdict: better | worse |
              unsure | too few, failures [{image, text, caption, false_caption, true_score, false_score}]};
              "all" is of all kinds that test the picture
    settings  seed, limit, samples
    run       checkpoint, data, preprocessing, precision, versions, seconds
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnclip.evaluation.page import Pictures, Section
from cnclip.evaluation.perturb.bars import Bar, BarChart
from cnclip.evaluation.perturb.composition import ALL, CHANCE, ProbeResult
from cnclip.evaluation.perturb.negatives import NEGATIVES
from cnclip.evaluation.perturb.robustness import Verdict
from cnclip.evaluation.perturb.robustness_report import interval_json
from cnclip.evaluation.perturb.words import printable
from cnclip.evaluation.statistics import FEWEST, Interval
from cnclip.stores.reader import StoreReader
from cnclip.tables import Table

Results = Mapping[str, ProbeResult]

TOGETHER = "合计 all that test the picture"
VERDICTS: dict[Verdict, str] = {
    "better": "比随机好 better than chance",
    "unsure": "与随机没有可靠差别 not reliably different from chance",
    "worse": "比随机差 worse than chance",
    "too few": f"图片少于 {FEWEST} 张，不下结论 too few pictures to tell",
}
TELLING = 60.0  # percent; a blind score above it gives a kind away


def composition_table(results: Results) -> Table:
    """One row per kind that has items, and one of all together."""
    rows = [
        [
            name,
            shown_name(name),
            str(found.items),
            str(found.pictures),
            _figures(found.accuracy),
            str(found.ties),
            f"{found.brevity:.1f}",
            f"{found.familiarity:.1f}",
            _figures(found.unfamiliar_accuracy) if found.unfamiliar_accuracy else "-",
            str(found.unfamiliar),
        ]
        for name, found in results.items()
        if found.accuracy is not None
    ]
    header = ["种类 kind", "做法 what", "题 items", "图 pictures", "准确率 accuracy", "平分 ties"]
    header += [
        "盲:较短 blind: shorter",
        "盲:常见 blind: familiar",
        "盲分帮不上的题 not told blindly",
        "其题数 its items",
    ]
    note = "随机 chance 50；平分算错 ties count against；盲分不看图 blind scores never see the picture"
    return Table("真句得分高于假句 True caption above the false one (%)", header, rows, note)


def failure_table(results: Results, image_ids: list[str]) -> Table:
    """Pictures whose false caption scored higher, with both."""
    rows = [
        [
            shown_name(name),
            image_ids[one.negative.image],
            one.negative.caption,
            one.negative.false_caption,
            f"{one.true_score:.3f}",
            f"{one.false_score:.3f}",
        ]
        for name, found in results.items()
        if name != ALL
        for one in found.failures
    ]
    header = ["种类 kind", "图片 picture", "真 true", "假 false", "真句分 true score", "假句分 false score"]
    return Table("答错得最多的题 Worst failures", header, rows)


def failure_sections(results: Results, store: StoreReader) -> list[Section]:
    """The same with the pictures: under each the true minus the false similarity.

    Args:
        results: of this store.
        store: where the pictures are.
    """
    sections = []
    for name, found in results.items():
        if name == ALL or not found.failures:
            continue
        answers: list[tuple[str, Pictures]] = []
        for one in found.failures:
            stored = store.image(one.negative.image)
            margin = one.true_score - one.false_score
            heading = f"真 true: {one.negative.caption} ／ 假 false: {one.negative.false_caption}"
            answers.append((heading, [(stored.image, stored.image_id, margin, False)]))
        note = "图下是真句减假句的余弦 true minus false cosine"
        sections.append(Section(shown_name(name), {"": answers}, note))
    return sections


def composition_chart(results: Results) -> BarChart:
    """Accuracy of each kind against chance; a cross marks what the better blind score gets."""
    bars = [
        Bar(
            shown_name(name),
            found.accuracy.value,
            found.accuracy.low,
            found.accuracy.high,
            f"{found.accuracy.value:.1f} ({found.items})",
            mark=max(found.brevity, found.familiarity),
            trusted=found.verdict != "too few",
        )
        for name, found in results.items()
        if found.accuracy is not None
    ]
    note = "黑线是 95% 区间，叉是不看图的最好成绩 lines: 95 % intervals; cross: the better blind score"
    return BarChart("准确率 Accuracy (%)", bars, CHANCE, 0.0, 100.0, note)


def composition_lines(results: Results) -> list[str]:
    """Sentences: what the model notices, what it does not, and which kinds can be guessed blindly."""
    found = {name: one for name, one in results.items() if name != ALL and one.accuracy is not None}
    lines = []
    for words, names in (
        *((words, [name for name in found if found[name].verdict == one]) for one, words in VERDICTS.items()),
        (
            "不看图也能猜中，不能算看懂 can be guessed without the picture",
            [name for name, one in found.items() if one.pictures >= FEWEST and _is_told(one)],
        ),
        ("没有适用的文本 no caption that it changes", [name for name in results if not results[name].items]),
    ):
        if names:
            lines.append(f"{words}: {'；'.join(map(shown_name, names))}")
    doubtful = results[ALL].doubtful
    if doubtful:
        lines.append(f"{doubtful} 题可能也是真的，未用 given up, since another caption says the same")
    if unread := sum(one.unread for name, one in results.items() if name != ALL):
        lines.append(
            f"{unread} 题改的地方在第 52 个 token 之后，或是词表里没有的字，模型读不到，未用 given up,"
            " since the tokenizer reads both captions alike"
        )
    return lines


def composition_json(
    results: Results, image_ids: list[str], *, settings: Mapping[str, Any], run: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of results.json; the module's docstring lists the fields."""
    return {
        "success": True,
        "chance": CHANCE,
        "kinds": {name: _probe_json(name, found, image_ids) for name, found in results.items()},
        "settings": dict(settings),
        "run": dict(run),
    }


def shown_name(name: str) -> str:
    """Chinese and English name of a kind, and of all together."""
    return TOGETHER if name == ALL else NEGATIVES[name].shown


def _probe_json(name: str, found: ProbeResult, image_ids: list[str]) -> dict[str, Any]:
    value: dict[str, Any] = {
        "shown": shown_name(name),
        "fluency": name != ALL and NEGATIVES[name].fluency,
        "items": found.items,
        "doubtful": found.doubtful,
        "unread": found.unread,
    }
    if found.accuracy is None:
        return value
    hard = found.unfamiliar_accuracy
    return value | {
        "pictures": found.pictures,
        "accuracy": interval_json(found.accuracy),
        "ties": found.ties,
        "verdict": found.verdict,
        "margin": round(found.margin, 5),
        "blind": {"brevity": round(found.brevity, 4), "familiarity": round(found.familiarity, 4)},
        "unfamiliar": {"items": found.unfamiliar, "accuracy": None if hard is None else interval_json(hard)},
        "failures": [
            {
                "image": image_ids[one.negative.image],
                "text": one.negative.text,
                "caption": printable(one.negative.caption),
                "false_caption": printable(one.negative.false_caption),
                "true_score": round(one.true_score, 5),
                "false_score": round(one.false_score, 5),
            }
            for one in found.failures
        ],
    }


def _is_told(found: ProbeResult) -> bool:
    """Whether a blind score alone does well; one that is mostly wrong tells as much, turned round."""
    return max(abs(found.brevity - CHANCE), abs(found.familiarity - CHANCE)) > TELLING - CHANCE


def _figures(interval: Interval | None) -> str:
    return "-" if interval is None else f"{interval.value:.1f} [{interval.low:.1f}, {interval.high:.1f}]"
