"""Samples of one tar shard, in order; bad members and damage are reported with their offset."""

from __future__ import annotations

import gzip
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from cnclip.errors import CnclipError
from cnclip.stores.raw.files import PICTURE_SUFFIXES
from cnclip.stores.raw.folder import MAX_SIDECAR_BYTES
from cnclip.stores.raw.places import DAMAGES, OpenedPlace, Place
from cnclip.stores.raw.remote import RemoteFile
from cnclip.stores.raw.remote_stream import RemoteStream
from cnclip.stores.raw.rows import MAX_IMAGE_BYTES, BadRow, Report, RowProblem, shown
from cnclip.stores.raw.samples import Sample
from cnclip.stores.raw.shards import Shard
from cnclip.stores.raw.tar_members import Member, TarDamage, TarReader

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
MAX_RATIO = 100  # bytes out of one byte of a compressed shard; pictures do not shrink
_FREE_BYTES = 64 << 20
_READ = ("txt", "text", "caption", "json")


def samples_of(file: Shard, name: str, report: Report, *, pictures: bool) -> Iterator[Sample]:
    """The samples of a shard.

    Args:
        file: the shard.
        name: for messages.
        report: is told of members that are no files, of names that lead out, of damage; the rest is read.
        pictures: False reads the captions only.

    Raises:
        SourceError: a remote shard is not there.
        ResourceError: it is out of reach: its rows are not bad, the network is.
    """
    compressed = not file.name.lower().endswith(".tar")
    last_key = ""
    try:
        with _opened(file) as (opened, size):
            if compressed:
                tar = TarReader(_Limited(opened.stream, opened.raw), None)
            else:
                tar = TarReader(opened.stream, size)
            shard = _Shard(file, name, tar, report, pictures)
            for sample in shard.samples():
                last_key = sample.key
                yield sample
    except TarDamage as damage:
        good = f"the last whole sample is {shown(last_key)}" if last_key else "no sample came before"
        report(BadRow(f"{name}@{damage.offset}", "", f"damaged archive: {damage.reason}; {good}"))
    except DAMAGES as error:
        report(BadRow(name, "", f"damaged archive: {error}; after {shown(last_key) or 'no sample'}"))
    except CnclipError as error:
        if isinstance(file, RemoteFile):
            raise
        report(BadRow(name, "", f"unreadable archive: {error.what}"))


@contextmanager
def _opened(file: Shard) -> Generator[tuple[OpenedPlace, int | None]]:
    """The shard's plain bytes, and its size where it can be known."""
    if isinstance(file, RemoteFile):
        with RemoteStream(file) as remote:
            raw = cast(BinaryIO, remote)
            plain = raw if file.name.lower().endswith(".tar") else cast(BinaryIO, gzip.GzipFile(fileobj=raw))
            size = remote.size
            yield OpenedPlace(plain, raw, lambda: remote.tell() / max(1, size or 1)), size
        return
    with Place(file).open() as opened:
        yield opened, os.fstat(opened.raw.fileno()).st_size


class _Shard:
    """Members of one archive, put together by their keys."""

    def __init__(self, file: Shard, name: str, tar: TarReader, report: Report, pictures: bool) -> None:
        self._name = name
        self._tar = tar
        self._report = report
        self._pictures = pictures
        # one stream of a remote shard is quicker than a request for each picture
        self._local = file if isinstance(file, Path) and file.name.lower().endswith(".tar") else None

    def samples(self) -> Iterator[Sample]:
        sample: Sample | None = None
        try:
            for member in self._tar.members():
                if not self._is_wanted(member):
                    continue
                key, ending = _split_name(member.name)
                if sample is None or key != sample.key:
                    if sample is not None:
                        yield sample
                    sample = Sample(key, self._where(member))
                self._add(sample, member, ending)
        except TarDamage:
            if sample is not None and (sample.has_picture and sample.parts):
                yield sample  # whole, as far as anybody can tell
            raise
        if sample is not None:
            yield sample

    def _is_wanted(self, member: Member) -> bool:
        """Whether a member is a plain file with a plain name; all else but folders is reported."""
        if member.kind:
            if member.kind != "a folder":
                self._bad(member, f"not a file: it is {member.kind}")
            return False
        parts = member.name.replace("\\", "/").split("/")
        if member.name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\x00" in member.name:
            self._bad(member, "unsafe name: it is absolute or leads out of the archive")
            return False
        return not (parts[-1].startswith((".", "__")) or not parts[-1])

    def _add(self, sample: Sample, member: Member, ending: str) -> None:
        last = ending.rpartition(".")[2]
        if f".{last}" in PICTURE_SUFFIXES:
            if sample.has_picture:
                self._bad(member, f"second picture: {shown(sample.key)} has one already")
                return
            sample.has_picture = True
            if self._pictures:
                self._add_picture(sample, member)
        elif ending in _READ:
            if member.size > MAX_SIDECAR_BYTES:
                self._bad(member, f"caption file too large: over {MAX_SIDECAR_BYTES} bytes")
            elif ending in sample.parts:
                self._bad(member, "duplicate member: the sample has one of this name")
            else:
                sample.parts[ending] = self._tar.read(member.size)

    def _add_picture(self, sample: Sample, member: Member) -> None:
        if not 0 < member.size <= MAX_IMAGE_BYTES:
            reason = (
                "empty picture file: 0 bytes" if not member.size else "picture file too large: over 64 MiB"
            )
            sample.picture = partial(_refuse, reason)
        elif self._local is not None:
            sample.picture = partial(_read_at, self._local, member.data_offset, member.size)
        else:
            sample.picture = partial(bytes, self._tar.read(member.size))

    def _bad(self, member: Member, reason: str) -> None:
        self._report(BadRow(self._where(member), shown(member.name, 200), reason))

    def _where(self, member: Member) -> str:
        return f"{self._name}@{member.offset}"


class _Limited:
    """A compressed stream that ends in an error where it swells too much; it cannot seek."""

    def __init__(self, stream: BinaryIO, raw: BinaryIO) -> None:
        self._stream = stream
        self._raw = raw
        self._given = 0

    def read(self, count: int) -> bytes:
        data = self._stream.read(count)
        self._given += len(data)
        if self._given > MAX_RATIO * self._raw.tell() + _FREE_BYTES:
            raise TarDamage(self._given, f"a bomb: over {MAX_RATIO} bytes out of each compressed byte")
        return data

    def seek(self, place: int) -> int:
        raise AssertionError("a compressed shard is read in order")


def _read_at(file: Path, offset: int, size: int) -> bytes:
    try:
        with open(file, "rb") as stream:
            stream.seek(offset)
            data = stream.read(size)
    except OSError as error:
        raise RowProblem(f"cannot read the picture: {os.strerror(error.errno or 0)}") from None
    if len(data) != size:
        raise RowProblem("damaged archive: it became shorter while it was read")
    return data


def _refuse(reason: str) -> bytes:
    raise RowProblem(reason)


def _split_name(name: str) -> tuple[str, str]:
    """(key, ending): the key ends at the first dot of the last part, as in WebDataset."""
    folder, slash, base = name.removeprefix("./").rpartition("/")
    stem, _, ending = base.partition(".")
    return folder + slash + stem, ending.lower()
