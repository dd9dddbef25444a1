"""`cnclip model show`, `diff` and `list`: what a checkpoint is, what changed, what there is."""

from __future__ import annotations

import dataclasses
import json as json_text
from pathlib import Path
from typing import Any

import torch

from cnclip.architecture import differing_keys
from cnclip.checkpoints.compare import IMAGE, TEXT, Drift, ModelDrift, compare_tensors, is_statistic
from cnclip.checkpoints.describe import CheckpointFacts, describe_checkpoint
from cnclip.checkpoints.opened import OpenedCheckpoint, open_checkpoint
from cnclip.commands.model_parts import (
    history_lines,
    read_history,
    readable_bytes,
    readable_count,
    visible_hashes,
)
from cnclip.errors import CnclipError
from cnclip.finding import DEFAULT_ROOT, MODELS, OWNERS, find_checkpoint, local_checkpoint
from cnclip.model import ARCHITECTURES, ChineseClip
from cnclip.tables import Table, text_table
from cnclip.text.wordpiece import CONTEXT_LENGTH

LISTED = 20  # names that only one of two checkpoints has


def show(name: str, *, json: bool = False) -> int:
    """Say what a checkpoint is: architecture, size, types, training history, sha256, uses.

    Examples:
        cnclip model show checkpoints/emoji-en-tiny
        cnclip model show clip_cn_vit-b-16.pt
        cnclip model show ViT-H-14 --json true
        cnclip model show hfl/chinese-macbert-base

    Args:
        name: a folder, a file, an official name (nothing is downloaded), or owner/name of a repository (what
            is not here is downloaded).
        json: print one JSON object in place of the lines.
    """
    path = local_checkpoint(name) if name in MODELS else find_checkpoint(name)
    if path is None:
        values: dict[str, Any] = {"name": name, **_official(name), "local": None}
        lines = [f"{key}: {value}" for key, value in values.items() if value is not None]
        lines.append(f"not on this machine; cnclip model download {name}")
    else:
        facts, history, files = describe_checkpoint(path), read_history(path), visible_hashes(path)
        values = {**dataclasses.asdict(facts), "history": history}
        values["files"] = {file: {"bytes": size, "sha256": sha} for file, (size, sha) in files.items()}
        lines = [*_fact_lines(facts), *(f"history: {line}" for line in history_lines(history))]
        lines += [f"sha256: {sha}  {file} ({readable_bytes(size)})" for file, (size, sha) in files.items()]
    print(json_text.dumps(values, ensure_ascii=False, indent=2) if json else "\n".join(lines))
    return 0


def diff(first: str, second: str) -> int:
    """Compare the weights of two checkpoints, layer by layer: how far training moved which part.

    relative change is the length of the difference divided by the length of the first.

    Examples:
        cnclip model diff checkpoints/emoji-stage1 checkpoints/emoji-stage2
        cnclip model diff ViT-B-16 runs/mine/step-000001000

    Args:
        first: a model's name, folder or file.
        second: another one.
    """
    one, other = open_checkpoint(find_checkpoint(first)), open_checkpoint(find_checkpoint(second))
    drift = compare_tensors(one.tensors, other.tensors)
    for line in _architecture_differences(one, other):
        print(line)
    if drift.identical:
        print(f"identical: all {len(drift.tensors)} tensors are equal")
        return 0
    for which, names in ((first, drift.only_first), (second, drift.only_second)):
        if names:
            more = f" … and {len(names) - LISTED} more" if len(names) > LISTED else ""
            print(f"only in {which}: {', '.join(names[:LISTED])}{more}")
    for name, (before, after) in drift.shapes.items():
        print(f"{name}: {list(before)} -> {list(after)}")
    print(text_table(_drift_table("Layers", drift.layers())))
    print()
    print(text_table(_drift_table("Towers", drift.towers(), note=_unchanged(drift))))
    return 0


def list_models(*, root: Path = DEFAULT_ROOT, json: bool = False) -> int:
    """List the official models and the checkpoints in a folder.

    Examples:
        cnclip model list
        cnclip model list --root /data/checkpoints --json true

    Args:
        root: folder of checkpoints and official files.
        json: print one JSON object in place of the tables.
    """
    official = {name: {**_official(name), "local": _text(local_checkpoint(name, root))} for name in MODELS}
    files = {entry.file for entry in MODELS.values()}
    places = sorted(root.iterdir()) if root.is_dir() else []
    found = {place.name: _found(place) for place in places if place.name not in files and _is_model(place)}
    if json:
        print(json_text.dumps({"official": official, "checkpoints": found}, ensure_ascii=False, indent=2))
        return 0
    header = ["name", "repository", "file", "parameters", "pixels", "here"]
    rows = [
        [name, *_cells(values, header[1:-1]), values["local"] or "no"] for name, values in official.items()
    ]
    print(text_table(Table("Official models", header, rows)))
    if found:
        header = ["name", "kind", "architecture", "parameters", "pixels", "size"]
        print()
        rows = [[name, *_cells(values, header[1:])] for name, values in found.items()]
        print(text_table(Table(f"Checkpoints in {root}", header, rows)))
    return 0


