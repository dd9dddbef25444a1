"""Names of directions and numbers in both languages."""

from __future__ import annotations

from cnclip.evaluation.chapters.blocks import Words
from cnclip.evaluation.uncertainty import metric_name

DIRECTIONS = {"t2i": Words("文搜图", "Text → image"), "i2t": Words("图搜文", "Image → text")}
CHANCE = Words("随机", "Chance")
DIRECTION, MODEL = Words("方向", "Direction"), Words("模型", "Model")
_METRICS = {
    "median_rank": Words("中位名次", "Median rank"),
}


def metric_words(metric: str) -> Words:
    """How a number of results.json is called: r1 -> R@1."""
    plain = metric_name(metric)
    return _METRICS.get(metric, Words(plain, plain))


def percent(value: float | None) -> str:
    """One decimal, or a dash."""
    return "-" if value is None else f"{value:.1f}"


def with_interval(value: float, low: float, high: float) -> str:
    """A number and its interval: 14.0 [11.9, 16.1]."""
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"
