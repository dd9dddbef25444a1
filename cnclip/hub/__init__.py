"""Hubs: verified files from the Hugging Face hub and from ModelScope, and folders to the former."""

from __future__ import annotations

from cnclip.hub.fetch import fetch_file, fetch_repository
from cnclip.hub.push import push_folder
from cnclip.hub.settings import HubName
from cnclip.hub.whole import check_whole

__all__ = ["HubName", "check_whole", "fetch_file", "fetch_repository", "push_folder"]
