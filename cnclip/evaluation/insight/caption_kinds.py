"""What a caption says and how it is written: the slices that its words and characters make.

The lexicons are those of the robustness suite and of text augmentation. Which kinds are exact (they count
characters or pieces) and which are rules of thumb is said of each; the latter were written for simplified
characters. Names of persons are no kind: jieba's dictionary tags 小狗, 滑雪 and 沙滩 as such (nr), and 东西
and 攀岩 as places (ns), so places and brands are short lists of our own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from cnclip.evaluation.chapters.blocks import Words
from cnclip.evaluation.insight.caption_names import names_brand, names_place
from cnclip.evaluation.insight.caption_words import (
    ADJECTIVE,
    ADVERB,
    IDIOM,
    NOUN,
    UNKNOWN,
    VERB,
    CutCaptions,
)
from cnclip.evaluation.perturb import places, wording
from cnclip.evaluation.perturb.colours import find_colours
from cnclip.evaluation.perturb.measures import find_counted
from cnclip.stores.doctor import scripts
from cnclip.text.clauses import split_clauses
from cnclip.text.normalize import normalize_caption
from cnclip.text.sides import has_sides
from cnclip.text.wordkinds import is_word, word_kind
from cnclip.text.wordpiece import CONTEXT_LENGTH, UNK_ID, piece_ids

_ROOM = CONTEXT_LENGTH - 2  # pieces beside [CLS] and [SEP]
_MAN = re.compile("男|爸|父亲|爷爷|叔叔|大叔|伯伯|哥哥|大哥|帅哥|弟弟|儿子|丈夫|先生|新郎|老头|小伙|和尚")
_WOMAN = re.compile("女|妈|母亲|奶奶|姑娘|阿姨|姐|妹|妻子|新娘|老太|孕妇|少妇|主妇|夫妇")
_CHILD = re.compile("孩|童|婴|宝宝|小朋友|幼儿")
_EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\u2b50\u2b55\u3030\u303d\u3297\u3299]")
_LATIN, _DIGIT = re.compile("[A-Za-z]"), re.compile("[0-9]")


@dataclass(frozen=True)
class ReadCaption:
    """One caption as the kinds see it.

    Attributes:
        raw: as it stands in the store.
        clean: after `normalize_caption`.
        words: of it, punctuation marks included.
        classes: the parts of speech of its words, see caption_words.
        pieces: ids of all its word pieces, without [CLS] and [SEP].
    """

    raw: str
    clean: str
    words: tuple[str, ...]
    classes: frozenset[int]
    pieces: list[int]


@dataclass(frozen=True)
class Kind:
    """One kind of captions.

    Attributes:
        family: what it is about: says, speech or form.
        shown: its name.
        holds: whether a caption is of the kind.
        exact: False for a rule of thumb.
    """

    family: str
    shown: Words
    holds: Callable[[ReadCaption], bool]
    exact: bool = False


def read_captions(captions: Sequence[str], cut: CutCaptions) -> list[ReadCaption]:
    """Captions with their words and pieces.

    Args:
        captions: as they stand in the store.
        cut: the same, cut into words.
    """
    classes = {word: cut.classes(word) for words in cut.words for word in words if is_word(word)}
    read = []
    for raw, words in zip(captions, cut.words, strict=True):
        own = frozenset().union(*(classes[word] for word in words if word in classes))
        read.append(ReadCaption(raw, normalize_caption(raw), words, own, piece_ids(raw)))
    return read


@cache
def _any_luck() -> np.random.Generator:
    """For rules that draw one of several places; whether there is any does not depend on it."""
    return np.random.default_rng(0)


def _position(caption: ReadCaption) -> bool:
    rules = (places.other_height, places.other_front, places.other_inside)
    return any(rule(caption.clean, _any_luck()) is not None for rule in rules)


def _several_clauses(caption: ReadCaption) -> bool:
    return sum(any(map(str.isalnum, part)) for part in split_clauses(caption.clean)[0]) > 1


def _has(pattern: re.Pattern[str]) -> Callable[[ReadCaption], bool]:
    return lambda caption: pattern.search(caption.clean) is not None


def _speaks(kind: int) -> Callable[[ReadCaption], bool]:
    return lambda caption: kind in caption.classes


_NOT_ONLY_NOUNS = {VERB, ADJECTIVE, ADVERB, IDIOM, UNKNOWN}

KINDS: dict[str, Kind] = {
    "colour": Kind("says", Words("颜色", "a colour"), lambda one: bool(find_colours(one.clean))),
    "counted": Kind(
        "says",
        Words("数量词（一个、两只）", "a counted thing (一个)"),
        lambda one: any(find_counted(one.clean)),
    ),
    "number": Kind(
        "says",
        Words("两个以上的数", "a number of two or more"),
        lambda one: any(found.value > 1 for found in find_counted(one.clean)),
    ),
    "negation": Kind(
        "says",
        Words("否定", "a negation"),
        lambda one: any(word_kind(word) == "negation" for word in one.words),
    ),
    "sides": Kind("says", Words("左右", "left or right"), lambda one: has_sides(one.clean)),
    "position": Kind("says", Words("上下、前后、里外", "above, before, inside …"), _position),
    "man": Kind("says", Words("男性", "a man or boy"), _has(_MAN)),
    "woman": Kind("says", Words("女性", "a woman or girl"), _has(_WOMAN)),
    "child": Kind("says", Words("小孩", "a child"), _has(_CHILD)),
    "place": Kind("says", Words("地名", "a place name"), lambda one: any(map(names_place, one.words))),
    "brand": Kind(
        "says", Words("品牌、外文词", "a brand or a Latin word"), lambda one: any(map(names_brand, one.words))
    ),
    "nouns": Kind(
        "speech",
        Words("只有名词（和虚词）", "nouns (and particles) only"),
        lambda one: NOUN in one.classes and not one.classes & _NOT_ONLY_NOUNS,
    ),
    "verb": Kind("speech", Words("动词", "a verb"), _speaks(VERB)),
    "adjective": Kind("speech", Words("形容词", "an adjective"), _speaks(ADJECTIVE)),
    "adverb": Kind("speech", Words("副词", "an adverb"), _speaks(ADVERB)),
    "idiom": Kind("speech", Words("成语、熟语", "an idiom"), _speaks(IDIOM)),
    "clauses": Kind("form", Words("多个分句", "several clauses"), _several_clauses, exact=True),
    "punctuation": Kind(
        "form",
        Words("标点", "punctuation"),
        lambda one: wording.without_punctuation(one.clean, _any_luck()) is not None,
        exact=True,
    ),
    "emoji": Kind("form", Words("表情符号", "emoji"), _has(_EMOJI), exact=True),
    "latin": Kind("form", Words("拉丁字母", "Latin letters"), _has(_LATIN), exact=True),
    "digits": Kind("form", Words("阿拉伯数字", "digits"), _has(_DIGIT), exact=True),
    "full-width": Kind(
        "form",
        Words("全角字母数字", "full-width letters, digits"),
        lambda one: bool(scripts.widths_of(one.raw) & scripts.FULL_WIDTH),
        exact=True,
    ),
    "traditional": Kind(
        "form",
        Words("繁体字", "traditional characters"),
        lambda one: bool(scripts.scripts_of(one.clean) & scripts.TRADITIONAL),
    ),
    "cut": Kind(
        "form",
        Words(f"超过 {CONTEXT_LENGTH} 个词片，被截断", f"cut at {CONTEXT_LENGTH} pieces"),
        lambda one: len(one.pieces) > _ROOM,
        exact=True,
    ),
    "unknown": Kind(
        "form", Words("词表没有的字", "[UNK] pieces"), lambda one: UNK_ID in one.pieces[:_ROOM], exact=True
    ),
}
