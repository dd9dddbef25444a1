"""From a source to a finished store: all rows accounted for, nothing under its name until it is whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cnclip.artifacts import check_target, commit_dir, translated
from cnclip.errors import CnclipError, InterruptedRun, RefusedError, ResourceError, SourceError
from cnclip.locks import FileLock
from cnclip.stores.accounts import BuildReport
from cnclip.stores.build_options import DEFAULT_SHARD_BYTES, BuildOptions, plan_of
from cnclip.stores.building import Build
from cnclip.stores.image_pass import Prepare
from cnclip.stores.layout import HEADER_NAME, REJECTS_NAME
from cnclip.stores.raw.rows import Source
from cnclip.stores.staging import Staging

__all__ = [
    "DEFAULT_SHARD_BYTES",
    "BuildOptions",
    "Progress",
    "build_lock",
    "build_store",
    "refuse_to_replace",
    "rejects_beside",
]

Progress = Callable[[str, int, float | None], None]


def build_store(
    source: Source,
    path: Path | str,
    *,
    prepare: Prepare | None = None,
    options: BuildOptions | None = None,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
    say: Callable[[str], None] | None = None,
) -> BuildReport:
    """Write a source's pictures and captions into a new store at `path`, or finish one that was begun.

    What is done lies in `PATH.incomplete` until the store is whole. It stays there where the build is
    killed, stopped or refused room; the same call then goes on, and the store's files are the same.

    Args:
        source: see cnclip.stores.raw.read_source.
        path: the store's folder; it appears when all is done.
        prepare: called with each picture's bytes, in several threads; raises ImageError for what is none,
            returns the bytes to store instead, or None to keep them. Without it all bytes are taken.
        options: see BuildOptions.
        progress: called after each row with (`pictures` or `captions`, rows so far, share of the file read).
        should_stop: asked after each row; True ends the build with InterruptedRun.
        say: gets a line about the work of an earlier build that is taken over.

    Raises:
        SourceError: too many bad rows (all listed in `PATH.rejects.jsonl`), no pictures, a changing source.
        RefusedError: `path` is there already and `overwrite` is False, or it is no store; an unfinished build
            of something else is in the way.
        StoreError: the unfinished build is damaged.
        ResourceError: disk full, no permission, another builder at work.
        InterruptedRun: `should_stop` said so.
    """
    path, options = Path(path), options or BuildOptions()
    staging, rejects = Staging(path), options.rejects or rejects_beside(path)

    def tick(step: str, rows: int) -> None:
        if progress is not None:
            progress(step, rows, source.share_read)
        if should_stop is not None and should_stop():
            raise InterruptedRun(
                f"stopped on request; what is done is kept in {staging.folder}",
                fix="run the same command again: it goes on there",
            )

    with translated(path), build_lock(path):
        staging.sweep()
        refuse_to_replace(path, options.overwrite)
        check_target(path, replace=path.exists())
        plan = plan_of(source, options)
        goes_on = staging.open(plan, options.resume)
        with Build(staging, options) as build:
            if goes_on:
                found = build.restore()
                if say is not None:
                    say(found)
            try:
                build.run(source, prepare, tick)
                if plan_of(source, options) != plan:
                    raise SourceError(
                        "the source changed while it was read", where=str(source.root), fix="build again"
                    )
                build.judge(source, rejects)
            except CnclipError as error:
                if not isinstance(error, ResourceError | InterruptedRun | RefusedError):
                    build.discard()
                    staging.remove()
                raise
            report, facts = build.finish(source, path)
        commit_dir(staging.store, path, facts=facts)
        staging.remove()
        rejects.unlink(missing_ok=True)
    return report


def rejects_beside(path: Path) -> Path:
    """Where the list of bad rows lies when a build of `path` is refused for them."""
    return path.parent / f"{path.name}.{REJECTS_NAME}"


def build_lock(path: Path) -> FileLock:
    """What one builder of `path` holds at a time."""
    return FileLock(
        path.parent / f".{path.name}.lock",
        where=path,
        busy="builds this store",
        fix="wait for it, end it, or choose another target",
    )


def refuse_to_replace(path: Path, overwrite: bool) -> None:
    """Raise RefusedError for a store that is there, unless it may be replaced, and for what is no store."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not (path / HEADER_NAME).is_file():
        raise RefusedError(
            "the target is there and is no store", where=str(path), fix="choose another target"
        )
    if not overwrite:
        raise RefusedError(
            "the store is there already", where=str(path), fix="add --overwrite true, or choose another name"
        )
