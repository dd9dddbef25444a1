"""A store as files of another format, written whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from cnclip.artifacts import MANIFEST_NAME, atomic_dir, read_manifest
from cnclip.errors import ArtifactError, RefusedError
from cnclip.stores.derived.formats.cn_clip_files import write_cn_clip_files
from cnclip.stores.derived.formats.cn_clip_lmdb import write_cn_clip_lmdb
from cnclip.stores.derived.formats.folder_files import write_folder, write_jsonl
from cnclip.stores.derived.formats.job import ExportJob, ExportOptions, Progress
from cnclip.stores.derived.formats.parquet_files import write_parquet
from cnclip.stores.derived.formats.webdataset import write_webdataset
from cnclip.stores.derived.rows import origin_of
from cnclip.stores.reader import StoreReader

__all__ = ["EXPORT_FORMATS", "ExportFormat", "ExportOptions", "export_store"]

ExportFormat = Literal["cn_clip", "lmdb", "folder", "webdataset", "parquet", "jsonl"]
EXPORT_FORMATS: dict[ExportFormat, Callable[[ExportJob, Path], None]] = {
    "cn_clip": write_cn_clip_files,
    "lmdb": write_cn_clip_lmdb,
    "folder": write_folder,
    "webdataset": write_webdataset,
    "parquet": write_parquet,
    "jsonl": write_jsonl,
}
WITH_SPLITS: tuple[ExportFormat, ...] = ("cn_clip", "lmdb", "parquet")
_KIND = "data export"


def export_store(
    reader: StoreReader,
    target: Path,
    to: ExportFormat,
    *,
    options: ExportOptions | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> None:
    """Write a store into the folder `target`, which appears when all is done.

    A folder that an export of the same format made, without this split, keeps its splits and gets this one.

    Args:
        reader: of the store.
        target: the folder.
        to: the format.
        options: see ExportOptions.
        overwrite: replace this split, or the whole folder in formats without splits.
        progress: see ExportJob.
        should_stop: see ExportJob.

    Raises:
        RefusedError: the split is there already, or an id does not fit into the format.
        ArtifactError: what is there was made by something else.
        ResourceError: disk full, no permission, a missing package.
        InterruptedRun: `should_stop` said so; nothing was written.
    """
    options = options or ExportOptions()
    splits = _splits_there(target, to)
    name = options.split if to in WITH_SPLITS else ""
    if name in splits and not overwrite:
        what = f"the split {name} is there already" if name else "the target is there already"
        raise RefusedError(what, where=str(target), fix="add --overwrite true, or choose another name")
    kept = {split: value for split, value in splits.items() if split != name}
    own: dict[str, Any] = {**origin_of(reader), "files": []}
    facts = {"kind": _KIND, "to": to, "splits": {**kept, name: own}}
    job = ExportJob(reader, options, progress, should_stop)
    with atomic_dir(target, facts=facts, replace=target.exists()) as folder:
        EXPORT_FORMATS[to](job, folder)
        if to in WITH_SPLITS:
            written = [file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()]
            own["files"] = sorted(written)
        for split in kept.values():
            for file in split["files"]:
                _link(target / file, folder / file)


def _splits_there(target: Path, to: ExportFormat) -> dict[str, Any]:
    """Split -> what the manifest of an earlier export says of it; "" in formats without splits."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return {}
    if target.is_dir() and (target / MANIFEST_NAME).is_file():
        facts = read_manifest(target).facts
        if facts.get("kind") == _KIND and facts.get("to") == to:
            return dict(facts["splits"])
    raise ArtifactError(
        f"what is there is no export to {to}", where=str(target), fix="choose another name, or move it away"
    )


def _link(source: Path, target: Path) -> None:
    """The same file under a second name; a copy where the file system has no such thing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
