"""The corrections of scores that `cnclip eval retrieval` was asked for, each measured by itself."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from cnclip.commands.eval_retrieval_run import MeasuredModel, note_seconds
from cnclip.errors import CnclipError
from cnclip.evaluation.chapters.blocks import Chapter, Paragraph, Words
from cnclip.evaluation.corrections import Bank, Correction, CorrectionSettings
from cnclip.evaluation.corrections_findings import CorrectionFindings, find_correction
from cnclip.evaluation.insight.corrections_chapter import corrections_chapter

Found = dict[Correction, CorrectionFindings]


def measure_corrections(
    measured: Mapping[str, MeasuredModel], names: Sequence[Correction]
) -> tuple[Chapter, dict[str, dict[str, Any]]]:
    """Their chapter, and label -> correction -> its part of results.json.

    A correction that cannot be had of a model is told of in the chapter and on stderr.

    Args:
        measured: label -> model, with its bank where there is one.
        names: of the corrections, at least one.
    """
    found: dict[str, Found] = {label: {} for label in measured}
    missing: list[Paragraph] = []
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
        label: {name: one.to_json() for name, one in mine.items()} for label, mine in found.items()
    }
    if not any(found.values()):
        return Chapter("corrections", Words("分数校正", "Score corrections"), missing), told
    chapter = corrections_chapter(found)
    return Chapter(chapter.name, chapter.title, [*missing, *chapter.blocks], chapter.intro), told


def _measure(model: MeasuredModel, name: Correction) -> CorrectionFindings:
    settings = CorrectionSettings(temperature=model.temperature, seed=model.evidence.draws.seed)
    bank = None if model.bank is None else Bank(model.bank[0].rows, model.bank[1].rows)
    return find_correction(name, model.evidence, settings, bank=bank)
