"""Opt-in rewriting of captions, rule by rule, until no rule finds anything more to change.

`normalize_caption` is what every caption goes through on its way to the model and must stay as it is; the
rules here change what a store holds, and only those that a user asks for:

* `entities`: `&amp;` -> `&`, also where it was written twice over; HTML tags and comments go;
* `full-width`: `ＡＢＣ１２３％` -> `ABC123%`; Chinese punctuation only where asked;
* `simplify`: traditional characters -> simplified ones, by OpenCC;
* `spaces`: a run of white space becomes one space, none is left at the ends; control and zero-width
  characters go, but for the joiners inside an emoji;
* `boilerplate`: phrases are cut out.
"""

from __future__ import annotations

import html
import importlib
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html.entities import html5
from typing import Any, NamedTuple

from cnclip.errors import ResourceError
from cnclip.text.normalize import FULL_WIDTH_KEPT, CharacterTable

Rule = Callable[[str], str]

_FULL_WIDTH = {codepoint: codepoint - 0xFEE0 for codepoint in range(0xFF01, 0xFF5F)}
_KEPT = frozenset(map(ord, FULL_WIDTH_KEPT))
_LETTERS_ONLY = {codepoint: half for codepoint, half in _FULL_WIDTH.items() if codepoint not in _KEPT}

