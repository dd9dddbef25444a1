"""Which files a name with braces, a folder or a file means, in a fixed order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from cnclip.errors import SourceError

MAX_SHARDS = 1_000_000
_BRACE = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


def expand_braces(text: str) -> Iterator[str]:
    """`{00..02}.tar` or `{train,valid}.tar` as its names, in order.

    Raises:
        SourceError: a range that goes down.
    """
    match = _BRACE.search(text)
    if match is None:
        yield text
        return
    span = _RANGE.fullmatch(match[1])
    if span is None:
        parts: Iterator[str] = iter(match[1].split(","))
    else:
        first, last, width = int(span[1]), int(span[2]), len(span[1])
        if last < first:
            raise SourceError(
                f"the range {{{match[1]}}} goes down", where=text, fix="write the smaller number first"
            )
        parts = (f"{number:0{width}d}" for number in range(first, last + 1))
    for part in parts:
        yield from expand_braces(text[: match.start()] + part + text[match.end() :])


def shard_files(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The files of a file, a folder (with its subfolders, sorted), or a name with braces.

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
            files.append(Path(name))
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
    fixed = Path(str(path).partition("{")[0] + "x") if "{" in str(path) and not path.is_file() else path
    return fixed.parent
