"""A zero-shot run as tables: the numbers, the hardest classes, confusions, calibration, template weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnclip.evaluation.calibration import Calibration, Reliability
from cnclip.evaluation.multilabel import MultiLabelResult
from cnclip.evaluation.prompt_weights import TemplateWeights
from cnclip.evaluation.statistics import Difference, Interval, in_words
from cnclip.evaluation.zeroshot_findings import Findings
from cnclip.tables import Table

HARDEST = 10
_HEADER = ["指标 metric", "模型 model", "95% 区间 interval", "随机 chance"]
_CLASS_HEADER = ["类别 class", "图片 images", "top-1", "精确率 precision", "常被认作 taken for"]


def findings_tables(found: Findings, *, most_classes: int | None = HARDEST) -> list[Table]:
    """The numbers, the hardest classes, the confusions, the calibration.

    Args:
        found: what was found.
        most_classes: rows of the class table; None shows all.
    """
    result = found.result
    rows = [
        _metric_row("top-1", found.spans["top1"], result.chance()),
        _metric_row("top-5", found.spans["top5"], result.chance(5)),
        _metric_row("类平均 mean per class", found.spans["mean_per_class"], result.chance()),
        _metric_row("宏 F1 macro F1", found.spans["macro_f1"], None),
    ]
    if found.metric not in ("accuracy", "mean-per-class"):
        rows.append(_metric_row(found.metric, found.value, 50.0 if found.metric == "roc_auc" else None))
    note = (
        f"{result.images} 张图片 images, {len(result.classes)} 类 classes; 评判指标 judged by {found.metric}"
    )
    if result.empty_classes:
        note += f"; {result.empty_classes} 类没有图片 classes without images"
    if found.namesakes is not None:
        same = found.namesakes
        note += (
            f"; {same.classes} 类与别的类同名，其 {same.images} 张图片全部算错 share their name, so all their"
            f" images count as wrong; 同名算对时 if a namesake counted, top-1 {same.top1_shared:.1f}"
        )
    tables = [Table("零样本分类 Zero-shot classification (%)", _HEADER, rows, note)]
    tables += [_class_table(found, most_classes), _confusion_table(found)]
    if found.calibration is not None:
        tables.append(calibration_table(found.calibration))
    return [table for table in tables if table.rows]


def calibration_table(found: Calibration) -> Table:
    """The three scales, on the held-out half."""
    names = ["常数 constant 100", "自带 checkpoint's own", "拟合 fitted"]
    rows = [
        [
            name,
            f"{each.scale:.2f}",
            f"{each.ece:.2f}",
            f"{each.adaptive_ece:.2f}",
            f"{each.nll:.3f}",
            f"{each.confidence:.1f}",
        ]
        for name, each in zip(names, (found.fixed, found.own, found.fitted), strict=True)
    ]
    header = ["尺度 scale", "值 value", "ECE", "等量 ECE adaptive", "NLL", "平均置信度 confidence"]
    note = (
        f"在 {found.fitted_on} 张上拟合，在另外 {found.measured_on} 张上测量 fitted on one half, measured"
        f" on the other; 准确率 accuracy {found.accuracy:.1f}; 温度 temperature {found.temperature:.3f}"
    )
    if found.at_end:
        note += (
            "; 拟合停在搜索范围的边上，没有合适的温度 the fit ended at the edge of its search: no temperature"
            " mends this"
        )
    return Table("校准 Calibration (ECE: 百分点 percentage points)", header, rows, note)


def reliability_table(found: Reliability, name: str) -> Table:
    """Confidence and accuracy of the bins of one scale."""
    rows = [[str(each.images), f"{each.confidence:.1f}", f"{each.accuracy:.1f}"] for each in found.bins]
    header = ["图片 images", "置信度 confidence", "准确率 accuracy"]
    return Table(f"可靠性 Reliability: {name}", header, rows)


def marked_tables(found: MultiLabelResult, *, most_classes: int | None = HARDEST) -> list[Table]:
    """The numbers and the hardest classes of pictures that show several classes."""
    rows = [
        _metric_row("11point_mAP", found.map11, found.chance),
        _metric_row("top-1", found.spans["top1"], None),
        _metric_row("top-5", found.spans["top5"], None),
    ]
    note = f"{found.images} 张图片 images, {len(found.classes)} 类 classes"
    summary = Table("多标签零样本分类 Multi-label zero-shot classification (%)", _HEADER, rows, note)
    measured = [each for each in found.classes if each.average_precision is not None]
    measured.sort(key=lambda each: each.average_precision or 0.0)
    classes = [
        [each.name, str(each.images), f"{each.average_precision:.1f}"] for each in measured[:most_classes]
    ]
    header = ["类别 class", "图片 images", "11-point AP"]
    return [summary, Table("最难的类别 Hardest classes", header, classes)]


def weights_tables(
    learned: TemplateWeights, templates: Sequence[str], difference: Difference, *, shown: int = 5
) -> list[Table]:
    """The heaviest and lightest templates, and in words what the weights changed."""
    order = np.argsort(-learned.weights, kind="stable")
    chosen = order if len(order) <= 2 * shown else np.concatenate([order[:shown], order[-shown:]])
    rows = [[templates[i], f"{100 * learned.weights[i]:.2f}%", f"{learned.scores[i]:.3f}"] for i in chosen]
    words = in_words(difference, "top-1", "平均 equal weights", "加权 learned weights")
    note = f"{words}; 有效模板数 effective templates {learned.effective:.1f} / {len(templates)}"
    header = ["模板 template", "权重 weight", "得分 score"]
    return [Table("模板权重 Template weights (ZPE, 不看标签 without labels)", header, rows, note)]


def _class_table(found: Findings, most: int | None) -> Table:
    measured = [
        (each, value)
        for each, value in zip(found.result.classes, found.precisions, strict=True)
        if each.images
    ]
    measured.sort(key=lambda pair: pair[0].top1)
    rows = [
        [
            each.name,
            str(each.images),
            f"{each.top1:.1f}",
            "-" if value is None else f"{value:.1f}",
            "，".join(f"{name} {count}" for name, count in each.taken_for[:3]) or "-",
        ]
        for each, value in measured[:most]
    ]
    title = "最难的类别 Hardest classes" if most is not None else "各类别，最难的在前 Hardest classes first"
    return Table(title, _CLASS_HEADER, rows)


def _confusion_table(found: Findings, most: int = HARDEST) -> Table:
    names = [each.name for each in found.result.classes]
    rows = [
        [names[pair.true], names[pair.predicted], str(pair.images), f"{pair.share:.1f}"]
        for pair in found.confusions[:most]
    ]
    header = ["真实 true", "认作 predicted", "图片 images", "占该类 share (%)"]
    return Table("最常混淆 Most frequent confusions", header, rows)


def _metric_row(name: str, span: Interval, chance: float | None) -> list[str]:
    shown = "-" if chance is None else f"{chance:.1f}"
    return [name, f"{span.value:.1f}", f"[{span.low:.1f}, {span.high:.1f}]", shown]
