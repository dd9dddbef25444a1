"""One progress bar for each step of a `data` verb, on stderr."""

from __future__ import annotations

from tqdm import tqdm


class StepBar:
    """A bar that begins anew with each step; a context manager."""

    def __init__(self) -> None:
        self._bar: tqdm[None] | None = None
        self._step = ""

    def of_total(self, step: str, done: int, total: int) -> None:
        """Move the bar of `step`, whose end is known, to `done`."""
        self._move(step, done, total)

    def of_share(self, step: str, rows: int, share: float | None) -> None:
        """Move the bar of `step`, of which a share is done, to `rows`."""
        bar = self._move(step, rows, None)
        if share is not None and rows % 1000 == 0:
            bar.set_postfix_str(f"{share:.0%}", refresh=False)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _move(self, step: str, done: int, total: int | None) -> tqdm[None]:
        if step != self._step or self._bar is None:
            self.close()
            self._step = step
            self._bar = tqdm(desc=step, total=total, unit=" rows", disable=None, mininterval=0.5)
        self._bar.update(done - self._bar.n)
        return self._bar

    def __enter__(self) -> StepBar:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
