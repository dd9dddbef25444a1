"""Captions to word-piece ids of the Chinese BERT vocabulary; equal to cn_clip's tokenizer, without torch.

The `tokenizers` package does the work. It is told of no special tokens, so that the text "[SEP]" is three
ordinary pieces. Most captions are nothing but ideographs, Latin letters, digits and common marks: these are
cut into words here, and the package is asked about each word once (ten times the speed, the same ids).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from tokenizers import Encoding, Tokenizer, models, normalizers, pre_tokenizers

from cnclip.errors import ArtifactError, RecipeError, SourceError, UnknownNameError
from cnclip.text.unicode_tables import CLEANINGS, Cleaning, prepared_text

VOCAB_SIZE = 21128
PAD_ID = 0
UNK_ID = 100
CLS_ID = 101
SEP_ID = 102
CONTEXT_LENGTH = 52  # ids per caption, [CLS] and [SEP] included; the official models were trained with it
MAX_CONTEXT_LENGTH = 512  # rows of BERT's position table

_VOCAB_FILE = Path(__file__).with_name("vocab.txt")
_VOCAB_SHA256 = "45bbac6b341c319adc98a532532882e91a9cefc0329aa57bac9ae761c27b291c"
MAX_WORD_CHARACTERS = 200  # longer words are one [UNK]
_PREFIX_CHARACTERS = (1024, 32768)  # how much of a long text is looked at before all of it is

# Ideographs and marks are words by themselves, whatever stands beside them; letters and digits make words.
_LETTERS = "0-9A-Za-z"
_ALONE = "㐀-䶵一-龥" + re.escape(
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~，。！？；：、（）《》〈〉【】「」『』“”‘’…—·"
)
_is_ordinary = re.compile(rf"[ \t\n\r{_LETTERS}{_ALONE}]*").fullmatch
_words = re.compile(rf"[{_LETTERS}]+|[{_ALONE}]").findall


class CaptionTypeError(SourceError, TypeError):
    """A caption that is not a str."""


def encode_ids(
    texts: str | Iterable[str], context_length: int = CONTEXT_LENGTH, clean: Cleaning = "cnclip"
) -> list[list[int]]:
    """Token ids of each text, unpadded: [CLS], the first `context_length - 2` pieces, [SEP].

    A long text is read only as far as needed (all of it, if it is one endless word), and the ids are those
    of the whole text cut off.

    Args:
        texts: one text or several.
        context_length: most ids in a row, 2 to 512.
        clean: "cnclip" runs `normalize_caption` first; "cn_clip" gives the official ids bit for bit.

    Raises:
        CaptionTypeError: a text is not a str; the message names its position.
        RecipeError: context_length out of range.
        UnknownNameError: another value of `clean`.
    """
    captions = checked_captions(texts)
    check_context_length(context_length)
    _check_cleaning(clean)
    return [[CLS_ID, *_pieces(caption, context_length - 2, clean), SEP_ID] for caption in captions]


def checked_captions(texts: str | Iterable[str]) -> Sequence[str]:
    """The texts as a sequence of str; one str is a sequence of one."""
    if isinstance(texts, str):
        return [texts]
    if isinstance(texts, bytes | bytearray | dict) or not isinstance(texts, Iterable):
        raise CaptionTypeError(f"texts must be a str or a list of str, not {type(texts).__name__}")
    captions = texts if isinstance(texts, list | tuple) else list(texts)
    for position, caption in enumerate(captions):
        _check_caption(caption, position)
    return captions


def _check_caption(caption: object, position: int) -> None:
    if not isinstance(caption, str):
        raise CaptionTypeError(
            f"a caption must be a str, not {type(caption).__name__}: {repr(caption)[:60]}",
            where=f"texts[{position}]",
            fix="drop this caption, or write str(...) around it if that is its text",
        )


def check_context_length(context_length: int) -> None:
    """Refuse lengths that leave no room for [CLS] and [SEP] or exceed BERT's position table."""
    if type(context_length) is not int or not 2 <= context_length <= MAX_CONTEXT_LENGTH:
        raise RecipeError(
            f"context_length is {context_length!r}; it must be a whole number from 2 to {MAX_CONTEXT_LENGTH}",
            fix=f"context_length={CONTEXT_LENGTH}",
        )


def _check_cleaning(clean: str) -> None:
    if clean not in CLEANINGS:
        raise UnknownNameError(f"clean={clean!r} is unknown", fix=f"one of: {', '.join(CLEANINGS)}")


