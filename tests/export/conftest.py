"""Tiny models and their exports, made once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cnclip.export import ExportOptions, ExportPrecision, Towers, export_onnx, folder
from cnclip.export.graphs import FileKind
from cnclip.model import ARCHITECTURES, ChineseClip

Exported = Callable[[str, Towers, ExportPrecision], Path]


@cache
def tiny(name: str) -> ChineseClip:
    """A tiny model with random weights, in evaluation mode."""
    return ChineseClip(ARCHITECTURES[name], seed=5).eval()


@pytest.fixture(scope="session", autouse=True)
def computed_once() -> Iterator[None]:
    """What every export of a tiny model computes anew for seconds, and always alike, is computed once."""
    real = folder.trace

    @cache
    def trace_of_tiny(name: str, kind: FileKind, opset: int) -> Any:
        return real(tiny(name), kind, opset)

    def trace(model: ChineseClip, kind: FileKind, opset: int) -> Any:
        name = next((name for name in ("tiny-ViT", "tiny-RN") if tiny(name) is model), None)
        return real(model, kind, opset) if name is None else trace_of_tiny(name, kind, opset).clone()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folder, "trace", trace)
        patch.setattr(folder, "portable_tokenizer", cache(folder.portable_tokenizer))
        yield


@pytest.fixture(scope="session")
def tiny_model() -> Callable[[str], ChineseClip]:
    """Name of an architecture -> model; the same one each time."""
    return tiny


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """(architecture, towers, precision) -> folder of that export; nobody may write into it."""
    parent = tmp_path_factory.mktemp("exports")

    @cache
    def export(name: str, towers: Towers, precision: ExportPrecision) -> Path:
        folder = parent / f"{name} {towers} {precision}"
        export_onnx(tiny(name), folder, ExportOptions(towers=towers, precision=precision))
        return folder

    return export
