"""What `cnclip data build` does with its options: one store, or one that is parted."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import PIL

from cnclip.artifacts import atomic_file
from cnclip.commands.data_bar import StepBar
from cnclip.commands.data_options import part_names, shares_of
from cnclip.commands.data_parts import MOST_WORKERS, split
from cnclip.commands.data_rebuild import refuse_existing
from cnclip.commands.data_summary import built
from cnclip.errors import CnclipError, InterruptedRun, RefusedError, ResourceError
from cnclip.images.check_processes import CheckProcesses
from cnclip.images.reencode import check_shrinking
from cnclip.stores.accounts import BuildReport
from cnclip.stores.build_options import plan_of
from cnclip.stores.file_system import network_file_system
from cnclip.stores.layout import REJECTS_NAME
from cnclip.stores.raw import Source
from cnclip.stores.reader import StoreReader
from cnclip.stores.staging import WHOLE, Staging
from cnclip.stores.writer import BuildOptions, build_lock, build_store, rejects_beside
from cnclip.training.stop import StopRequest


@dataclass(frozen=True)
class BuildJob:
    """What to build of what.

    Attributes:
        source: opened.
        target: the store, or what the names of its parts begin with.
        options: of the builder.
        shard_size: of the parts, as the user gave it.
    """

    source: Source
    target: Path
    options: BuildOptions
    shard_size: str


def picture_settings(max_side: int | None, quality: int) -> dict[str, Any]:
    """What is done to pictures, for the processes that do it and for the store's header.

    Raises:
        RecipeError: a size or quality that there is not.
    """
    if max_side is None:
        return {}
    check_shrinking(max_side, quality)
    return {"max_side": max_side, "quality": quality, "pillow": PIL.__version__}


def build_one(job: BuildJob) -> BuildReport:
    """Build a store and print its account."""
    kind = network_file_system(job.target.parent)
    if kind is not None:
        _tell(f"warning: {job.target} lies on {kind}: write to it from one machine only, as LMDB needs it")
    start = time.monotonic()
    settings: Mapping[str, Any] = job.options.pictures
    with StopRequest() as stop, StepBar() as bar, CheckProcesses(settings) as prepare:
        report = build_store(
            job.source,
            job.target,
            prepare=prepare,
            options=job.options,
            progress=bar.of_share,
            should_stop=lambda: stop.asked,
            say=_tell,
        )
    print(built(report, time.monotonic() - start))
    return report


def build_parts(job: BuildJob, shares: str) -> list[Path]:
    """Build a store, part it as `cnclip data split` does, and keep the parts only.

    A call that is stopped leaves what it has; the next one goes on with the whole store or, where that is
    done, parts it, by other shares too.

    Raises:
        RecipeError: shares that are none.
        RefusedError: a part is there already, or an unfinished build of something else.
    """
    target = job.target
    names = part_names(len(shares_of(shares)))
    parts = [target.with_name(f"{target.name}-{name}") for name in names]
    staging = Staging(target, (WHOLE,))
    whole, rejects = staging.folder / WHOLE / target.name, rejects_beside(target)
    with build_lock(target):
        staging.sweep()
        if not whole.exists() or job.options.resume == "fresh":
            refuse_existing(parts, [], job.options.overwrite)
        staging.open({**plan_of(job.source, job.options), "parted": True}, job.options.resume)
        try:
            if not whole.exists():
                build_one(_of_whole(job, whole, rejects))
            overwrite = job.options.overwrite or _are_of(parts, whole)
            split(
                whole,
                target,
                shares=shares,
                names=",".join(names),
                workers=min(job.options.workers, MOST_WORKERS),
                shard_size=job.shard_size,
                overwrite=overwrite,
            )
        except CnclipError as error:
            if not whole.exists() and not isinstance(error, ResourceError | InterruptedRun | RefusedError):
                staging.remove()
            raise
        listed = whole / REJECTS_NAME
        rejects.unlink(missing_ok=True)
        if listed.exists():
            with atomic_file(rejects) as temporary:
                shutil.copyfile(listed, temporary)
            _tell(f"rows that were left out are listed in {rejects}")
        staging.remove()
    for count in (2, 3):
        for old in (target.with_name(f"{target.name}-{name}") for name in part_names(count)):
            if old not in parts and old.exists():
                _tell(f"{old} is of an earlier call: its pictures may be in the new parts too")
    return parts


def _of_whole(job: BuildJob, whole: Path, rejects: Path) -> BuildJob:
    options = replace(job.options, resume="auto", overwrite=False, rejects=rejects)
    return replace(job, target=whole, options=options)


def _are_of(parts: Sequence[Path], whole: Path) -> bool:
    """Whether all parts that are there were made of this store, by a call that was stopped."""
    there = [part for part in parts if part.exists()]
    with StoreReader(whole) as reader:
        fingerprint = reader.fingerprint
    for part in there:
        with StoreReader(part) as reader:
            if reader.header.facts.get("source", {}).get("fingerprint") != fingerprint:
                return False
    return bool(there)


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
