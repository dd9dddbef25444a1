"""What became of every row: written, rejected or deduplicated, and the list of the rejected ones."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from cnclip.stores.raw.rows import BadRow, shown

RowKind = Literal["image", "text", "link"]
OnBad = Literal["auto", "fail", "skip"]
SHOWN_ROWS = 20
SMALL_SOURCE_ROWS = 1000


@dataclass
class RowCount:
    """The conservation law of one stream: rows_in = written + rejected + deduplicated."""

    written: int = 0
    rejected: int = 0
    deduplicated: int = 0

    @property
    def rows_in(self) -> int:
        return self.written + self.rejected + self.deduplicated


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

    def add(self, kind: RowKind, bad: BadRow) -> None:
        """Note a row of `kind`; a `link` is a caption's reference to a picture that is not there."""
        if self._file is None:
            self._file = open(self.path, "w", encoding="utf-8")
        line = {"kind": kind, **asdict(bad)}
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self.count += 1
        self.reasons[bad.reason.partition(":")[0]] += 1
        if len(self.first) < SHOWN_ROWS:
            self.first.append(bad)

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
        return f"{what}\n{log.summary()}", f"mend the rows listed in {rejects}, or {way_out}"


def _rounded_up(share: float) -> str:
    """A share with two digits that is not below the true one."""
    return f"{min(1.0, math.ceil(share * 100) / 100):.2f}"


def _bracketed(identifier: str) -> str:
    return f" [{shown(identifier)}]" if identifier else ""
