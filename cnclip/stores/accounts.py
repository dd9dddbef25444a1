"""What became of every row: written, rejected or deduplicated, and the list of the rejected ones."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from cnclip.stores.raw.rows import BadRow, shown
from cnclip.stores.staging import cut_off

RowKind = Literal["image", "text", "link"]
OnBad = Literal["auto", "fail", "skip"]
Step = Literal["pictures", "picture ids", "captions", "caption ids", "end"]
SHOWN_ROWS = 20
SMALL_SOURCE_ROWS = 1000  # of pictures and captions together
_MOSTLY_BAD = 0.5  # share from which on leaving rows out is no advice


@dataclass
class RowCount:
    """The conservation law of one stream: rows_in = written + rejected + deduplicated."""

    written: int = 0
    rejected: int = 0
    deduplicated: int = 0

    @property
    def rows_in(self) -> int:
        return self.written + self.rejected + self.deduplicated


@dataclass
class Tally:
    """Where a build stands and what it has counted: all of it goes into the notes that a resume starts from.

    Attributes:
        step: the pass over the source, or the index of ids, that is being written.
        events: rows of this step that are dealt with, good and bad.
        met: hash of the rows of this step that are dealt with, as the source gave them, in hexadecimal: a
            resume skips the same rows or none.
        after: the last key of an index of ids that was written, in hexadecimal.
        digest: hash of the rows so far, in hexadecimal: the store's fingerprint when all are in.
        image_rows, text_rows: what became of the rows.
        image_bytes: sum of the pictures written.
        texts: captions written; more than rows where a row became several.
        unlabelled: of them, without a picture.
        missing_links, dangling_links: links left out; of them, to pictures that the source lacks.
    """

    step: Step = "pictures"
    events: int = 0
    met: str = "00" * 32
    after: str = ""
    digest: str = "00" * 32
    image_rows: RowCount = field(default_factory=RowCount)
    text_rows: RowCount = field(default_factory=RowCount)
    image_bytes: int = 0
    texts: int = 0
    unlabelled: int = 0
    missing_links: int = 0
    dangling_links: int = 0

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Tally:
        """The inverse of dataclasses.asdict."""
        rows = {name: RowCount(**value[name]) for name in ("image_rows", "text_rows")}
        return cls(**{**value, **rows})


@dataclass(frozen=True)
class BuildReport:
    """The outcome of a build.

    Attributes:
        path: the finished store.
        image_rows, text_rows: rows read of the source, by what became of them.
        missing_links: links of kept captions to pictures that the source lacks or that were rejected.
        images, texts, pairs, unlabelled_texts, unreferenced_images: what the store holds.
        image_bytes: sum of the encoded pictures.
        store_bytes: size of the store's data files.
        shards: number of them.
        fingerprint: sha256 of the content.
        reasons: why rows were left out -> how many.
        rejects: the list of them, None where there are none.
    """

    path: Path
    image_rows: RowCount
    text_rows: RowCount
    missing_links: int
    images: int
    texts: int
    pairs: int
    unlabelled_texts: int
    unreferenced_images: int
    image_bytes: int
    store_bytes: int
    shards: int
    fingerprint: str
    reasons: dict[str, int] = field(default_factory=dict)
    rejects: Path | None = None


class RejectLog:
    """All bad rows in a JSONL file, the first ones and the reasons in memory.

    Args:
        path: made with the first row.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self.first: list[BadRow] = []
        self.reasons: Counter[str] = Counter()
        self._file: Any = None
        self._flushed = 0  # of the lines

    def add(self, kind: RowKind, bad: BadRow) -> None:
        """Note a row of `kind`; a `link` is a caption's reference to a picture that is not there."""
        if self._file is None:
            self._file = open(self.path, "ab")
        line = {"kind": kind, **asdict(bad)}
        self._file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        self.count += 1
        self.reasons[bad.reason.partition(":")[0]] += 1
        if len(self.first) < SHOWN_ROWS:
            self.first.append(bad)

    def flush(self) -> None:
        """Make all lines survive a loss of power."""
        if self._file is not None and self.count > self._flushed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._flushed = self.count

    def state(self) -> dict[str, Any]:
        """What `restore` needs, as JSON values; true after a `flush`."""
        return {
            "bytes": self.path.stat().st_size if self.count else 0,
            "count": self.count,
            "first": [asdict(bad) for bad in self.first],
            "reasons": dict(self.reasons),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where a `state` was noted; later lines are cut off.

        Raises:
            StoreError: the file is shorter.
        """
        self.count = self._flushed = state["count"]
        self.first = [BadRow(**bad) for bad in state["first"]]
        self.reasons = Counter(state["reasons"])
        if self.count:
            cut_off(self.path, state["bytes"])
        else:
            self.path.unlink(missing_ok=True)

    def summary(self) -> str:
        """The first rows, one per line, and how many have each reason."""
        lines = [f"  {bad.where}{_bracketed(bad.id)} {bad.reason}" for bad in self.first]
        if self.count > len(self.first):
            lines.append(f"  … and {self.count - len(self.first)} more")
        reasons = ", ".join(f"{reason} {count}" for reason, count in self.reasons.most_common())
        return "\n".join([*lines, f"  by reason: {reasons}"])

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> RejectLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class BadRowPolicy:
    """How many bad rows a build may have.

    Attributes:
        on_bad: `fail` = none; `skip` = up to `max_bad_share`; `auto` = `fail` under 1 000 rows, else `skip`.
        max_bad_share: of bad rows among the rows read.
    """

    on_bad: OnBad = "auto"
    max_bad_share: float = 0.01

    def objection(self, rows: int, bad: int, log: RejectLog, rejects: Path) -> tuple[str, str] | None:
        """What is wrong and how to mend it, or None where the store may be committed.

        Args:
            rows: read.
            bad: of them, and of links to pictures that the source lacks.
            log: what is wrong with each.
            rejects: where the user finds the list.
        """
        fails = self.on_bad == "fail" or (self.on_bad == "auto" and rows < SMALL_SOURCE_ROWS)
        share = bad / max(1, rows)
        too_many = share > self.max_bad_share
        if not too_many and not (fails and log.count):
            return None
        what = f"{log.count} bad rows among {rows}; nothing was written"
        what += "" if fails else f" (a share of {share:.4f}, allowed {self.max_bad_share:g})"
        allowed = f" --max-bad-share {_rounded_up(share)}" if too_many else ""
        way_out = f"leave them out with --on-bad skip{allowed}" if fails else f"allow{allowed}"
        fix = f"mend the rows listed in {rejects}, or {way_out}"
        if share > _MOSTLY_BAD:
            fix = f"most rows are bad: is a path or an option wrong? All of them are listed in {rejects}"
        return f"{what}\n{log.summary()}", fix


def _rounded_up(share: float) -> str:
    """A share with two digits that is not below the true one."""
    return f"{min(1.0, math.ceil(share * 100) / 100):.2f}"


def _bracketed(identifier: str) -> str:
    return f" [{shown(identifier)}]" if identifier else ""
