"""The outcome on disk.

report.json (shares are from 0 to 1):

    should_train   false where a finding is an error
    findings       grade, code, where, title, measured, advice
    options        as given, with the limits
    stores         path, fingerprint, pairs, pictures {…}, captions {…}, negatives {…} or null, problems,
                   repeats {same_bytes, same_pixels, near, same_captions: {groups, extra, largest}}
    leaks          first, second, same, near, captions: {in_first, in_second, first_share, second_share}

duplicates.jsonl has a line for every group of a store: kind, store, ids. leaks.jsonl has a line for every
picture or caption of a store that an earlier one has too: kind, store, id, other_store, other_id.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cnclip.artifacts import write_json
from cnclip.errors import StoreError
from cnclip.stores.doctor.contact_sheet import contact_sheet
from cnclip.stores.doctor.groups import Groups
from cnclip.stores.doctor.leakage import Overlap
from cnclip.stores.doctor.outcome import Checkup, StoreCheckup
from cnclip.stores.doctor.page import page_text
from cnclip.stores.doctor.tools import Tools
from cnclip.stores.reader import StoreReader

REPORT_NAME, PAGE_NAME = "report.json", "report.html"
DUPLICATES_NAME, LEAKS_NAME = "duplicates.jsonl", "leaks.jsonl"
_PICTURE_GROUPS = ("same_bytes", "same_pixels", "near")


def write_report(folder: Path, checkup: Checkup, readers: Sequence[StoreReader], tools: Tools) -> None:
    """Write all four files into a folder that is there.

    Args:
        folder: of the caller; it decides when the whole takes its name.
        checkup: the outcome.
        readers: of the same stores in the same order.
        tools: to show pictures.
    """
    write_json(folder / REPORT_NAME, report_json(checkup, readers))
    page = page_text(checkup, contact_sheet(checkup, readers, tools))
    (folder / PAGE_NAME).write_bytes(page.encode("utf-8", "replace"))
    _write_lines(folder / DUPLICATES_NAME, _duplicates(checkup, readers))
    _write_lines(folder / LEAKS_NAME, _leaks(checkup, readers))


def report_json(checkup: Checkup, readers: Sequence[StoreReader]) -> dict[str, Any]:
    """The content of report.json; this module's docstring lists the fields."""
    return {
        "should_train": checkup.should_train,
        "findings": [asdict(finding) for finding in checkup.findings],
        "options": asdict(checkup.options),
        "stores": [_store(*both, checkup) for both in zip(checkup.stores, readers, strict=True)],
        "leaks": [
            {
                "first": checkup.stores[leak.first].name,
                "second": checkup.stores[leak.second].name,
                **{name: _overlap(getattr(leak, name)) for name in ("same", "near", "captions")},
            }
            for leak in checkup.leaks
        ],
        "comparisons_left_out": checkup.crowded,
    }


def _store(store: StoreCheckup, reader: StoreReader, checkup: Checkup) -> dict[str, Any]:
    most = checkup.options.most
    negatives = None if store.negatives is None else asdict(store.negatives)
    repeats = {name: _groups(getattr(store, name), reader, most) for name in _PICTURE_GROUPS}
    repeats["same_captions"] = _groups(store.same_captions, reader, most, captions=True)
    return {
        "path": store.name,
        "fingerprint": store.sketch.fingerprint,
        "pairs": len(store.sketch.pair_images),
        "unlabelled_captions": store.unlabelled_captions,
        "unused_pictures": store.unused_pictures,
        "pictures": asdict(store.pictures),
        "captions": asdict(store.captions),
        "repeats": repeats,
        "negatives": negatives,
        "problems": [asdict(problem) for problem in store.sketch.problems],
    }


def _groups(groups: Groups, reader: StoreReader, most: int, *, captions: bool = False) -> dict[str, Any]:
    largest = [
        {"rows": len(rows), "ids": [_id(reader, index, captions=captions) for index in rows[:most].tolist()]}
        for rows in groups.largest(most)
    ]
    return {"groups": len(groups.sizes), "extra": groups.extra, "largest": largest}


def _overlap(overlap: Overlap) -> dict[str, Any]:
    names = ("in_first", "in_second", "first_share", "second_share")
    return {name: getattr(overlap, name) for name in names}


def _duplicates(checkup: Checkup, readers: Sequence[StoreReader]) -> Iterator[dict[str, Any]]:
    for store, reader in zip(checkup.stores, readers, strict=True):
        for kind in (*_PICTURE_GROUPS, "same_captions"):
            groups: Groups = getattr(store, kind)
            for rows in groups.largest(len(groups.sizes)):
                ids = [_id(reader, index, captions=kind == "same_captions") for index in rows.tolist()]
                yield {"kind": kind, "store": store.name, "ids": ids}


def _leaks(checkup: Checkup, readers: Sequence[StoreReader]) -> Iterator[dict[str, Any]]:
    for leak in checkup.leaks:
        for kind in ("same", "near", "captions"):
            overlap: Overlap = getattr(leak, kind)
            for row, equal in overlap.links.tolist():
                yield {
                    "kind": kind,
                    "store": checkup.stores[leak.second].name,
                    "id": _id(readers[leak.second], row, captions=kind == "captions"),
                    "other_store": checkup.stores[leak.first].name,
                    "other_id": _id(readers[leak.first], equal, captions=kind == "captions"),
                }


def _id(reader: StoreReader, index: int, *, captions: bool = False) -> str:
    try:
        return reader.text(index).text_id if captions else reader.image_id(index)
    except StoreError:  # a damaged record; `problems` tells of it
        return f"#{index}"


def _write_lines(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    with open(path, "w", encoding="utf-8", errors="surrogatepass") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
