"""The zip archives that torch writes: every member against its CRC32, and the directory against itself."""

from __future__ import annotations

import errno
import os
import struct
import zipfile
import zlib
from pathlib import Path

from cnclip.errors import ArtifactError, RefusedError

_PIECE_BYTES = 1 << 20
_LARGEST_RATIO = 200  # of a deflated member; code in TorchScript archives stays below 20
_TROUBLES = (
    zipfile.BadZipFile, struct.error, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError,
    OverflowError,
)  # fmt: skip
# APPNOTE.TXT 4.3.14 to 4.3.16: the record of 64-bit values, its locator, and the old record at the very end
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_END_BYTES = 22
_ENTRY_BYTES, _ENTRY_LENGTHS = 46, 28  # of an entry without its name, extra field and comment; where they are
_KNOWN_FLAGS = 0x80E  # how hard it was deflated (2), the CRC32 comes after the data (8), names are UTF-8
_FOLDER = 0x10  # torch reads a member with this attribute as empty, and returns memory that nobody has filled


def is_archive(path: Path) -> bool:
    """Whether a file begins or ends like a zip archive; a torch file from before archives does neither."""
    with open(path, "rb") as file:
        if file.read(2) == b"PK":
            return True
        file.seek(max(0, file.seek(0, os.SEEK_END) - _END_BYTES))
        return file.read(4) == b"PK\5\6"


def check_archive(path: Path) -> None:
    """Read all members in pieces and compare their CRC32; one of 0 stands for one that the writer left out.

    Raises:
        ArtifactError: the archive is cut, or a member or the directory is damaged.
        RefusedError: a member expands beyond all measure.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_directory(path, archive)
            for member in members:
                _check_extent(path, member)
            if sum(member.compress_size for member in members) > path.stat().st_size:
                raise zipfile.BadZipFile("members lie upon each other")
            for member in members:
                if member.CRC == 0:
                    continue
                with archive.open(member) as content:
                    while content.read(_PIECE_BYTES):
                        pass
    except OSError as error:
        if error.errno != errno.EINVAL:  # EINVAL: an offset in the archive that no file can have
            raise
        raise _damaged(path, "an offset outside the file") from error
    except _TROUBLES as error:
        raise _damaged(path, str(error) or type(error).__name__) from error


def _check_extent(path: Path, member: zipfile.ZipInfo) -> None:
    stored = member.compress_type == zipfile.ZIP_STORED
    strange = member.flag_bits & ~_KNOWN_FLAGS or member.external_attr & _FOLDER or member.volume
    if strange or (stored and member.file_size != member.compress_size):
        raise zipfile.BadZipFile(f"the entry of {member.filename} contradicts itself")
    if member.file_size > _LARGEST_RATIO * member.compress_size + _PIECE_BYTES:
        raise RefusedError(
            f"{member.filename} expands {member.file_size // max(member.compress_size, 1)}-fold",
            where=str(path),
            fix="weight files are not compressed so; get the file from where it was published",
        )


def _check_directory(path: Path, archive: zipfile.ZipFile) -> None:
    """The directory must say what was found: zipfile reads past some of its fields, torch does not."""
    tail_bytes = _END64.size + _LOCATOR.size + _END_BYTES
    end = path.stat().st_size - tail_bytes
    if archive.comment or end < archive.start_dir:
        return
    with open(path, "rb") as file:
        file.seek(archive.start_dir)
        directory, tail = file.read(end - archive.start_dir), file.read(tail_bytes)
    record, locator = _END64.unpack_from(tail), _LOCATOR.unpack_from(tail, _END64.size)
    if locator[0] != b"PK\6\7" and record[0] != b"PK\6\6":
        return  # an archive without 64-bit values
    if locator != (b"PK\6\7", 0, end, 1):
        raise zipfile.BadZipFile("the locator of its directory is damaged")
    count, length = len(archive.infolist()), 0
    found = (b"PK\6\6", _END64.size - 12, 0, 0, count, count, len(directory), archive.start_dir)
    for _ in range(count):
        length += _ENTRY_BYTES + sum(struct.unpack_from("<3H", directory, length + _ENTRY_LENGTHS))
    if (*record[:2], *record[4:]) != found or length != len(directory):
        raise zipfile.BadZipFile("its directory is damaged")


def _damaged(path: Path, why: str) -> ArtifactError:
    return ArtifactError(
        f"{path.name} is cut or damaged ({why})", where=str(path), fix="copy or download it again"
    )
