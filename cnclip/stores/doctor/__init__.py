"""The data doctor: what will go wrong in training, said before it starts. No torch."""

from cnclip.stores.doctor.checkup import check_stores
from cnclip.stores.doctor.findings import Finding, Limits
from cnclip.stores.doctor.outcome import Checkup, CheckupOptions
from cnclip.stores.doctor.report_files import write_report
from cnclip.stores.doctor.tools import Tools

__all__ = ["Checkup", "CheckupOptions", "Finding", "Limits", "Tools", "check_stores", "write_report"]
