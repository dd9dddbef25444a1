"""Metrics of a run: `metrics.jsonl`, TensorBoard, and a console line with the time that is left."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from tqdm.auto import tqdm

from cnclip.artifacts import atomic_file

METRICS_NAME = "metrics.jsonl"
_SECONDS_BETWEEN_LINES = 15.0


class Monitor:
    """Writes what a run measures; only the main process has one.

    Args:
        folder: of the run.
        steps: optimizer steps in all.
        first_step: steps done before; rows after it are of a past that is repeated now, and are cut off.
        title: of the progress bar.
    """

    def __init__(self, folder: Path, *, steps: int, first_step: int, title: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / METRICS_NAME
        _cut_after(self.path, first_step)
        self._file = open(self.path, "a", encoding="utf-8")
        self._board = _tensorboard(folder / "tensorboard", first_step)
        self._bar = tqdm(total=steps, initial=first_step, desc=title, unit="step", disable=None, leave=True)
        self._steps, self._first_step = steps, first_step
        self._started: float | None = (
            None  # at the end of the first step: loader workers take a while to start
        )
        self._printed = 0.0

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._bar.close()
        self._file.close()
        if self._board is not None:
            self._board.close()

    def train(self, step: int, values: Mapping[str, float]) -> None:
        """One row of training metrics after `step` optimizer steps."""
        self._row({"step": step, "kind": "train", **values})
        self._scalars("train", step, values)
        self._bar.set_postfix_str(_short(values), refresh=False)
        if self._bar.disable and (
            time.monotonic() - self._printed > _SECONDS_BETWEEN_LINES or step == self._steps
        ):
            self._printed = time.monotonic()
            print(
                f"step {step}/{self._steps}  {_short(values)}  {self._time_left(step)} left", file=sys.stderr
            )

    def validation(self, step: int, values: Mapping[str, float]) -> None:
        """One row of validation recall after `step` optimizer steps."""
        self._row({"step": step, "kind": "validation", **values})
        self._scalars("validation", step, values)
        mean = values.get("mean_recall", float("nan"))
        self.say(f"step {step}: validation mean recall {mean:.2f} %")

    def advance(self) -> None:
        """One optimizer step is done."""
        if self._started is None:
            self._started, self._first_step = time.monotonic(), self._first_step + 1
        self._bar.update(1)

    def say(self, line: str) -> None:
        """Print a line without breaking the progress bar."""
        self._bar.write(line, file=sys.stderr)

    def _row(self, row: dict[str, Any]) -> None:
        finite = {key: _json_value(value) for key, value in row.items()}
        self._file.write(json.dumps(finite, allow_nan=False) + "\n")
        self._file.flush()

    def _scalars(self, group: str, step: int, values: Mapping[str, float]) -> None:
        if self._board is None:
            return
        for name, value in values.items():
            self._board.add_scalar(f"{group}/{name}", value, step)

    def _time_left(self, step: int) -> str:
        done = step - self._first_step
        if self._started is None or done <= 0:
            return "?"
        seconds = int((time.monotonic() - self._started) / done * (self._steps - step))
        return f"{seconds // 3600}h{seconds % 3600 // 60:02d}m{seconds % 60:02d}s"


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Rows of a metrics file; a last line that a crash left half is passed over."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


def _cut_after(path: Path, step: int) -> None:
    if not path.exists():
        return
    rows = [row for row in read_metrics(path) if row["step"] <= step]
    with atomic_file(path) as temporary:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _tensorboard(folder: Path, first_step: int) -> SummaryWriter | None:
    """A writer that hides the events after `first_step`, or None where it cannot write: training goes on."""
    try:
        return SummaryWriter(str(folder), purge_step=first_step + 1)
    except OSError as error:
        print(f"warning: no TensorBoard events: {error}", file=sys.stderr)
        return None


def _json_value(value: Any) -> Any:
    """null for NaN and infinity (the gradient norm of a skipped fp16 step), which JSON does not know."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _short(values: Mapping[str, float]) -> str:
    shown = {
        "epoch": "epoch {:.2f}",
        "loss": "loss {:.3f}",
        "temperature": "temp {:.3f}",
        "learning_rate": "lr {:.1e}",
        "gradient_norm": "grad {:.2f}",
        "pairs_per_second": "{:.0f} pairs/s",
    }
    return "  ".join(form.format(values[name]) for name, form in shown.items() if name in values)
