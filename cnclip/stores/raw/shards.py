"""Which files a name with braces or stars, a folder or a file means, in a fixed order."""

from __future__ import annotations

import re
from pathlib import Path

from cnclip.errors import SourceError
from cnclip.stores.raw.braces import expand_braces
from cnclip.stores.raw.remote import RemoteFile, is_url, local_path
from cnclip.stores.raw.remote_names import remote_files
from cnclip.stores.raw.rows import shown

MAX_SHARDS = 1_000_000
Shard = Path | RemoteFile


def find_shards(place: Path | str, suffixes: tuple[str, ...]) -> tuple[Path | str, list[Shard]]:
    """(what names are relative to, the files) of a file, a folder, a name with braces or stars, or a URL.

    Args:
        place: `shards/{00000..00012}.tar`, `s3://bucket/shards/*.tar`, …
        suffixes: of the names to take from a folder.

    Raises:
        SourceError: a named file is missing, none, or over a million.
        ResourceError: a URL whose package is not installed.
    """
    if is_url(place):
        root, remote = remote_files(str(place), suffixes)
        return root, list(remote)
    path = local_path(place)
    return shards_root(path), list(shard_files(path, suffixes))


def shard_name(file: Shard, root: Path | str) -> str:
    """The name of a file for messages and ids."""
    if isinstance(file, RemoteFile):
        return shown(str(file).removeprefix(f"{root}/"), 500)
    path = Path(root)
    return shown(file.relative_to(path).as_posix() if file.is_relative_to(path) else file.name, 500)


def is_pattern(path: Path | str) -> bool:
    """Whether a name that is not there means several by braces or stars."""
    return "{" in str(path) or "*" in str(path)


def is_folder(place: Path | str, suffixes: tuple[str, ...]) -> bool:
    """Whether a place is a folder; a URL is one where it is no pattern and no file by its ending."""
    if is_url(place):
        return not is_pattern(place) and not RemoteFile(str(place)).name.lower().endswith(suffixes)
    return local_path(place).is_dir()


def shard_files(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The files of a file, a folder (with its subfolders, sorted), or a name with braces or stars.

    Args:
        path: a file, a folder, or `shards/{00000..00012}.tar`.
        suffixes: of the names to take from a folder.

    Raises:
        SourceError: a named file is missing, none, or over a million.
    """
    if path.is_file():
        return [path]
    if path.is_dir():
        root = path.resolve()
        found = sorted(
            (file for file in path.rglob("*") if file.name.lower().endswith(suffixes) and file.is_file()),
            key=lambda file: file.relative_to(path).as_posix(),
        )
        files = [
            file
            for file in found
            if not any(part.startswith(".") for part in file.relative_to(path).parts)
            and file.resolve().is_relative_to(root)
        ]
    else:
        files = []
        for name in expand_braces(str(path)):
            files += _matching(Path(name)) if "*" in name else [Path(name)]
            if len(files) > MAX_SHARDS:
                raise SourceError(f"over {MAX_SHARDS} shards", where=str(path), fix="give a folder")
        missing = [file for file in files if not file.is_file()]
        if missing:
            raise SourceError(
                f"no such file: {missing[0]} ({len(missing)} of {len(files)} are missing)",
                where=str(path),
                fix="check the range",
            )
    if not files:
        raise SourceError(f"no {' or '.join(suffixes)} files", where=str(path), fix="check the path")
    return files


def shards_root(path: Path) -> Path:
    """The folder that messages name shards relative to."""
    if path.is_dir():
        return path
    fixed = re.split(r"[{*]", str(path), maxsplit=1)[0] + "x" if is_pattern(path) else str(path)
    return path.parent if path.is_file() else Path(fixed).parent


def _matching(pattern: Path) -> list[Path]:
    """The files that a path with stars means, sorted."""
    parts = pattern.parts
    first = next(place for place, part in enumerate(parts) if "*" in part)
    return sorted(file for file in Path(*parts[:first]).glob("/".join(parts[first:])) if file.is_file())
