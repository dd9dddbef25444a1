"""A zero-shot run as the content of `results.json`.

Of pictures with one class each (percent where nothing else is said; what may be null is said):

    success          true; a run that fails leaves no such file and a non-zero exit code
    metric           name (accuracy, mean-per-class, roc_auc, 11point_mAP), value, interval [low, high], 95 %
    top1, top5, mean_per_class, macro_f1
    intervals        top1, top5, mean_per_class, macro_f1: [low, high]
    chance           top1, top5
    images, unlabelled, empty_classes
    classes          [{name, images, top1, precision (null: never predicted)}]
    confusions       [{true, predicted, images, share}], the most frequent first
    calibration      temperature, accuracy, fitted_on, measured_on, and for each of fixed, own, fitted:
                     scale, ece, adaptive_ece, nll, confidence; null for a single picture
    namesakes        classes, images, top1_shared; null where all names differ
    template_weights null, or weights, effective, pictures, equal {top1, metric}, difference of top-1
                     {value, low, high, p, mcnemar_p, differs}
    templates        the sentences; dataset: ELEVATER's name or null
    against          null, or run (a folder), top1, top5: what this run is better by, as difference above
    run              checkpoint {name, image_tower, text_tower}, …, command, data {path, fingerprint: of the
                     pictures, their labels and the class names}

Of pictures that may show several classes: the same without macro_f1, confusions, calibration and namesakes;
classes hold average_precision (null: no picture) in place of top1; top1 and top5 ask whether a shown class is
at the top; intervals are of these two; mean_per_class is the mean 11-point average precision; chance holds
the metric of constant scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnclip.evaluation.calibration import Calibration
from cnclip.evaluation.multilabel import MultiLabelResult
from cnclip.evaluation.prompt_weights import TemplateWeights
from cnclip.evaluation.statistics import Difference, Interval
from cnclip.evaluation.zeroshot_findings import Findings


def findings_json(found: Findings) -> dict[str, Any]:
    """The measured part of results.json; the module's docstring lists the fields."""
    result, names = found.result, [each.name for each in found.result.classes]
    return {
        "success": True,
        "metric": _metric_json(found.metric, found.value),
        "top1": round(result.top1, 4),
        "top5": round(result.top5, 4),
        "mean_per_class": round(result.mean_per_class, 4),
        "macro_f1": round(found.spans["macro_f1"].value, 4),
        "intervals": {name: _span(span) for name, span in found.spans.items()},
        "chance": {"top1": round(result.chance(), 4), "top5": round(result.chance(5), 4)},
        "images": result.images,
        "empty_classes": result.empty_classes,
        "classes": [
            {
                "name": each.name,
                "images": each.images,
                "top1": round(each.top1, 4),
                "precision": _maybe(value),
            }
            for each, value in zip(result.classes, found.precisions, strict=True)
        ],
        "confusions": [
            {
                "true": names[pair.true],
                "predicted": names[pair.predicted],
                "images": pair.images,
                "share": round(pair.share, 4),
            }
            for pair in found.confusions
        ],
        "calibration": None if found.calibration is None else _calibration_json(found.calibration),
        "namesakes": None
        if found.namesakes is None
        else {
            "classes": found.namesakes.classes,
            "images": found.namesakes.images,
            "top1_shared": round(found.namesakes.top1_shared, 4),
        },
    }


def marked_json(found: MultiLabelResult) -> dict[str, Any]:
    """The measured part of results.json for pictures that show several classes."""
    return {
        "success": True,
        "metric": _metric_json("11point_mAP", found.map11),
        "top1": round(found.top1, 4),
        "top5": round(found.top5, 4),
        "mean_per_class": round(found.map11.value, 4),
        "intervals": {name: _span(span) for name, span in found.spans.items()},
        "chance": {"metric": round(found.chance, 4)},
        "images": found.images,
        "empty_classes": sum(not each.images for each in found.classes),
        "classes": [
            {"name": each.name, "images": each.images, "average_precision": _maybe(each.average_precision)}
            for each in found.classes
        ],
    }


def difference_json(difference: Difference) -> dict[str, Any]:
    """A tested difference, percentage points."""
    return {
        "value": round(difference.interval.value, 4),
        "low": round(difference.interval.low, 4),
        "high": round(difference.interval.high, 4),
        "p": round(difference.p, 4),
        "mcnemar_p": round(difference.mcnemar_p, 6),
        "differs": difference.differs,
    }


def weights_json(
    learned: TemplateWeights, difference: Difference, equal: Mapping[str, float]
) -> dict[str, Any]:
    """What the weights are and what they changed; `equal` holds the numbers of equal weights, percent."""
    return {
        "weights": [round(float(weight), 6) for weight in learned.weights],
        "effective": round(learned.effective, 4),
        "pictures": learned.pictures,
        "equal": {name: round(value, 4) for name, value in equal.items()},
        "difference": difference_json(difference),
    }


def _metric_json(name: str, span: Interval) -> dict[str, Any]:
    return {"name": name, "value": round(span.value, 4), "interval": _span(span)}


def _calibration_json(found: Calibration) -> dict[str, Any]:
    return {
        "temperature": round(found.temperature, 6),
        "accuracy": round(found.accuracy, 4),
        "fitted_on": found.fitted_on,
        "measured_on": found.measured_on,
        **{
            name: {
                "scale": round(each.scale, 4),
                "ece": round(each.ece, 4),
                "adaptive_ece": round(each.adaptive_ece, 4),
                "nll": round(each.nll, 6),
                "confidence": round(each.confidence, 4),
            }
            for name, each in (("fixed", found.fixed), ("own", found.own), ("fitted", found.fitted))
        },
    }


def _span(span: Interval) -> list[float]:
    return [round(span.low, 4), round(span.high, 4)]


def _maybe(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