def _official(name: str) -> dict[str, Any]:
    entry, architecture = MODELS[name], ARCHITECTURES[name]
    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in ChineseClip(architecture).parameters())
    return {
        "repository": f"{OWNERS['huggingface']}/{entry.repository}",
        "file": entry.file,
        "parameters": parameters,
        "pixels": getattr(architecture.image, "resolution", None),
    }


def _is_model(place: Path) -> bool:
    if place.is_dir():
        return any((place / name).is_file() for name in ("architecture.json", "config.json"))
    return place.suffix in (".pt", ".pth", ".safetensors")


def _found(place: Path) -> dict[str, Any]:
    try:
        facts = describe_checkpoint(place)
    except CnclipError as error:  # one damaged checkpoint must not hide the others
        return {"kind": f"unreadable: {error.what}"}
    return {
        "kind": facts.kind
        if "whole model" in facts.uses
        else f"{facts.kind}, {' and '.join(facts.uses)} only",
        "architecture": facts.name or "its own",
        "parameters": facts.parameters["total"],
        "pixels": facts.resolution,
        "size": facts.bytes,
    }


def _cells(values: dict[str, Any], keys: list[str]) -> list[str]:
    shown = {"parameters": readable_count, "size": readable_bytes}
    return ["-" if values.get(key) is None else shown.get(key, str)(values[key]) for key in keys]


def _fact_lines(facts: CheckpointFacts) -> list[str]:
    numbers = facts.parameters
    towers = f"image {numbers[IMAGE]:,}, text {numbers[TEXT]:,}"
    lines = [
        f"{facts.path}: {facts.kind}",
        f"architecture: {facts.name or 'its own'}",
        *(f"  {key}: {_flat(value)}" for key, value in facts.architecture.items()),
        *(
            []
            if facts.is_stated
            else ["  (read off the tensors, which do not tell heads: taken to be 64 wide)"]
        ),
        f"parameters: {numbers['total']:,} ({towers})",
        f"size: {facts.bytes:,} bytes ({readable_bytes(facts.bytes)})",
        "types: " + ", ".join(f"{kind} {count:,}" for kind, count in facts.types.items()),
    ]
    if facts.resolution is not None:
        lines.append(f"pictures: {facts.resolution} x {facts.resolution} pixels")
    if facts.max_positions is not None:
        usual = min(CONTEXT_LENGTH, facts.max_positions)
        lines.append(f"captions: {usual} tokens, at most {facts.max_positions}")
    lines.append(f"can be used as: {', '.join(facts.uses)}")
    lines += [f"not used: {name} ({reason})" for name, reason in facts.dropped.items()]
    return lines


def _flat(value: Any) -> str:
    return " ".join(f"{key}={part}" for key, part in value.items()) if isinstance(value, dict) else str(value)


def _architecture_differences(one: OpenedCheckpoint, other: OpenedCheckpoint) -> list[str]:
    """Only of folders, which know: what bare files can tell shows in the shapes of their tensors."""
    if one.architecture is None or other.architecture is None:
        return []
    keys = differing_keys(one.architecture, other.architecture)
    return [f"architecture: {key}: {before} -> {after}" for key, before, after in keys]


def _drift_table(title: str, drifts: list[Drift], note: str = "") -> Table:
    header = ["part", "numbers", "relative change", "max change", "cosine"]
    rows = [
        [d.name, f"{d.numbers}", f"{d.relative_change:.6f}", f"{d.max_change:.6f}", f"{d.cosine:.6f}"]
        for d in drifts
    ]
    return Table(title, header, rows, note)


def _unchanged(drift: ModelDrift) -> str:
    weights = drift.weights()
    note = f"{sum(part.max_change == 0 for part in weights)} of {len(weights)} weight tensors are equal"
    statistics = [part for part in drift.tensors if is_statistic(part.name)]
    moved = sum(part.max_change != 0 for part in statistics)
    return f"{note}; BatchNorm statistics: {moved} of {len(statistics)} moved" if statistics else note


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
