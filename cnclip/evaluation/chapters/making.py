"""The last chapter: the command that makes the same report again, versions, seed, seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnclip.evaluation.chapters.blocks import Block, Card, Cell, Chapter, Code, Grid, Words

Run = Mapping[str, Any]
STEPS = {
    "load": Words("读入模型", "Load the model"),
    "images": Words("图片向量", "Embed pictures"),
    "texts": Words("文本向量", "Embed captions"),
    "bank": Words("校正用的向量", "Embed the bank"),
    "ranks": Words("名次", "Ranks"),
    "intervals": Words("区间", "Intervals"),
    "neighbours": Words("每条查询的前几名", "First answers of each query"),
    "slices": Words("分类比较", "Slices"),
    "confusions": Words("最近的错图", "Nearest wrong pictures"),
    "suspects": Words("测试集疑点", "Suspects in the test set"),
    "geometry": Words("向量空间", "The embedding space"),
    "threshold": Words("阈值", "Threshold"),
    "corrections": Words("分数校正", "Score corrections"),
}


def making_chapter(runs: Mapping[str, Run]) -> Chapter:
    """The command that makes the same report again, versions, seed and times.

    Args:
        runs: model -> the `run` part of its results.json.
    """
    first = next(iter(runs.values()))
    drawn = first["bootstrap"]
    versions = ", ".join(f"{name} {version}" for name, version in first["versions"].items())
    facts: list[tuple[Words, Cell]] = [
        (Words("版本", "Versions"), versions),
        (Words("设备与精度", "Device and precision"), f"{first['device']}, {first['precision']}"),
        (Words("进程", "Processes"), str(first["processes"])),
        (Words("计数规则", "Protocol"), first["protocol"]),
        (
            Words("重抽样", "Bootstrap"),
            Words(
                f"{drawn['samples']} 次，种子 {drawn['seed']}",
                f"{drawn['samples']} samples, seed {drawn['seed']}",
            ),
        ),
    ]
    intro = Words(
        "在同样的数据和模型上运行下面的命令，会得到同样的数字。",
        "The command below gives the same numbers on the same data and models.",
    )
    setting = Card("cnclip eval retrieval", facts)
    blocks: list[Block] = [Code(str(first["command"])), setting, _times(runs)]
    return Chapter("making", Words("怎么做出来的", "How it was made"), blocks, intro)


def _times(runs: Mapping[str, Run]) -> Grid:
    """Seconds of each step, a column for each model."""
    seconds = [run["seconds"] for run in runs.values()]
    steps = list(dict.fromkeys(step for one in seconds for step in one))
    rows: list[list[Cell]] = [
        [STEPS.get(step, step), *(f"{one[step]:.2f}" if step in one else "-" for one in seconds)]
        for step in steps
    ]
    rows.append([Words("合计", "In all"), *(f"{sum(one.values()):.2f}" for one in seconds)])
    note = Words(
        "向量取自上次存下的时，只算读的时间。", "Embeddings that were kept count as reading time only."
    )
    header = [Words("步骤", "Step"), *(Words(label, label) for label in runs)]
    return Grid(Words("用时（秒）", "Seconds"), header, rows, note)
