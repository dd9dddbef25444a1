"""How far a long work is: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys

from tqdm import tqdm

_LOG_SECONDS = 30.0
_QUIET_SECONDS = 10.0  # in a log, what is done sooner is not worth a line
_LOG_LINE = "{desc}: {n_fmt}/{total_fmt} {unit}, {elapsed} gone, {remaining} left, {rate_fmt}\n"


def progress_bar(total: int, label: str | None, unit: str, *, done: int = 0) -> tqdm[None]:
    """A bar on stderr; without a terminal a line every half minute, the first after ten seconds.

    Args:
        total: items of the whole work.
        label: what is worked on; None shows nothing.
        unit: of the items.
        done: items that are there from an earlier run.
    """
    if label is None:
        return tqdm(total=total, disable=True)
    if sys.stderr.isatty():
        return tqdm(total=total, desc=label, unit=unit, initial=done, leave=False)
    return tqdm(
        total=total,
        desc=label,
        unit=unit,
        initial=done,
        leave=False,
        mininterval=_LOG_SECONDS,
        maxinterval=_LOG_SECONDS,
        delay=_QUIET_SECONDS,
        bar_format=_LOG_LINE,
    )
