"""From a source to a finished store: all rows accounted for, nothing under its name until it is whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cnclip.artifacts import atomic_dir, atomic_file
from cnclip.errors import InterruptedRun, RecipeError, RefusedError, SourceError
from cnclip.locks import FileLock
from cnclip.stores.accounts import BadRowPolicy, BuildReport, OnBad, RejectLog
from cnclip.stores.image_pass import CheckImage, ImagePass
from cnclip.stores.layout import HEADER_NAME, REJECTS_NAME, StoreHeader, write_header
from cnclip.stores.raw.rows import Source
from cnclip.stores.seen import SeenIds
from cnclip.stores.shards import ShardedWriter
from cnclip.stores.sinks import PairFiles, Sinks
from cnclip.stores.text_pass import TextPass, TextRows

Progress = Callable[[str, int, float | None], None]
DEFAULT_SHARD_BYTES = 4 << 30
_SHAPING_OPTIONS = ("text_rows", "shard_bytes", "shard_images")
_SCRATCH_NAME = ".scratch"


@dataclass(frozen=True)
class BuildOptions:
    """How to build a store.

    Attributes:
        on_bad, max_bad_share: see BadRowPolicy; where it objects nothing is committed.
        shard_bytes: size that a shard's file should not pass.
        shard_images: most pictures in a shard, or None.
        text_rows: `source` keeps a caption with several pictures as one row, `pairs` makes a row per pair.
        overwrite: build beside a store that is there, and swap.
        workers: threads that read and check pictures.
    """

    on_bad: OnBad = "auto"
    max_bad_share: float = 0.01
    shard_bytes: int = DEFAULT_SHARD_BYTES
    shard_images: int | None = None
    text_rows: TextRows = "source"
    overwrite: bool = False
    workers: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.max_bad_share <= 1:
            raise RecipeError(f"max_bad_share is {self.max_bad_share}", fix="give a share from 0 to 1")
        for name in ("shard_bytes", "shard_images", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise RecipeError(f"{name} is {value}", fix="give a number from 1 up")


def build_store(
    source: Source,
    path: Path | str,
    *,
    check_image: CheckImage | None = None,
    options: BuildOptions | None = None,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> BuildReport:
    """Write a source's pictures and captions into a new store at `path`.

    Args:
        source: see cnclip.stores.raw.read_source.
        path: the store's folder; it appears when all is done.
        check_image: called with each picture's bytes, in a thread; raises ImageError for what is none.
            None takes all bytes as they come.
        options: see BuildOptions.
        progress: called after each row with (`pictures` or `captions`, rows so far, share of the file read).
        should_stop: asked after each row; True ends the build with InterruptedRun.

    Raises:
        SourceError: too many bad rows (all listed in `PATH.rejects.jsonl`), no pictures, a changing source.
        RefusedError: `path` is there already and `overwrite` is False, or it is no store.
        ResourceError: disk full, no permission, another builder at work.
        InterruptedRun: `should_stop` said so; nothing was written.
    """
    path, options = Path(path), options or BuildOptions()
    facts: dict[str, Any] = {}

    def tick(step: str, rows: int) -> None:
        if progress is not None:
            progress(step, rows, source.share_read)
        if should_stop is not None and should_stop():
            raise InterruptedRun(
                f"stopped on request; nothing was written to {path}", fix="run the same command again"
            )

    with _build_lock(path):
        _refuse_to_replace(path, options.overwrite)
        with atomic_dir(path, facts=facts, replace=path.exists()) as folder:
            build = _Build(folder, options)
            try:
                before = _stamps(source)
                build.run(source, check_image, tick)
                if _stamps(source) != before:
                    raise SourceError(
                        "the source changed while it was read", where=str(source.root), fix="build again"
                    )
                build.judge(source, path)
                header = build.finish(source)
            finally:
                build.discard()
            facts.update(kind="store", fingerprint=header.fingerprint, **_counts(header))
        _rejects_beside(path).unlink(missing_ok=True)
    return build.report(path, header)


class _Build:
    """One build in its temporary folder."""

    def __init__(self, folder: Path, options: BuildOptions) -> None:
        self._folder = folder
        self._options = options
        self._log = RejectLog(folder / REJECTS_NAME)
        shards = ShardedWriter(folder, shard_bytes=options.shard_bytes, shard_images=options.shard_images)
        self._sinks = Sinks(shards, SeenIds(folder / _SCRATCH_NAME), self._log)
        self._pairs = PairFiles(folder)

    def run(self, source: Source, check_image: CheckImage | None, tick: Callable[[str, int], None]) -> None:
        """Read everything; bad rows are noted, not raised."""
        self._images = ImagePass(self._sinks, check=check_image, workers=self._options.workers)
        self._images.run(source, tick)
        images, text_rows = self._images.rows.written, self._options.text_rows
        self._texts = TextPass(self._sinks, self._pairs, images=images, text_rows=text_rows)
        self._texts.run(source, tick)
        self._log.close()

    def judge(self, source: Source, path: Path) -> None:
        """Raise SourceError where the bad rows are too many, after listing them beside the target."""
        rows = self._images.rows.rows_in + self._texts.rows.rows_in
        bad = self._images.rows.rejected + self._texts.rows.rejected + self._texts.dangling_links
        policy = BadRowPolicy(self._options.on_bad, self._options.max_bad_share)
        rejects = _rejects_beside(path)
        objection = policy.objection(rows, bad, self._log, rejects)
        if objection is not None:
            with atomic_file(rejects) as temporary:
                shutil.copyfile(self._log.path, temporary)
            raise SourceError(objection[0], where=str(source.root), fix=objection[1])
        if not self._images.rows.written:
            raise SourceError(
                "the source has no pictures", where=str(source.root), fix="check path and filters"
            )

    def finish(self, source: Source) -> StoreHeader:
        """Close all files and write the header."""
        shards = self._sinks.shards.close()
        self._pairs.close()
        self._sinks.seen.discard()
        shutil.rmtree(self._folder / _SCRATCH_NAME)
        header = StoreHeader(
            images=self._images.rows.written,
            texts=self._texts.texts,
            pairs=self._pairs.count,
            unlabelled_texts=self._texts.unlabelled,
            unreferenced_images=self._texts.unreferenced_images,
            image_bytes=self._images.image_bytes,
            fingerprint=self._sinks.fingerprint,
            pair_images_crc=self._pairs.crcs[0],
            pair_texts_crc=self._pairs.crcs[1],
            shards=shards,
            facts=self._facts(source),
        )
        write_header(self._folder, header)
        return header

    def report(self, path: Path, header: StoreHeader) -> BuildReport:
        """The account of a finished build."""
        return BuildReport(
            path=path,
            image_rows=self._images.rows,
            text_rows=self._texts.rows,
            missing_links=self._texts.missing_links,
            **_counts(header),
            image_bytes=header.image_bytes,
            store_bytes=sum(shard.bytes for shard in header.shards) + 16 * header.pairs,
            shards=len(header.shards),
            fingerprint=header.fingerprint,
            reasons=dict(self._log.reasons.most_common()),
            rejects=path / REJECTS_NAME if self._log.count else None,
        )

    def discard(self) -> None:
        """Let go of all files; harmless after `finish`."""
        self._log.close()
        self._sinks.shards.discard()
        self._sinks.seen.discard()
        self._pairs.close()

    def _facts(self, source: Source) -> dict[str, Any]:
        """What the header says of the build: a function of source and options, not of place and time."""
        options = self._options
        return {
            "source": dict(source.facts),
            "options": {name: getattr(options, name) for name in _SHAPING_OPTIONS},
            "image_rows": {"rows_in": self._images.rows.rows_in, **asdict(self._images.rows)},
            "text_rows": {"rows_in": self._texts.rows.rows_in, **asdict(self._texts.rows)},
            "missing_links": self._texts.missing_links,
            "reasons": dict(sorted(self._log.reasons.items())),
        }


def _build_lock(path: Path) -> FileLock:
    return FileLock(
        path.parent / f".{path.name}.lock",
        where=path,
        busy="builds this store",
        fix="wait for it, end it, or choose another target",
    )


def _refuse_to_replace(path: Path, overwrite: bool) -> None:
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


def _rejects_beside(path: Path) -> Path:
    return path.parent / f"{path.name}.{REJECTS_NAME}"


def _stamps(source: Source) -> list[tuple[int, int]]:
    return [(file.stat().st_size, file.stat().st_mtime_ns) for file in source.inputs]


def _counts(header: StoreHeader) -> dict[str, int]:
    names = ("images", "texts", "pairs", "unlabelled_texts", "unreferenced_images")
    return {name: getattr(header, name) for name in names}