@cache
def vocabulary() -> dict[str, int]:
    """Word piece -> id, 21128 entries; id 343 belongs to the empty string, as in the official loader.

    Raises:
        ArtifactError: the vocabulary file is missing or is not the official one, byte for byte.
    """
    repair = "pip install --force-reinstall --no-deps cnclip (in a clone: git checkout cnclip/text/vocab.txt)"
    try:
        data = _VOCAB_FILE.read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"the vocabulary cannot be read: {error.strerror}", where=str(_VOCAB_FILE), fix=repair
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != _VOCAB_SHA256:
        raise ArtifactError(
            f"the vocabulary is damaged: sha256 {found[:12]}…, expected {_VOCAB_SHA256[:12]}…",
            where=str(_VOCAB_FILE),
            fix=repair,
        )
    # Only \n ends a line (line 343 is U+2028, which splitlines() would cut); strip() then empties that entry.
    lines = data.decode("utf-8").removesuffix("\n").split("\n")
    return {line.strip(): token_id for token_id, line in enumerate(lines)}


@cache  # built at the first call; threads that meet here may build one each, which does no harm
def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(
        models.WordPiece(vocabulary(), unk_token="[UNK]", max_input_chars_per_word=MAX_WORD_CHARACTERS)
    )
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=True, lowercase=True
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def _encoding(text: str, clean: Cleaning) -> Encoding:
    """All pieces of the text, without [CLS] and [SEP].

    One text at a time: the package's batch calls start a thread per core in every DataLoader worker, and
    up to version 0.22 each fork after one prints a warning. They save a tenth of the CPU time of a caption.
    """
    return _tokenizer().encode(prepared_text(text, clean), add_special_tokens=False)


@lru_cache(maxsize=1 << 15)
def _word_ids(word: str) -> tuple[int, ...]:
    return tuple(_tokenizer().encode(word, add_special_tokens=False).ids)


def piece_ids(text: str, clean: Cleaning = "cnclip") -> list[int]:
    """All piece ids of a text, however long, without [CLS] and [SEP]."""
    prepared = prepared_text(text, clean)
    if not _is_ordinary(prepared):
        ids: list[int] = _tokenizer().encode(prepared, add_special_tokens=False).ids
        return ids
    return [piece_id for word in _words(prepared) for piece_id in _word_ids(word)]


def _pieces(text: str, limit: int, clean: Cleaning) -> list[int]:
    """The first `limit` piece ids of the text."""
    for size in _PREFIX_CHARACTERS:
        if len(text) <= size:
            break
        prefix = text[:size]
        if "Σ" in prefix:  # its lower case depends on what follows in the word: keep whole words only
            prefix = prefix.rpartition(" ")[0]
        encoding = _encoding(prefix, clean)
        words = encoding.word_ids
        ids = encoding.ids[: words.index(words[-1])] if words else []  # the last word may go on
        if len(ids) >= limit:
            return ids[:limit]
    return piece_ids(text, clean)[:limit]


@dataclass(frozen=True)
class TokenStatistics:
    """How well captions fit the vocabulary and the context length; adds up over parts of a data set.

    Attributes:
        captions: number of captions counted.
        truncated: captions that lost pieces at their end.
        tokens: pieces kept, without [CLS] and [SEP].
        unknown: how many of these are [UNK].
    """

    captions: int = 0
    truncated: int = 0
    tokens: int = 0
    unknown: int = 0

    @property
    def truncated_share(self) -> float:
        """Truncated captions / captions, 0 to 1; 0 without captions."""
        return self.truncated / self.captions if self.captions else 0.0

    @property
    def unknown_share(self) -> float:
        """[UNK] pieces / pieces, 0 to 1; 0 without pieces."""
        return self.unknown / self.tokens if self.tokens else 0.0

    def merge(self, other: TokenStatistics) -> TokenStatistics:
        """The statistics of both parts together."""
        return TokenStatistics(
            self.captions + other.captions,
            self.truncated + other.truncated,
            self.tokens + other.tokens,
            self.unknown + other.unknown,
        )

    __add__ = merge


def token_statistics(
    captions: Iterable[str], context_length: int = CONTEXT_LENGTH, clean: Cleaning = "cnclip"
) -> TokenStatistics:
    """Count truncated captions and [UNK] pieces; the captions may come from a generator and are not kept.

    Errors are those of `encode_ids`.
    """
    check_context_length(context_length)
    _check_cleaning(clean)
    room = context_length - 2
    count = truncated = tokens = unknown = 0
    for position, caption in enumerate(captions):
        _check_caption(caption, position)
        ids = _pieces(caption, room + 1, clean)
        count += 1
        truncated += len(ids) > room
        tokens += min(len(ids), room)
        unknown += ids[:room].count(UNK_ID)
    return TokenStatistics(count, truncated, tokens, unknown)
