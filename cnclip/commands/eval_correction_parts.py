"""The corrections of scores that `cnclip eval retrieval` was asked for, each measured by itself."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnclip.commands.eval_retrieval_run import MeasuredModel, note_seconds
from cnclip.errors import CnclipError
from cnclip.evaluation.chapters.blocks import Chapter, Paragraph, Words
from cnclip.evaluation.corrections import Bank, Correction, CorrectionSettings
from cnclip.evaluation.corrections_findings import CorrectionFindings, find_correction
from cnclip.evaluation.insight.corrections_chapter import corrections_chapter
from cnclip.evaluation.shared_content import SharedContent, shared_content
from cnclip.stores.reader import StoreReader

Found = dict[Correction, CorrectionFindings]


def measure_corrections(
    measured: Mapping[str, MeasuredModel], names: Sequence[Correction], bank: Path | None
) -> tuple[Chapter, dict[str, dict[str, Any]]]:
    """Their chapter, and label -> correction -> its part of results.json.

    A correction that cannot be had of a model is told of in the chapter and on stderr.

    Args:
        measured: label -> model, with its bank where there is one.
        names: of the corrections, at least one.
        bank: store of the bank; where it shares anything with the test set, no number over it is fair.
    """
    found: dict[str, Found] = {label: {} for label in measured}
    missing, shared = _shared(measured, bank)
    for label, model in measured.items():
        start = time.perf_counter()
        for name in names:
            try:
                found[label][name] = _measure(model, name)
            except CnclipError as error:
                print(f"warning: {name} of {label} is left out of the report: {error}", file=sys.stderr)
                said = f"{label}, {name}: {error.what}"
                missing.append(Paragraph(Words(f"没有做出来：{said}", f"This is missing: {said}")))
        note_seconds(model, "corrections", start)
    told: dict[str, dict[str, Any]] = {
        label: {name: _json(one, shared) for name, one in mine.items()} for label, mine in found.items()
    }
    if not any(found.values()):
        return Chapter("corrections", Words("分数校正", "Score corrections"), missing), told
    chapter = corrections_chapter(found)
    return Chapter(chapter.name, chapter.title, [*missing, *chapter.blocks], chapter.intro), told


def _shared(
    measured: Mapping[str, MeasuredModel], path: Path | None
) -> tuple[list[Paragraph], SharedContent | None]:
    """What the bank shares with the test set, and the warning of it; it goes to stderr too."""
    if path is None:
        return [], None
    with StoreReader(path) as bank:
        shared = shared_content(next(iter(measured.values())).evidence.store, bank)
    if not shared:
        return [], shared
    said = Words(
        f"注意：测试集的 {shared.of_captions} 条文本里有 {shared.captions} 条、{shared.of_pictures} 张图片里"
        f"有 {shared.pictures} 张也在查询库里。依据查询库的数字因此不能报告；请换一个查询库，"
        "或先用 cnclip data check 找出重复并去掉。",
        f"Take care: {shared.captions} of the {shared.of_captions} captions and {shared.pictures} of the"
        f" {shared.of_pictures} pictures of the test set are in the bank as well. So numbers taken over the"
        " bank are not fair to report: take another bank, or remove what cnclip data check finds in both.",
    )
    print(f"warning: {said.en}", file=sys.stderr)
    return [Paragraph(said)], shared


def _json(found: CorrectionFindings, shared: SharedContent | None) -> dict[str, Any]:
    told = found.to_json()
    for variant in told["variants"]:
        if variant["over"] == "bank" and shared is not None:
            variant["fair"] = not shared
            variant["shared"] = {"captions": shared.captions, "pictures": shared.pictures}
    return told


def _measure(model: MeasuredModel, name: Correction) -> CorrectionFindings:
    settings = CorrectionSettings(temperature=model.temperature, seed=model.evidence.draws.seed)
    bank = None if model.bank is None else Bank(model.bank[0].rows, model.bank[1].rows)
    return find_correction(name, model.evidence, settings, bank=bank)
