"""All results below a folder as tables: one for each set of data, best first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cnclip.errors import SourceError
from cnclip.evaluation.retrieval_tables import JSON_NAMES, counts_note, shared_metrics
from cnclip.evaluation.uncertainty import SHOWN, metric_name
from cnclip.tables import Table

RESULTS = "results.json"
_ZEROSHOT = {"top1": "top-1", "top5": "top-5", "mean_per_class": "类平均 mean per class"}
ACCURACY = "accuracy"
_SHORT = {"t2i": "文→图", "i2t": "图→文"}


@dataclass(frozen=True)
class Entry:
    """One measured model.

    Attributes:
        source: the file it stands in.
        kind: "retrieval" or "zeroshot".
        model: its name.
        data: path or name of the data.
        fingerprint: of the data; the path where there is none.
        content: the part of results.json.
    """

    source: Path
    kind: str
    model: str
    data: str
    fingerprint: str
    content: Mapping[str, Any]

    @property
    def score(self) -> float:
        """What the entries are sorted by, percent: mean recall, or the data set's own metric."""
        if self.kind == "retrieval":
            return float(self.content["mean_recall"])
        return float(self.content["metric"]["value"] if "metric" in self.content else self.content["top1"])

    @property
    def metric(self) -> str:
        """By what a zero-shot run is judged: accuracy where it does not say."""
        return str(self.content["metric"]["name"] if "metric" in self.content else ACCURACY)

    def to_json(self) -> dict[str, Any]:
        """For leaderboard.json: the file's content without its long parts."""
        kept = {
            key: value for key, value in self.content.items() if key not in ("run", "classes", "templates")
        }
        return {"model": self.model, "file": str(self.source), "kind": self.kind, **kept}


@dataclass(frozen=True)
class Group:
    """Entries that were measured on the same data, best first."""

    kind: str
    fingerprint: str
    data: list[str]
    entries: list[Entry]


@dataclass(frozen=True)
class Found:
    """What lies below a folder: groups, and files that hold no results of a known form."""

    groups: list[Group]
    passed_over: list[Path]


def collect_results(folder: Path) -> Found:
    """Read every results.json below a folder.

    Raises:
        SourceError: no such folder, or no results in it.
    """
    if not folder.is_dir():
        raise SourceError(f"no such folder: {folder}", fix="give a folder with results of `cnclip eval`")
    groups: dict[tuple[str, str], list[Entry]] = {}
    passed_over = []
    for path in sorted(folder.rglob(RESULTS)):
        entries = list(_entries(path, folder))
        if not entries:
            passed_over.append(path)
        for entry in entries:
            groups.setdefault((entry.kind, entry.fingerprint), []).append(entry)
    if not groups:
        raise SourceError(
            f"no results below {folder}", fix="cnclip eval retrieval MODEL STORE --output FOLDER/NAME"
        )
    return Found(
        [
            Group(
                kind,
                fingerprint,
                sorted({entry.data for entry in entries}),
                sorted(entries, key=lambda entry: (-entry.score, entry.model, str(entry.source))),
            )
            for (kind, fingerprint), entries in sorted(groups.items())
        ],
        passed_over,
    )


def leaderboard_tables(found: Found) -> list[Table]:
    """A table for each set of data."""
    return [_retrieval(group) if group.kind == "retrieval" else _zeroshot(group) for group in found.groups]


def leaderboard_json(found: Found) -> dict[str, Any]:
    """Content of leaderboard.json."""
    return {
        "groups": [
            {
                "kind": group.kind,
                "fingerprint": group.fingerprint,
                "data": group.data,
                "entries": [entry.to_json() for entry in group.entries],
            }
            for group in found.groups
        ],
        "passed_over": [str(path) for path in found.passed_over],
    }


def _entries(path: Path, folder: Path) -> Iterator[Entry]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    for content in _runs(value):
        run = content["run"]
        data = run.get("data", {})
        kind = "retrieval" if "text_to_image" in content else "zeroshot"
        shown = str(data.get("path", "?"))
        made_of = str(data.get("fingerprint") or shown)
        entry = Entry(
            source=path.relative_to(folder),
            kind=kind,
            model=str(run["checkpoint"]["name"]),
            data=shown,
            fingerprint=made_of,
            content=content,
        )
        if (
            kind == "zeroshot"
        ):  # with other classes, or judged otherwise, it is another task on the same pictures
            task = f"{made_of}, {len(content.get('classes', []))} classes, {entry.metric}"
            entry = replace(entry, fingerprint=task)
        yield entry


def _runs(value: Any) -> Iterator[Mapping[str, Any]]:
    """Results anywhere in a file: a report of several stages holds several."""
    if not isinstance(value, dict):
        return
    run = value.get("run")
    named = isinstance(run, dict) and isinstance(run.get("checkpoint"), dict) and "name" in run["checkpoint"]
    if named and ({*JSON_NAMES.values(), "mean_recall"} <= value.keys() or value.keys() >= _ZEROSHOT.keys()):
        yield value
        return
    for part in value.values():
        yield from _runs(part)


def _retrieval(group: Group) -> Table:
    runs = [entry.content for entry in group.entries]
    names = [name for name in shared_metrics(runs) if name == "mean_recall" or name[1:].isdigit()]
    header = ["#", "模型 model", "MR"]
    header += [f"{_SHORT[way]} {metric_name(name)}" for way in JSON_NAMES for name in names]
    header.append("结果 run")
    rows = [
        [
            str(place),
            entry.model,
            _percent(entry.score),
            *(_percent(entry.content[key][name]) for key in JSON_NAMES.values() for name in names),
            str(entry.source.parent),
        ]
        for place, entry in enumerate(group.entries, start=1)
    ]
    title = f"图文检索 Retrieval (%): {_names(group.data)}"
    return Table(title, header, rows, f"{counts_note(runs)}; {' / '.join(SHOWN.values())}")


def _zeroshot(group: Group) -> Table:
    metric = group.entries[0].metric
    own = [] if metric == ACCURACY else [metric]
    rows = [
        [
            str(place),
            entry.model,
            *(_percent(entry.score) for _ in own),
            *(_percent(entry.content[name]) for name in _ZEROSHOT),
            str(entry.source.parent),
        ]
        for place, entry in enumerate(group.entries, start=1)
    ]
    counts = group.entries[0].content
    note = f"{counts.get('images', '?')} 张图片 images; 评判指标 judged by {metric}"
    title = f"零样本分类 Zero-shot classification (%): {_names(group.data)}"
    return Table(title, ["#", "模型 model", *own, *_ZEROSHOT.values(), "结果 run"], rows, note)


def _names(data: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(Path(one).name or one for one in data))


def _percent(value: float) -> str:
    return f"{value:.1f}"