_INLINE = (
    "a|abbr|b|bdi|bdo|big|cite|code|del|em|font|i|ins|kbd|mark|q|s|small|span|strike|strong|sub|sup|tt|u"
)
_BLOCK = (
    "address|article|aside|blockquote|body|br|button|caption|center|dd|div|dl|dt|figcaption|figure|footer|form"
    "|h[1-6]|head|header|hr|html|iframe|img|input|label|li|link|main|meta|nav|nobr|noscript|ol|option|p|picture"
    "|pre|script|section|select|source|style|svg|table|tbody|td|tfoot|th|thead|title|tr|ul|video|wbr"
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_PROGRAM = re.compile(r"<(script|style)(?:\s[^<>]*)?>.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_INLINE_TAG = re.compile(rf"</?(?:{_INLINE})(?:\s[^<>]*)?/?>", re.IGNORECASE)
_BLOCK_TAG = re.compile(rf"</?(?:{_BLOCK})(?:\s[^<>]*)?/?>", re.IGNORECASE)
_ANGLE = re.compile("([<>])")

_JOINER, _FIRST_TAG, _LAST_TAG = "\u200d", "\U000e0020", "\U000e007f"
_LONE_JOINER = re.compile(f"(?<![\\ufe0f\\u20e3\u2640-\u27bf\U0001f000-\U0001faff]){_JOINER}"
                          f"|{_JOINER}(?![\u2190-\u2bff\U0001f000-\U0001faff])")  # fmt: skip
_LONE_TAGS = re.compile(f"(?<!\U0001f3f4)(?<![{_FIRST_TAG}-{_LAST_TAG}])[{_FIRST_TAG}-{_LAST_TAG}]+")
_SEPARATORS = " \t\u3000，,、；;：:|｜·•-—_/~～"


class Rewritten(NamedTuple):
    """A caption after the rules, and the names of those that changed it."""

    caption: str
    rules: tuple[str, ...]


@dataclass(frozen=True)
class Boilerplate:
    """Phrases to cut.

    Attributes:
        anywhere: cut wherever they stand.
        starts: cut where a caption begins with them.
        ends: cut where a caption ends with them.
    """

    anywhere: Sequence[str] = ()
    starts: Sequence[str] = ()
    ends: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.anywhere or self.starts or self.ends)


class Rewriter:
    """Applies rules one after the other, and all of them again until nothing changes.

    So a caption that was rewritten is never changed by a second rewriting.

    Args:
        rules: name -> rule, in the order in which they are applied.
    """

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self._rules = dict(rules)

    def __call__(self, caption: str) -> Rewritten:
        text, used, seen = caption, dict[str, None](), {caption}
        while True:
            before = text
            for name, rule in self._rules.items():
                after = rule(text)
                if after != text:
                    used[name], text = None, after
            if text == before or text in seen:  # the latter: rules that undo each other
                break
            seen.add(text)
        return Rewritten(text, tuple(used) if text != caption else ())


def without_entities(caption: str) -> str:
    """HTML entities that end in `;` as their characters; tags of known names and comments left out.

    What is no entity and no tag stays: `A&T`, `1 < 2`, `<3`, `<猫>`. Where a tag goes, the white space of the
    whole caption is HTML's and runs of it become one space.
    """
    text, before = caption, ""
    while "&" in text and text != before:  # `&amp;amp;lt;` was written by several programs in turn
        before, text = text, _ENTITY.sub(_character, text)
    if "<" not in text or ">" not in text:
        return text
    cut, before = text, ""
    while cut != before:
        before, cut = cut, _PROGRAM.sub(" ", _COMMENT.sub("", cut))
    cut = _without_tags(cut)
    return " ".join(cut.split()) if cut != text else text


def half_width(caption: str, *, punctuation: bool = False) -> str:
    """Full-width forms of ASCII as ASCII.

    Args:
        caption: any text.
        punctuation: also `，！？：；（）～｀`, the ordinary punctuation of Chinese.
    """
    return caption.translate(_FULL_WIDTH if punctuation else _LETTERS_ONLY)


def tidy_spaces(caption: str) -> str:
    """Runs of white space as one space, none at the ends; nothing invisible but what holds emoji together."""
    text = caption.translate(_SPACES)
    if _JOINER in text:
        text = _LONE_JOINER.sub("", text)
    return " ".join(_LONE_TAGS.sub("", text).split())


def simplifier() -> Rule:
    """OpenCC's conversion of traditional characters to simplified ones, words before characters.

    `乾坤` stays and `乾燥` becomes `干燥`; text that is simplified already stays as it is.

    Raises:
        ResourceError: OpenCC is not installed.
    """
    try:
        opencc: Any = importlib.import_module("opencc")
    except ImportError as error:
        raise ResourceError("simplifying captions needs OpenCC", fix='pip install "cnclip[clean]"') from error
    convert: Rule = opencc.OpenCC("t2s").convert
    return convert


def phrase_cutter(boilerplate: Boilerplate) -> Rule:
    """A rule that cuts phrases, and the separators that then stand at the caption's edge."""
    anywhere, starts, ends = (
        sorted(set(filter(None, phrases)), key=lambda phrase: (-len(phrase), phrase))
        for phrases in (boilerplate.anywhere, boilerplate.starts, boilerplate.ends)
    )

    def cut(caption: str) -> str:
        text = caption
        for phrase in anywhere:
            while phrase in text:
                before, _, after = text.partition(phrase)
                text = _joined(before, after)
        for phrase in starts:
            if text.startswith(phrase):
                text = text[len(phrase) :].lstrip(_SEPARATORS)
        for phrase in ends:
            if text.endswith(phrase):
                text = text[: -len(phrase)].rstrip(_SEPARATORS)
        return text

    return cut


def _character(entity: re.Match[str]) -> str:
    """What an entity stands for; the entity itself where HTML knows none of the name."""
    written = entity[0]
    return html.unescape(written) if written[1] == "#" else html5.get(written[1:], written)


def _without_tags(text: str) -> str:
    """A caption without tags, those included that come about when others are cut: `<<b>i>`.

    One walk from bracket to bracket, so that a caption of thousands of them costs no more than any other.
    """
    kept: list[str] = []
    opened: list[int] = []  # places in `kept` of each "<" that no ">" stands behind
    for part in _ANGLE.split(text):
        if part == "<":
            opened.append(len(kept))
        kept.append(part)
        if part != ">" or not opened:
            continue
        tag = "".join(kept[opened[-1] :])
        if _INLINE_TAG.fullmatch(tag):
            del kept[opened.pop() :]
        elif _BLOCK_TAG.fullmatch(tag):
            kept[opened.pop() :] = " "
        else:
            opened.clear()
    return "".join(kept)


def _joined(before: str, after: str) -> str:
    """What is left around a phrase, with one space where there were two."""
    if not before.strip(_SEPARATORS):
        return after.lstrip(_SEPARATORS)
    if not after.strip(_SEPARATORS):
        return before.rstrip(_SEPARATORS)
    return before + after.lstrip(" ") if before.endswith(" ") else before + after


def _space_or_nothing(codepoint: int) -> str | None:
    character = chr(codepoint)
    if character.isspace():
        return " "
    if character == _JOINER or _FIRST_TAG <= character <= _LAST_TAG:
        return character
    return None if unicodedata.category(character) in ("Cc", "Cf") else character


_SPACES = CharacterTable(_space_or_nothing)
