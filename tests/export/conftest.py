"""Tiny models and their exports, made once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from cnclip.export import ExportOptions, ExportPrecision, Towers, export_onnx
from cnclip.model import ARCHITECTURES, ChineseClip

Exported = Callable[[str, Towers, ExportPrecision], Path]


@cache
def tiny(name: str) -> ChineseClip:
    """A tiny model with random weights, in evaluation mode."""
    return ChineseClip(ARCHITECTURES[name], seed=5).eval()


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
