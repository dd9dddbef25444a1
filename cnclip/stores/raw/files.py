"""Picture files named by users: found, kept inside one folder, read with a size limit."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

from cnclip.stores.raw.rows import MAX_IMAGE_BYTES, RowProblem

# what people call pictures; whether the bytes are one that we accept is the decoder's word
PICTURE_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        "jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff", "heic", "heif", "avif",
        "jxl", "jp2", "ppm", "tga", "ico",
    )
)  # fmt: skip


def find_picture(name: str, root: Path) -> Path:
    """The file that a row names, relative to `root` or absolute, without leaving `root`.

    Composed and decomposed spellings of the same name (NFC, NFD) and backslashes of Windows are accepted.

    Args:
        name: as the row has it.
        root: an absolute path without symbolic links.

    Raises:
        RowProblem: no such file, or one outside of `root`.
    """
    plain = name if "/" in name else name.replace("\\", "/")
    for spelling in dict.fromkeys((plain, *(unicodedata.normalize(form, plain) for form in ("NFC", "NFD")))):
        try:
            resolved = (root / spelling).resolve(strict=True)
        except (OSError, RuntimeError, ValueError):
            continue
        if not resolved.is_relative_to(root):
            raise RowProblem(
                f"outside of the image root: it leads out of {root}; use --image-root to allow more"
            )
        return resolved
    raise RowProblem(f"no such picture file: looked in {root}; use --image-root for another folder")


def read_picture(path: Path) -> bytes:
    """The bytes of a picture file.

    Raises:
        RowProblem: not a regular file, unreadable, empty, over 64 MiB.
    """
    try:
        if not path.is_file():
            raise RowProblem("not a regular file: a picture must be one")
        with open(path, "rb") as file:
            data = file.read(MAX_IMAGE_BYTES + 1)
    except OSError as error:
        raise RowProblem(f"cannot read the picture: {os.strerror(error.errno or 0)}") from None
    if not data:
        raise RowProblem("empty picture file: 0 bytes")
    if len(data) > MAX_IMAGE_BYTES:
        raise RowProblem(f"picture file too large: over {MAX_IMAGE_BYTES} bytes")
    return data
