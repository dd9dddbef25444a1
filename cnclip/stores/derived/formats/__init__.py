"""A store as files of other formats, each of which `cnclip data build` reads back."""

from cnclip.stores.derived.formats.export import EXPORT_FORMATS, ExportFormat, ExportOptions, export_store
from cnclip.stores.derived.formats.read_back import Comparison, compare

__all__ = ["Comparison", "EXPORT_FORMATS", "ExportFormat", "ExportOptions", "compare", "export_store"]
