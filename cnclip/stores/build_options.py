"""How a build is to be done, and what of that tells it apart from other builds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import lmdb

from cnclip.errors import RecipeError
from cnclip.stores.accounts import OnBad
from cnclip.stores.growing import COMMIT_BYTES
from cnclip.stores.layout import FORMAT_VERSION
from cnclip.stores.raw.rows import Source
from cnclip.stores.raw.stamps import stamps_of
from cnclip.stores.staging import Resume
from cnclip.stores.text_pass import TextRows

DEFAULT_SHARD_BYTES = 4 << 30
NOTE_EVENTS = 512  # ids of so many rows touch up to so many pages, which are held until the note
_SHAPING = ("text_rows", "shard_bytes", "shard_images")


@dataclass(frozen=True)
class BuildOptions:
    """How to build a store.

    Attributes:
        on_bad, max_bad_share: see BadRowPolicy; where it objects nothing is committed.
        shard_bytes: size that a shard's file should not pass.
        shard_images: most pictures in a shard, or None.
        text_rows: `source` keeps a caption with several pictures as one row, `pairs` makes a row per pair.
        overwrite: build beside a store that is there, and swap.
        workers: threads that read and prepare pictures.
        resume: see Staging.open.
        pictures: what `prepare` does to pictures, for the header; a build goes on only with the same.
        rejects: where the list of bad rows goes if they are too many; None = beside the target.
        note_bytes, note_events: see Sinks; the store's files depend on them, its fingerprint does not.
    """

    on_bad: OnBad = "auto"
    max_bad_share: float = 0.01
    shard_bytes: int = DEFAULT_SHARD_BYTES
    shard_images: int | None = None
    text_rows: TextRows = "source"
    overwrite: bool = False
    workers: int = 1
    resume: Resume = "auto"
    pictures: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    rejects: Path | None = None
    note_bytes: int = COMMIT_BYTES
    note_events: int = NOTE_EVENTS

    def __post_init__(self) -> None:
        if not 0 <= self.max_bad_share <= 1:
            raise RecipeError(f"max_bad_share is {self.max_bad_share}", fix="give a share from 0 to 1")
        for name in ("shard_bytes", "shard_images", "workers", "note_bytes", "note_events"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise RecipeError(f"{name} is {value}", fix="give a number from 1 up")

    @property
    def shaping(self) -> dict[str, Any]:
        """What the store's header says of the options: those that shape the store."""
        prepared = {"pictures": dict(self.pictures)} if self.pictures else {}
        return {**{name: getattr(self, name) for name in _SHAPING}, **prepared}


def plan_of(source: Source, options: BuildOptions) -> dict[str, Any]:
    """What is built, as JSON values: two builds of the same plan give the same files.

    Raises:
        SourceError: see stamps_of.
    """
    notes = {name: getattr(options, name) for name in ("note_bytes", "note_events")}
    plan = {
        "format": FORMAT_VERSION,
        "lmdb": ".".join(map(str, lmdb.version())),
        "source": dict(source.facts),
        "inputs": stamps_of(source),
        "options": {**options.shaping, **notes},
    }
    plain: dict[str, Any] = json.loads(json.dumps(plan))
    return plain
