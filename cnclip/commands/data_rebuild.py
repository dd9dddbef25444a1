"""A store out of rows of stores, with its account on the screen; for the `data` verbs that make one."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cnclip.commands.data_bar import StepBar
from cnclip.commands.data_options import shard_limits
from cnclip.commands.data_summary import built
from cnclip.errors import RefusedError
from cnclip.stores.accounts import BuildReport
from cnclip.stores.raw import Source
from cnclip.stores.writer import BuildOptions, build_store
from cnclip.training.stop import StopRequest


def rebuild(source: Source, target: Path, shard_size: str, overwrite: bool) -> BuildReport:
    """Build a store of rows that are in order already, and print its account."""
    shard_bytes, shard_images = shard_limits(shard_size)
    options = BuildOptions(
        on_bad="fail",
        max_bad_share=0.0,
        shard_bytes=shard_bytes,
        shard_images=shard_images,
        overwrite=overwrite,
    )
    start = time.monotonic()
    with StopRequest() as stop, StepBar() as bar:
        report = build_store(
            source,
            target,
            options=options,
            progress=bar.of_share,
            should_stop=lambda: stop.asked,
            say=lambda line: print(line, file=sys.stderr),
        )
    print(built(report, time.monotonic() - start))
    return report


def refuse_existing(targets: Sequence[Path], sources: Sequence[Path], overwrite: bool) -> None:
    """Say before the long work what the builder would say after it.

    Raises:
        RefusedError: a target is one of the stores that are read, or is there and not to be replaced.
    """
    read = {source.resolve() for source in sources}
    for target in targets:
        if target.resolve() in read:
            raise RefusedError(
                "the target is a store that is read", where=str(target), fix="choose another name"
            )
    there = [target for target in targets if target.exists() and not _is_empty(target)]
    if there and not overwrite:
        raise RefusedError(
            "the store is there already",
            where=", ".join(str(target) for target in there),
            fix="add --overwrite true, or choose another name",
        )


def _is_empty(target: Path) -> bool:
    return target.is_dir() and not any(target.iterdir())
