"""Chinese words of a caption, by jieba: for statistics, search and grounding, never for the model's ids.

jieba's own start keeps a `marshal` file in the shared temporary folder and loads whatever lies there. Here
its dictionary is read afresh once per process (about a second), under a lock, with no file written and no
network: the same words on every machine.
"""

from __future__ import annotations

import importlib
import threading
import warnings
from functools import cache
from pathlib import Path
from typing import Any

from cnclip.errors import ArtifactError, ResourceError, SourceError

_STARTING = threading.Lock()


def segment_words(caption: str, *, user_dictionary: Path | None = None) -> list[str]:
    """Split a caption into words; punctuation marks are words, white space is dropped.

    Args:
        caption: best cleaned by `normalize_caption` first.
        user_dictionary: UTF-8 text, one word per line, with an optional whole-number weight and tag after
            blanks (jieba's form: `云计算 5 n`); its words are kept in one piece. Read once per process.

    Raises:
        SourceError: the user dictionary cannot be read; the message names file and line.
        ResourceError: jieba is not installed.
        ArtifactError: jieba's own dictionary is missing or damaged.
    """
    with _STARTING:  # held for the first call only as long as the dictionary takes; later it costs nothing
        segmenter = _segmenter(user_dictionary)
    return [word for word in segmenter.cut(caption) if not word.isspace()]


@cache
def _segmenter(user_dictionary: Path | None) -> Any:
    """A ready jieba.Tokenizer; failures are not remembered, so that a mended file is read again."""
    entries = [] if user_dictionary is None else _read_dictionary(user_dictionary)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # jieba's old string escapes
            jieba: Any = importlib.import_module("jieba")
    except ImportError as error:
        raise ResourceError("word segmentation needs jieba", fix="pip install jieba") from error
    segmenter = jieba.Tokenizer()
    try:
        segmenter.FREQ, segmenter.total = segmenter.gen_pfdict(segmenter.get_dict_file())
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"jieba's dictionary cannot be read: {error}", fix="pip install --force-reinstall jieba"
        ) from error
    segmenter.initialized = True
    for word, weight in entries:
        segmenter.add_word(word, weight)
    return segmenter


def _read_dictionary(path: Path) -> list[tuple[str, int | None]]:
    """Words and weights of a user dictionary."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(
            f"the user dictionary cannot be read: {error.strerror}", where=str(path), fix="correct the path"
        ) from error
    entries: list[tuple[str, int | None]] = []
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        try:
            fields = line.decode("utf-8").split()
        except UnicodeDecodeError as error:
            raise SourceError(
                "the user dictionary is not UTF-8",
                where=f"{path}:{number}",
                fix=f"iconv -f gb18030 -t utf-8 {path}",
            ) from error
        if fields:
            entries.append(_entry(fields, f"{path}:{number}"))
    return entries


def _entry(fields: list[str], where: str) -> tuple[str, int | None]:
    word, *rest = fields
    weight = rest[0] if rest and not rest[0].isalpha() else None
    tags = rest if weight is None else rest[1:]
    # A weight of 0 would make jieba split the word for every other dictionary of the process, too.
    if len(tags) > 1 or (weight is not None and not (weight.isdecimal() and int(weight) > 0)):
        raise SourceError(
            f"not a dictionary line: {' '.join(fields)[:60]!r}",
            where=where,
            fix="one word per line, then optionally a weight of 1 or more and a tag: 云计算 5 n",
        )
    return word, None if weight is None else int(weight)
