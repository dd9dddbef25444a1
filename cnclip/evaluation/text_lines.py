"""The lines of a text file that a user writes for zero-shot classification."""

from __future__ import annotations

from pathlib import Path

from cnclip.errors import SourceError

_HOW_TO_WRITE = {
    "class names": "write a text file with one name on each line; the repository has some in eval/labels",
    "templates": "write a text file with one sentence on each line, {} where the name goes",
    "labels": 'write {"image_id": "...", "label": "..."} on each line',
}


def read_lines(path: Path, purpose: str) -> list[str]:
    """A text file's lines without their ends; a final line end makes no line.

    Args:
        path: the file.
        purpose: "class names", "templates" or "labels".

    Raises:
        SourceError: no such file, a folder, not UTF-8, nothing in it; says what to write into one.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SourceError(f"no such file of {purpose}: {path}", fix=_HOW_TO_WRITE[purpose]) from None
    except IsADirectoryError:
        what = f"cannot read the {purpose}: {path} is a folder, not a file"
        raise SourceError(what, fix=_HOW_TO_WRITE[purpose]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(
            f"cannot read the {purpose}: {error}", where=str(path), fix="save it as UTF-8"
        ) from None
    lines = text.removesuffix("\n").split("\n")
    if not text.strip():
        raise SourceError(f"a file of {purpose} without any", where=str(path), fix=_HOW_TO_WRITE[purpose])
    return [line.removesuffix("\r") for line in lines]
