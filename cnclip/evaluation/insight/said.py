"""When two captions say the same, and when the captions of a picture say all that another caption says.

By words alone, without a model. Only words that tell something count: marks, particles, pronouns,
prepositions, 有 and 是, and "one" before a measure word (一个, 一只) are passed over; a number above one
counts without its measure word (两只 and 两条 are 两); the synonyms of the robustness suite are one word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from cnclip.evaluation.insight.caption_words import cut_captions
from cnclip.evaluation.perturb.equivalents import EQUIVALENTS
from cnclip.evaluation.perturb.measures import COUNTING, count_word, find_counted
from cnclip.stores.reader import StoreReader
from cnclip.text.normalize import normalize_caption
from cnclip.text.wordkinds import is_word, word_kind

LEAST_WORDS = 2  # a caption of one telling word, such as 狗, is said of too many pictures

_KEPT = re.compile(r"(?<=\d)\.(?=\d)|[\w%+#]")
# jieba: uj 的, p 在, c 和, r 他, q 个, k 们, y 吧, e 哎, o 哗, h 第, x marks, d 正在
_SILENT_TAGS = frozenset("upcrqkyeohxd")
_SILENT = frozenset(["有", "是", "一", "二", "图", "图片", "照片"])
_GREATEST = 9999


@dataclass(frozen=True)
class Said:
    """What one caption says.

    Attributes:
        text: cleaned, in lower case.
        key: its letters, digits and characters, without spaces and marks; equal keys are equal captions.
        words: the words that tell something, in order, each synonym by the shortest of its group.
        numbers: those of the words that are numbers.
    """

    text: str
    key: str
    words: tuple[str, ...]
    numbers: frozenset[str]


def read_said(store: StoreReader, texts: Sequence[int]) -> dict[int, Said]:
    """What captions of a store say.

    Args:
        store: of the captions.
        texts: their numbers.

    Raises:
        ResourceError: jieba is not installed.
    """
    return dict(zip(texts, said([store.text(text).caption for text in texts]), strict=True))


def said(captions: Iterable[str]) -> list[Said]:
    """What captions say.

    Raises:
        ResourceError: jieba is not installed.
    """
    texts = [normalize_caption(caption.lower()) for caption in captions]
    cut = cut_captions(texts)
    telling = {word for words in cut.words for word in words if _tells(word, cut.tags.get(word, ""))}
    return [_said(text, words, telling) for text, words in zip(texts, cut.words, strict=True)]


def covers(captions: Sequence[Said], caption: Said) -> bool:
    """Whether the captions of a picture hold every telling word of another caption, two of them at least.

    A word is held as a part of a longer one, too: 小狗 holds 狗, 自行车 holds 车. Numbers are so as numbers.

    Args:
        captions: of one picture.
        caption: of another one.
    """
    if len(set(caption.words)) < LEAST_WORDS or not captions:
        return False
    numbers = frozenset[str]().union(*(one.numbers for one in captions))
    if not caption.numbers <= numbers:
        return False
    return all(holds(captions, word) for word in caption.words if word not in caption.numbers)


def holds(captions: Sequence[Said], word: str) -> bool:
    """Whether one of the captions has the word or a synonym, alone or within a longer word."""
    names = _synonyms().get(word, (word,))
    return any(name in caption.text for caption in captions for name in names)


def _tells(word: str, tag: str) -> bool:
    if not is_word(word) or word in _SILENT:
        return False
    if word_kind(word) == "negation":
        return True
    if tag.startswith("f"):  # 旁边 tells where, 上 and 里 little
        return len(word) > 1
    return tag[:1] not in _SILENT_TAGS


def _said(text: str, words: Sequence[str], telling: set[str]) -> Said:
    key = "".join(_KEPT.findall(text))
    found: list[str] = []
    numbers: set[str] = set()
    counted = list(find_counted(text))
    place = 0
    for word in words:
        start = text.index(word, place)
        place = start + len(word)
        while counted and counted[0].end < start:
            counted.pop(0)
        if counted and start <= counted[0].end and counted[0].start < place:
            if start <= counted[0].start:  # once, where the number begins in two words
                number = _number(counted[0].value, counted[0].measure)
                found += number
                numbers.update(number)
            rest = text[max(start, counted[0].end + 1) : place]
            found += [_name(rest)] if is_word(rest) else []
        elif word in telling:
            found.append(_name(word))
    return Said(text, key or text, tuple(found), frozenset(numbers))


def _number(value: int, measure: str) -> list[str]:
    """A counted number as a word: 两, 十二; with the measure word where it counts groups: 一群, 两对."""
    count = count_word(value) if value <= _GREATEST else str(value)
    if measure not in COUNTING:
        return [count + measure]
    return [count] if value > 1 else []


def _name(word: str) -> str:
    return _synonyms().get(word, (word,))[0]


@cache
def _synonyms() -> dict[str, tuple[str, ...]]:
    """Word -> all words of its group, the shortest first, the same for each of them."""
    groups: dict[str, tuple[str, ...]] = {}
    for word in EQUIVALENTS.others:
        if word in groups:
            continue
        group, waiting = {word: None}, [word]
        while waiting:
            for other in EQUIVALENTS.others.get(waiting.pop(), ()):
                if other not in group:
                    group[other] = None
                    waiting.append(other)
        groups |= dict.fromkeys(group, tuple(sorted(group, key=len)))
    return groups
