"""Models for programs without torch: ONNX files with their tokenizer and preprocessing."""

from cnclip.export.folder import ExportOptions, Towers, export_onnx, require_onnx
from cnclip.export.parity import ExportPrecision, ParityRow, parity_table

__all__ = [
    "ExportOptions",
    "ParityRow",
    "ExportPrecision",
    "Towers",
    "export_onnx",
    "parity_table",
    "require_onnx",
]
