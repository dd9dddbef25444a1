"""Charts of scores: precision and recall, thresholds, histograms, and the size of the gallery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cnclip.evaluation.chapters.blocks import Block, Cell, Curves, Grid, Histogram, Paragraph, Words
from cnclip.evaluation.chapters.naming import MODEL
from cnclip.evaluation.insight.gallery_size import BySize
from cnclip.evaluation.insight.scores import ScoreSpreads
from cnclip.evaluation.insight.threshold import ThresholdFindings

SETTINGS = {
    "as they are": Words("都有答案", "All have an answer"),
    "half without": Words("一半没有答案", "Half have none"),
}


def precision_recall(found: Mapping[str, ThresholdFindings]) -> Curves:
    """Precision at the highest threshold that reaches each recall, both settings."""
    series, names = {}, {}
    for label, one in found.items():
        for setting, name in (("as they are", "precision"), ("half without", "mixed_precision")):
            key = f"{label} {setting}"
            series[key] = [(float(each.recall), getattr(each, name)) for each in one.at_recalls]
            words = SETTINGS[setting]
            names[key] = Words(f"{label}，{words.zh}", f"{label}, {words.en.lower()}")
    return Curves(
        Words("精确率与召回率", "Precision and recall"),
        Words("召回率（%）", "Recall (%)"),
        Words("精确率（%）", "Precision (%)"),
        series,
        note=Words(
            "阈值从高（左）到低（右）；每条线右端是不设阈值。",
            "From high thresholds at the left to low ones; each line ends at the right where there is none.",
        ),
        names=names,
    )


def figures_by_threshold(label: str, one: ThresholdFindings) -> Curves:
    shown = {
        "precision": Words("精确率，都有答案", "Precision, all have an answer"),
        "mixed_precision": Words("精确率，一半没有答案", "Precision, half have none"),
        "recall": Words("召回率", "Recall"),
        "rejection": Words("拒答率", "Rejection"),
    }
    return Curves(
        Words(f"{label}：按阈值", f"{label}: by threshold"),
        Words("阈值（余弦）", "Threshold (cosine)"),
        Words("%", "%"),
        {
            name: [(point.threshold, float(getattr(point.figures, name))) for point in one.curve]
            for name in shown
        },
        note=Words(
            "用全部文本算，没有留出；阈值越高，给得越少、越准。",
            "Of all captions, nothing held out; the higher the threshold, the fewer and surer the answers.",
        ),
        names=shown,
    )


def score_histogram(label: str, one: ThresholdFindings, spreads: ScoreSpreads) -> Histogram:
    marks = [(spreads.correct.median, Words("正确配对的中位数", "median of correct pairs"))]
    if one.suggested and one.suggested.useful:
        marks.insert(0, (one.suggested.threshold, Words("建议阈值", "suggested threshold")))
    return Histogram(
        Words(f"{label}：余弦的分布", f"{label}: how cosines are spread"),
        Words("余弦", "Cosine similarity"),
        spreads.edges,
        [
            (Words("正确配对", "Correct pairs"), spreads.correct.shares),
            (Words("最像的错图", "Best wrong picture"), spreads.hardest.shares),
            (Words("随机错图", "Random wrong picture"), spreads.random.shares),
        ],
        marks,
        Words(
            f"正确配对 {spreads.correct.count} 对，最像的错图 {spreads.hardest.count} 对，"
            f"随机错图 {spreads.random.count} 对。前两个轮廓重叠越多，越没有阈值能分开它们。",
            f"{spreads.correct.count} correct pairs, {spreads.hardest.count} with the best wrong picture,"
            f" {spreads.random.count} with random wrong pictures. The more the first two overlap, the less a"
            " threshold can part them.",
        ),
    )


def separation(found: Mapping[str, ThresholdFindings]) -> Grid:
    rows: list[list[Cell]] = []
    for label, one in found.items():
        if one.spreads is None:
            continue
        kinds = (one.spreads.correct, one.spreads.hardest, one.spreads.random)
        cells = [f"{kind.median:.3f} [{kind.low:.3f}, {kind.high:.3f}]" for kind in kinds]
        rows.append([label, *cells, f"{one.spreads.auc_random:.2f}", f"{one.spreads.auc_hardest:.2f}"])
    return Grid(
        Words("分数能分开什么", "What scores can tell apart"),
        [
            MODEL,
            Words("正确配对", "Correct pairs"),
            Words("最像的错图", "Best wrong picture"),
            Words("随机错图", "Random wrong picture"),
            Words("AUC 对随机 %", "AUC, random, %"),
            Words("AUC 对最像 %", "AUC, best wrong, %"),
        ],
        rows,
        Words(
            "中位数 [5 % 分位, 95 % 分位]。AUC 是一个正确配对高过一个错误配对的概率，50 等于瞎猜；"
            "不同文本的分数放在一起比，正如一个阈值所做的。",
            "Median [5th, 95th percentile]. AUC is the chance that a correct pair scores above a wrong one,"
            " 50 is luck; scores of different captions are compared with one another, as a threshold does.",
        ),
    )


def gallery_charts(found: Mapping[str, ThresholdFindings]) -> Iterator[Block]:
    """The best wrong score and the rejection in growing parts of the gallery; none where it is small."""
    grown = {label: one for label, one in found.items() if len(one.by_size.sizes) > 1}
    if not grown:
        return
    yield Curves(
        Words("图库越大，最像的错图越像", "The larger the gallery, the closer the best wrong picture"),
        Words("图库里的图片数（对数）", "Pictures in the gallery (logarithmic)"),
        Words("最像错图余弦的中位数", "Median cosine of the best wrong picture"),
        {
            label: [
                (float(size), median)
                for size, median in zip(one.by_size.sizes, one.by_size.medians, strict=True)
                if median == median
            ]
            for label, one in grown.items()
        },
        log_x=True,
        note=Words(
            "从图库里随机取一部分，再逐次加倍到全部。",
            "A random part of the gallery, doubled until it is the whole.",
        ),
    )
    for label, one in grown.items():
        yield Paragraph(_growth(label, one.by_size))


def _growth(label: str, by_size: BySize) -> Words:
    zh = f"{label}：图库每大一倍，最像错图的余弦约变 {by_size.per_doubling:+.4f}"
    en = f"{label}: each doubling of the gallery changes the best wrong cosine by {by_size.per_doubling:+.4f}"
    if by_size.rejections:
        (small, few), (whole, all_of_them) = [
            (by_size.sizes[place], f"{by_size.rejections[place]:.1f} %") for place in (0, -1)
        ]
        zh += f"；同一阈值，{small} 张图时拒答 {few}，{whole} 张时 {all_of_them}"
        en += f"; the same threshold rejects {few} with {small} pictures, {all_of_them} with {whole}"
    return Words(
        f"{zh}。图库比这里大时把阈值相应调高，最好重新测一次。",
        f"{en}. For a larger gallery raise the threshold by as much, or better, measure again.",
    )
