"""One build in its folder: the passes over the source, the verdict on its rows, the header."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from cnclip.artifacts import atomic_file
from cnclip.errors import SourceError, StoreError
from cnclip.stores.accounts import BadRowPolicy, BuildReport, RejectLog, Tally
from cnclip.stores.arrays import seal_arrays
from cnclip.stores.build_options import BuildOptions
from cnclip.stores.image_pass import ImagePass, Prepare
from cnclip.stores.layout import (
    CAPTION_GROUPS_NAME,
    IMAGE_ID,
    IMAGE_STARTS_NAME,
    PAIR_DTYPE,
    PAIR_IMAGES_NAME,
    PAIR_TEXTS_NAME,
    REJECTS_NAME,
    TEXT_ID,
    StoreHeader,
    encode_pointer,
    write_header,
)
from cnclip.stores.raw.rows import Source
from cnclip.stores.raw.walk import told_before
from cnclip.stores.seen import REJECTED, SeenIds
from cnclip.stores.shards import ShardedWriter
from cnclip.stores.sinks import PairFiles, Sinks, Tick
from cnclip.stores.staging import FRESH, Staging
from cnclip.stores.text_pass import TextPass

_NOTED_FILES = (PAIR_IMAGES_NAME, PAIR_TEXTS_NAME, CAPTION_GROUPS_NAME, REJECTS_NAME)
_COUNTS = ("images", "texts", "pairs", "unlabelled_texts", "unreferenced_images")
_IDS_AT_A_TIME = 512
_PIECE_VALUES = 1 << 13


class Build:
    """A build in its folder; a context manager that lets go of all files at its end.

    Args:
        staging: opened.
        options: see BuildOptions.

    Raises:
        StoreError: the notes of an earlier build cannot be read.
    """

    def __init__(self, staging: Staging, options: BuildOptions) -> None:
        self._staging = staging
        self._options = options
        self._is_restored = False
        self._sinks = self._opened()

    def restore(self) -> str:
        """Go on from the notes of an earlier build; says in a line how far it came.

        Raises:
            StoreError: its files have lost what the notes say is in them.
        """
        state = self._sinks.seen.saved()
        self._sinks.discard()
        if state is None:
            self._staging.restart()
            self._sinks = self._opened()
            return f"the unfinished build in {self._staging.folder} had not come far: it begins anew"
        self._staging.keep_only(_NOTED_FILES)
        self._sinks = self._opened()
        self._sinks.restore(state)
        self._is_restored = True
        tally = self._sinks.tally
        pictures, captions = tally.image_rows.rows_in, tally.text_rows.rows_in
        return (
            f"going on with the build in {self._staging.folder}:"
            f" {pictures} picture rows and {captions} caption rows are done"
        )

    def run(self, source: Source, prepare: Prepare | None, tick: Tick) -> None:
        """Read everything that is not done yet; bad rows are noted, not raised."""
        sinks, tally = self._sinks, self._sinks.tally
        if tally.step == "pictures":
            ImagePass(sinks, prepare=prepare, workers=self._options.workers).run(source, tick)
            sinks.next_step("picture ids")
        if tally.step == "picture ids":
            _write_ids(sinks, IMAGE_ID, tick)
            sinks.next_step("captions")
        if tally.step == "captions":
            if self._is_restored and getattr(source, "texts_follow_images", False):
                for _ in source.images(told_before):  # what it tells of captions hangs on this
                    tick("pictures", tally.image_rows.rows_in)
            TextPass(sinks, text_rows=self._options.text_rows).run(source, tick)
            sinks.next_step("caption ids")
        if tally.step == "caption ids":
            _write_ids(sinks, TEXT_ID, tick)
            sinks.next_step("end")

    def judge(self, source: Source, rejects: Path) -> None:
        """Raise SourceError where the bad rows are too many, after listing them in `rejects`."""
        tally, log = self._sinks.tally, self._sinks.log
        rows = tally.image_rows.rows_in + tally.text_rows.rows_in
        bad = tally.image_rows.rejected + tally.text_rows.rejected + tally.dangling_links
        policy = BadRowPolicy(self._options.on_bad, self._options.max_bad_share)
        objection = policy.objection(rows, bad, log, rejects)
        if objection is not None:
            log.close()
            with atomic_file(rejects) as temporary:
                shutil.copyfile(log.path, temporary)
            raise SourceError(objection[0], where=str(source.root), fix=objection[1])
        if getattr(source, "wants_captions", False) and not tally.texts:
            raise SourceError(
                "no picture has a caption: there is no .txt or .json of its name",
                where=str(source.root),
                fix="give the table itself if one has the captions, write labels.txt for folders of classes,"
                " or keep pictures without captions with --kind folder",
            )
        if not tally.image_rows.written:
            raise SourceError(
                "the source has no pictures", where=str(source.root), fix="check path and filters"
            )

    def finish(self, source: Source, path: Path) -> tuple[BuildReport, dict[str, Any]]:
        """Close all files and write the header; the report, and the facts for the store's manifest."""
        sinks, tally, store = self._sinks, self._sinks.tally, self._staging.store
        shards = sinks.shards.close()
        sinks.pairs.close()
        sinks.log.close()
        images, pairs = tally.image_rows.written, sinks.pairs.count
        arrays = seal_arrays(store, images=images, texts=tally.texts, pairs=pairs)
        header = StoreHeader(
            images=images,
            texts=tally.texts,
            pairs=pairs,
            unlabelled_texts=tally.unlabelled,
            unreferenced_images=_unreferenced(store / IMAGE_STARTS_NAME),
            image_bytes=tally.image_bytes,
            fingerprint=tally.digest,
            shards=shards,
            facts=self._facts(source),
            arrays=arrays,
        )
        write_header(store, header)
        counts = {name: getattr(header, name) for name in _COUNTS}
        report = BuildReport(
            path=path,
            image_rows=tally.image_rows,
            text_rows=tally.text_rows,
            missing_links=tally.missing_links,
            **counts,
            image_bytes=tally.image_bytes,
            store_bytes=sum(shard.bytes for shard in shards) + 8 * sum(arrays.counts.values()),
            shards=len(shards),
            fingerprint=tally.digest,
            reasons=dict(sinks.log.reasons.most_common()),
            rejects=path / REJECTS_NAME if sinks.log.count else None,
        )
        return report, {"kind": "store", "fingerprint": tally.digest, **counts}

    def discard(self) -> None:
        """Let go of all files; what was noted stays."""
        self._sinks.discard()

    def __enter__(self) -> Build:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.discard()

    def _opened(self) -> Sinks:
        folder, options = self._staging.store, self._options
        try:
            seen = SeenIds(self._staging.scratch)
        except StoreError as error:
            raise StoreError(error.what, where=error.where, fix=FRESH) from None
        return Sinks(
            shards=ShardedWriter(folder, shard_bytes=options.shard_bytes, shard_images=options.shard_images),
            seen=seen,
            log=RejectLog(folder / REJECTS_NAME),
            pairs=PairFiles(folder),
            tally=Tally(),
            note_bytes=options.note_bytes,
            note_events=options.note_events,
        )

    def _facts(self, source: Source) -> dict[str, Any]:
        """What the header says of the build: a function of source and options, not of place and time."""
        tally = self._sinks.tally
        return {
            "source": dict(source.facts),
            "options": self._options.shaping,
            "image_rows": {"rows_in": tally.image_rows.rows_in, **asdict(tally.image_rows)},
            "text_rows": {"rows_in": tally.text_rows.rows_in, **asdict(tally.text_rows)},
            "missing_links": tally.missing_links,
            "reasons": dict(sorted(self._sinks.log.reasons.items())),
        }


def _write_ids(sinks: Sinks, kind: bytes, tick: Callable[[str, int], None]) -> None:
    """Write the index of ids of `kind`, in their order."""
    tally = sinks.tally
    while True:
        found = sinks.seen.indices_after(kind, bytes.fromhex(tally.after), _IDS_AT_A_TIME)
        if not found:
            return
        for key, index in found:
            if index != REJECTED:
                sinks.shards.put(key, encode_pointer(key, index))
        tally.after = found[-1][0].hex()
        sinks.events_done(len(found))
        tick(tally.step, tally.events)


def _unreferenced(image_starts: Path) -> int:
    """How many pictures have no caption."""
    count, last = 0, 0
    with open(image_starts, "rb") as file:
        file.seek(8)
        while len(piece := np.fromfile(file, dtype=PAIR_DTYPE, count=_PIECE_VALUES)):
            count += int((np.diff(piece, prepend=last) == 0).sum())
            last = int(piece[-1])
    return count
