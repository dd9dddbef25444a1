"""What the environment says about hubs, read at the moment of the call and not at the import."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from cnclip.stamps import user_cache

HubName = Literal["huggingface", "modelscope"]
HUB_TITLES: dict[HubName, str] = {"huggingface": "the Hugging Face hub", "modelscope": "ModelScope"}
_DEFAULT_ENDPOINTS: dict[HubName, str] = {
    "huggingface": "https://huggingface.co",
    "modelscope": "https://www.modelscope.cn",
}
DEFAULT_REVISIONS: dict[HubName, str] = {"huggingface": "main", "modelscope": "master"}
_STALL_SECONDS = 20.0


def endpoint(hub: HubName) -> str:
    """Address of a hub without a slash at its end: `HF_ENDPOINT`, `MODELSCOPE_DOMAIN`, or the public one."""
    given = os.environ.get("HF_ENDPOINT" if hub == "huggingface" else "MODELSCOPE_DOMAIN", "").strip()
    if not given:
        return _DEFAULT_ENDPOINTS[hub]
    return (given if "://" in given else f"https://{given}").rstrip("/")


def is_offline() -> bool:
    """Whether `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE` forbids the network."""
    values = (os.environ.get("HF_HUB_OFFLINE"), os.environ.get("TRANSFORMERS_OFFLINE"))
    return any(value is not None and value.upper() in {"1", "ON", "YES", "TRUE"} for value in values)


def stall_seconds() -> float:
    """How long a connection may bring nothing: `HF_HUB_DOWNLOAD_TIMEOUT`, or 20 seconds."""
    try:
        return float(os.environ.get("HF_HUB_DOWNLOAD_TIMEOUT", "")) or _STALL_SECONDS
    except ValueError:
        return _STALL_SECONDS


def answer_seconds() -> float:
    """How long a small question may wait for its answer."""
    return min(10.0, stall_seconds())


def hugging_face_cache() -> Path:
    """The folder that huggingface_hub, transformers and cnclip share (docs: HF_HUB_CACHE, HF_HOME)."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(variable):
            return _expanded(os.environ[variable])
    if os.environ.get("HF_HOME"):
        return _expanded(os.environ["HF_HOME"]) / "hub"
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return _expanded(root) / "huggingface" / "hub"


def modelscope_cache(repository: str, revision: str) -> Path:
    """The folder for the files of a ModelScope repository at one revision."""
    return user_cache() / "modelscope" / repository.replace("/", "--") / revision.replace("/", "--")


def is_allowed(address: str, origin: str) -> bool:
    """Whether bytes may come from `address`: https, this machine, or the endpoint that the user named."""
    parts = urlsplit(address)
    if parts.scheme == "https":
        return True
    given = urlsplit(origin)
    same = (parts.scheme, parts.netloc) == (given.scheme, given.netloc)
    return parts.scheme == "http" and (same or _is_loopback(parts.hostname or ""))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _expanded(path: str) -> Path:
    return Path(os.path.expandvars(path)).expanduser()
