"""What the `cnclip model` verbs share: where a name's weights lie, its history, and numbers for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cnclip.artifacts import MANIFEST_NAME, read_json, read_manifest
from cnclip.checkpoints.describe import file_hashes
from cnclip.checkpoints.official import read_official_facts
from cnclip.checkpoints.plan import HISTORY_FILES
from cnclip.config import read_yaml
from cnclip.errors import ArtifactError


def read_history(path: Path) -> dict[str, Any]:
    """What a checkpoint says about how it was made.

    Returns:
        `manifest`, `recipe`, `metrics`, `results`, each a mapping, for a folder; `epoch`, `step`, `name` and
        `optimizer_bytes` for a cn_clip file; what is not there is left out.

    Raises:
        ArtifactError: one of these is damaged.
    """
    if path.is_file():
        facts = read_official_facts(path)
        return {} if facts is None else {**vars(facts)}
    history: dict[str, Any] = {}
    if (path / MANIFEST_NAME).is_file():
        history["manifest"] = read_manifest(path).facts
    for name in HISTORY_FILES:
        file = path / name
        if file.is_file():
            value = read_yaml(file) if file.suffix == ".yaml" else read_json(file)
            if not isinstance(value, dict):
                raise ArtifactError("not a mapping of keys to values", where=str(file))
            history[file.stem] = value
    return history


def history_lines(history: dict[str, Any]) -> list[str]:
    """A history in a few lines."""
    lines = []
    facts = {**history.get("manifest", {}), **history}
    told = [f"{key} {facts[key]}" for key in ("name", "epoch", "step") if facts.get(key)]
    if told:
        lines.append(", ".join(told))
    if history.get("optimizer_bytes"):
        lines.append(f"with an optimizer's state of {readable_bytes(history['optimizer_bytes'])}")
    lines += recipe_lines(history.get("recipe", {}))
    lines += metric_lines(history.get("metrics", {}))
    origin = history.get("manifest", {})
    lines += [f"{key.replace('_', ' ')} {origin[key]}" for key in _ORIGINS if key in origin]
    return lines


def recipe_lines(recipe: dict[str, Any]) -> list[str]:
    """What decides most about a training, from its resolved recipe."""
    wanted = {
        "trained on": _store_names(_deep(recipe, "data", "train")),
        "started from": Path(str(_deep(recipe, "model", "checkpoint") or "")).name,
        "locked": " and ".join(t for t in ("image", "text") if _deep(recipe, "model", t, "locked")),
        "epochs": _deep(recipe, "schedule", "epochs"),
        "steps": _deep(recipe, "schedule", "steps"),
        "learning rate": _deep(recipe, "optimizer", "lr"),
        "pairs per process": _deep(recipe, "data", "batch_size"),
        "precision": recipe.get("precision"),
        "seed": recipe.get("seed"),
    }
    return [f"{key} {value}" for key, value in wanted.items() if value not in (None, "", 0)]


def _store_names(stores: Any) -> str:
    """Of one training store or of several."""
    paths = stores if isinstance(stores, list) else [stores or ""]
    return ", ".join(Path(str(path)).name for path in paths)


def metric_lines(metrics: dict[str, Any]) -> list[str]:
    """The last numbers that a training wrote down."""
    rows = metrics.get("last")
    rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    lines = []
    for row in rows:
        shown = [f"{key} {row[key]:.4g}" for key in _METRICS if isinstance(row.get(key), int | float)]
        if shown:
            lines.append(f"{row.get('kind', 'at')} at step {row.get('step', '?')}: " + ", ".join(shown))
    return lines


def visible_hashes(path: Path) -> dict[str, tuple[int, str]]:
    """`file_hashes` without hidden files, such as the records that a download keeps in its folder.

    Raises:
        ArtifactError: a file differs from the folder's manifest.
    """
    return {name: value for name, value in file_hashes(path).items() if not name.startswith(".")}


def hash_lines(path: Path) -> list[str]:
    """sha256, name and size of a file, or of each file of a folder."""
    return [
        f"sha256: {sha256}  {file} ({readable_bytes(size)})"
        for file, (size, sha256) in visible_hashes(path).items()
    ]


def readable_bytes(count: int) -> str:
    """718400000 -> "718.4 MB"."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"


def readable_count(count: int) -> str:
    """188262913 -> "188.3 M"."""
    return f"{count / 1e6:.1f} M" if count >= 1e6 else f"{count:,}"


def _deep(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


_ORIGINS = ("published_from", "converted_from", "global_batch_size", "processes")
_METRICS = ("loss", "mean_recall", "t2i_r1", "i2t_r1")
