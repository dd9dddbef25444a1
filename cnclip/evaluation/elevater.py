"""The 20 data sets of CN-ELEVATER and ImageNet-1K, each with its own metric and template set, as data.

Metrics are those of the ELEVATER toolkit (Li et al., ELEVATER, NeurIPS 2022, data sets and benchmarks track),
not top-1 for all: most numbers that could not be reproduced were measured with another metric.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from cnclip.errors import UnknownNameError
from cnclip.evaluation.class_metrics import MetricName


@dataclass(frozen=True)
class ElevaterSet:
    """One data set.

    Attributes:
        name: as submissions call it.
        classes: how many.
        metric: by which it is judged.
        templates: name of our own template set that suits it.
    """

    name: str
    classes: int
    metric: MetricName
    templates: str


_ROWS: tuple[tuple[str, int, MetricName, str], ...] = (
    ("caltech-101", 102, "mean-per-class", "general"),
    ("cifar-10", 10, "accuracy", "low_resolution"),
    ("cifar-100", 100, "accuracy", "low_resolution"),
    ("country211", 211, "accuracy", "places"),
    ("dtd", 47, "accuracy", "texture"),
    ("eurosat_clip", 10, "accuracy", "satellite"),
    ("fer-2013", 7, "accuracy", "faces"),
    ("fgvc-aircraft-2013b-variants102", 100, "mean-per-class", "aircraft"),
    ("food-101", 101, "accuracy", "food"),
    ("gtsrb", 43, "accuracy", "traffic_signs"),
    ("hateful-memes", 2, "roc_auc", "memes"),
    ("kitti-distance", 4, "accuracy", "driving"),
    ("mnist", 10, "accuracy", "digits"),
    ("oxford-flower-102", 102, "mean-per-class", "plants"),
    ("oxford-iiit-pets", 37, "mean-per-class", "pets"),
    ("patch-camelyon", 2, "accuracy", "pathology"),
    ("rendered-sst2", 2, "accuracy", "sentiment"),
    ("resisc45_clip", 45, "accuracy", "satellite"),
    ("stanford-cars", 196, "accuracy", "cars"),
    ("voc-2007-classification", 20, "11point_mAP", "general"),
)
ELEVATER: dict[str, ElevaterSet] = {row[0]: ElevaterSet(*row) for row in _ROWS}
# Known to the toolkit, but none of the 20: it stays out of their archive of submissions.
IMAGENET = ElevaterSet("imagenet-1k", 1000, "accuracy", "general")
_KNOWN: dict[str, ElevaterSet] = {**ELEVATER, IMAGENET.name: IMAGENET}


def elevater_set(name: str) -> ElevaterSet:
    """The data set of that name: one of the 20, or ImageNet-1K.

    Raises:
        UnknownNameError: there is none; the message lists them.
    """
    if name in _KNOWN:
        return _KNOWN[name]
    near = difflib.get_close_matches(name, _KNOWN, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UnknownNameError(f"no ELEVATER data set {name!r}", fix=f"{hint}one of: {', '.join(_KNOWN)}")
