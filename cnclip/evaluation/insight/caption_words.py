"""The words of captions with the parts of speech that jieba's dictionary gives them.

jieba tags a word that its dictionary has by the dictionary alone, whatever stands around it; so a table of
the words that occur is all that is needed. What the dictionary lacks (戴着, 白狗) is judged by its
characters.
It says `zg` of 5 666 characters, such as 穿 and 车; that is no part of speech, and counts as none.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from cnclip.errors import ArtifactError
from cnclip.text.normalize import normalize_caption
from cnclip.text.segment import segment_words
from cnclip.text.wordkinds import is_word

_NO_TAG = "zg"
_HAN = re.compile("[㐀-鿿]")
_DIGITS = re.compile(r"[\d.]+")
# jieba: uj 的, uz 着, ul 了, p 在, c 和, r 他, m 一个, f 上, k 们, y 吧, e 哎, o 哗, h 第
_FUNCTION = frozenset("upcrmfkyeohx")
_FUNCTION_ALONE = frozenset("dq")  # of one character; 相机 is d and 美元 q
_SILENT = frozenset("是有很此较每今仍往您虽甚且啊哦唉另")  # v, zg and c that name nothing

NOUN, VERB, ADJECTIVE, ADVERB, IDIOM, OTHER, UNKNOWN = range(7)
_CLASSES = {
    "n": NOUN,
    "j": NOUN,  # short for a longer name
    "vn": NOUN,
    "an": NOUN,
    "v": VERB,
    "a": ADJECTIVE,
    "b": ADJECTIVE,  # 大型
    "z": ADJECTIVE,  # 白茫茫
    "d": ADVERB,
    "ad": ADVERB,
    "vd": ADVERB,
    "i": IDIOM,
    "l": IDIOM,
}


@dataclass(frozen=True)
class CutCaptions:
    """Captions as words.

    Attributes:
        words: of each caption, after `normalize_caption`; punctuation marks are words.
        tags: word or character -> jieba's tag; nothing for those that its dictionary lacks.
    """

    words: list[tuple[str, ...]]
    tags: dict[str, str]

    def classes(self, word: str) -> frozenset[int]:
        """Parts of speech of a word, those of its characters where the dictionary lacks it: NOUN, …"""
        if not _HAN.search(word):
            return frozenset([NOUN if any(map(str.isalpha, word)) else OTHER])
        if word in self.tags:
            return frozenset([_class_of(self.tags[word])])
        return frozenset(_class_of(self.tags[one]) if one in self.tags else UNKNOWN for one in word)

    def is_content(self, word: str) -> bool:
        """Whether a word names something: no mark, number, measure word, particle, pronoun or preposition."""
        if not is_word(word) or word in _SILENT or _DIGITS.fullmatch(word):
            return False
        tag = self.tags.get(word)
        if tag is None:
            return True
        return tag[0] not in _FUNCTION and (len(word) > 1 or tag[0] not in _FUNCTION_ALONE)


def cut_captions(captions: Iterable[str]) -> CutCaptions:
    """Cut captions into words and look these up.

    Raises:
        ResourceError: jieba is not installed.
        ArtifactError: its dictionary is missing or damaged.
    """
    same: dict[str, str] = {}  # one object for each different word
    words = [
        tuple(same.setdefault(word, word) for word in segment_words(normalize_caption(caption)))
        for caption in captions
    ]
    return CutCaptions(words, dictionary_tags(same))


def dictionary_tags(words: Collection[str]) -> dict[str, str]:
    """jieba's tags of those of the words, and of their characters, that its dictionary has.

    Raises:
        ArtifactError: the dictionary is missing or damaged.
    """
    wanted = {*words, *(character for word in words for character in word)}
    jieba = importlib.import_module("jieba")  # segment_words has said what to do where it is missing
    found: dict[str, str] = {}
    try:
        with jieba.Tokenizer().get_dict_file() as file:
            for line in file:
                word, _, tag = line.decode("utf-8").split()
                if word in wanted and tag != _NO_TAG:
                    found[word] = tag
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"jieba's dictionary cannot be read: {error}", fix="pip install --force-reinstall jieba"
        ) from error
    return found


def _class_of(tag: str) -> int:
    return _CLASSES.get(tag, _CLASSES.get(tag[0], OTHER))
