"""Synonyms from a user's file, for `vary_caption`.

One group of words per line, parted by blanks, tabs, commas or `=`; an empty line or one that begins with `#`
says nothing:

    连衣裙 裙子 长裙
    番茄=西红柿,圣女果

Lines of 同义词词林 are read too: `Aa01A01= 人 士 人物`. Its `=` groups are synonyms; `#` (related words, not
equal ones) and `@` (words without any) are passed over, and a word that it has in several groups means
several things, so that it is never replaced.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cnclip.errors import SourceError

_PARTED = re.compile(r"[\s,，、;；=]+")
_CODED = re.compile(r"[A-L][a-z]\d\d[A-Z]\d\d([=#@])(?=\s|$)")
_LONGEST_WORD = 32  # characters; a longer one is a sentence


@dataclass(frozen=True)
class Synonyms:
    """Words and what may stand for them.

    Attributes:
        others: word -> the other words of its groups, in the order of the file.
        longest: characters of the longest word.
    """

    others: dict[str, tuple[str, ...]]
    longest: int


def read_synonyms(path: Path) -> Synonyms:
    """Read a file of synonyms (UTF-8).

    Raises:
        SourceError: the file cannot be read, is not UTF-8, or has a line that is no group; file and line are
            named.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(
            f"the synonyms cannot be read: {error.strerror}", where=str(path), fix="correct the path"
        ) from error
    groups: list[list[str]] = []
    coded: list[list[str]] = []
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        try:
            line = raw.decode("utf-8").strip()
        except UnicodeDecodeError as error:
            raise SourceError(
                "the synonyms are not UTF-8",
                where=f"{path}:{number}",
                fix=f"iconv -f gb18030 -t utf-8 {path}",
            ) from error
        code = _CODED.match(line)
        if not line or line.startswith("#") or (code and code[1] != "="):
            continue
        words = _words(line[code.end() :] if code else line, f"{path}:{number}")
        (coded if code else groups).append(words)
    uses = Counter(word for words in coded for word in words)
    senses = {word for word, count in uses.items() if count > 1}
    return group_synonyms([*groups, *coded], never_replaced=senses)


def group_synonyms(
    groups: Iterable[Sequence[str]], *, never_replaced: Iterable[str] = frozenset()
) -> Synonyms:
    """Synonyms from groups of words; a word of several groups has the others of all of them.

    Args:
        groups: words that mean the same.
        never_replaced: words that may stand for others, but for which no other may stand.
    """
    never = frozenset(never_replaced)
    others: dict[str, dict[str, None]] = {}  # a dict keeps the order of the file, a set would not
    for words in groups:
        for word in words:
            if word not in never:
                others.setdefault(word, {}).update(dict.fromkeys(one for one in words if one != word))
    found = {word: tuple(ones) for word, ones in others.items() if ones}
    return Synonyms(others=found, longest=max(map(len, found), default=0))


def _words(line: str, where: str) -> list[str]:
    words = list(dict.fromkeys(word for word in _PARTED.split(line) if word))
    if len(words) < 2 or max(map(len, words)) > _LONGEST_WORD:
        raise SourceError(
            f"not a group of synonyms: {line[:60]!r}",
            where=where,
            fix="two words or more on each line, parted by blanks or commas: 连衣裙 裙子",
        )
    return words
