"""File names for pictures: the id where it is a safe path, else a number; none in another's way."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath

from cnclip.stores.raw.files import PICTURE_SUFFIXES
from cnclip.stores.raw.walk import nfc

_MAGICS = (
    (b"\xff\xd8\xff", "jpg"),
    (b"\x89PNG", "png"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"II*\x00", "tif"),
    (b"MM\x00*", "tif"),
)
_UNSAFE = re.compile(r'[<>:"\\|?*\x00-\x1f\x7f]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_MOST_PART_BYTES, _MOST_BYTES = 200, 1000  # of a name with its ending, of a path


def picture_ending(data: bytes) -> str:
    """The usual ending of a picture's file, without a dot; `img` where the format is not known."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return next((ending for magic, ending in _MAGICS if data.startswith(magic)), "img")


class PictureNames:
    """Gives each picture a relative path, so that it and its caption file `stem.txt` are its alone.

    Names count as equal as on file systems that ignore case and composition.
    """

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._stems: set[str] = set()
        self._folders: set[str] = set()

    def name(self, number: int, image_id: str, data: bytes) -> str:
        """The path of picture `number`: its id, its id with an ending, or `picture-00000012.jpg`."""
        ending = picture_ending(data)
        for candidate in (image_id, f"{image_id}.{ending}"):
            if _is_safe(candidate) and self._take(candidate):
                return candidate
        while True:
            candidate = f"picture-{number:08d}.{ending if ending != 'img' else 'jpg'}"
            if self._take(candidate):
                return candidate
            number += 100_000_000

    def _take(self, name: str) -> bool:
        """Claim a name, unless it is in the way of another one."""
        path = PurePosixPath(_folded(name))
        own, stem = str(path), str(path.with_suffix(""))
        folders = {str(parent) for parent in path.parents} - {"."}
        taken = own in self._files or own in self._stems or {stem, f"{stem}.txt"} & self._files
        if taken or stem in self._stems or folders & self._files or {own, f"{stem}.txt"} & self._folders:
            return False
        self._files |= {own, f"{stem}.txt"}
        self._stems.add(stem)
        self._folders |= folders
        return True


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())


def _is_safe(name: str) -> bool:
    """Whether a path is a picture's name on every system, leads nowhere else, and reads back as it is."""
    parts = name.split("/")
    return (
        PurePosixPath(name).suffix.lower() in PICTURE_SUFFIXES
        and name == nfc(name)
        and len(name.encode()) <= _MOST_BYTES
        and _UNSAFE.search(name) is None
        and all(
            part == part.strip()
            and part
            and not part.startswith(".")
            and not part.endswith(".")
            and len(part.encode()) <= _MOST_PART_BYTES
            and _RESERVED.fullmatch(part) is None
            for part in parts
        )
    )
