"""One caption as 73 bytes: hashes, lengths, scripts; and the characters that the vocabulary lacks."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from cnclip.errors import CnclipError
from cnclip.stores.doctor.pictures import Problem, Rows, content_key
from cnclip.stores.doctor.scripts import language_of, scripts_of, widths_of
from cnclip.stores.doctor.tools import Tools
from cnclip.stores.reader import StoreReader

EDGE_CHARACTERS = (4, 8)  # lengths of the beginnings and endings that are compared
LABEL_CHARACTERS = 16  # longer captions are not cut into words: they are no labels
NOT_CUT = 255
MOST_UNKNOWN = 20_000  # different unknown words that are remembered
SPECIAL_PIECES = 2  # [CLS] and [SEP]

CAPTION = np.dtype(
    [
        ("raw_key", "<u8"),  # of the caption as it stands in the store
        ("text_key", "<u8"),  # of the cleaned caption in lower case
        ("input_key", "<u8"),  # of the word pieces that the model gets: those within the context length
        ("starts", "<u8", (len(EDGE_CHARACTERS),)),  # of the first characters; 0 where there are no more
        ("ends", "<u8", (len(EDGE_CHARACTERS),)),
        ("tokens", "<u4"),  # uncut, [CLS] and [SEP] included
        ("unknown", "<u4"),  # [UNK] among the pieces that are kept
        ("characters", "<u4"),  # of the cleaned caption
        ("words", "u1"),  # by jieba; NOT_CUT where the caption is longer than LABEL_CHARACTERS
        ("script", "u1"),
        ("width", "u1"),
        ("language", "u1"),
        ("read", "u1"),  # 0: the record is damaged
    ]
)

_is_word = re.compile(r"\w", re.UNICODE).search


@dataclass
class CaptionSketches:
    """Captions number `start` and on.

    Attributes:
        rows: CAPTION [N].
        problems: damaged records.
        unknown: character or word -> captions that it makes an [UNK] in.
    """

    rows: Rows
    problems: list[Problem] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)


def sketch_captions(
    reader: StoreReader, start: int, stop: int, tools: Tools, context_length: int
) -> CaptionSketches:
    """Sketches of the captions number `start` to `stop`."""
    found = CaptionSketches(np.zeros(stop - start, dtype=CAPTION))
    for index in range(start, stop):
        try:
            caption = reader.text(index).caption
        except CnclipError as error:
            found.problems.append(Problem("record", index, "", error.what))
            continue
        if _sketch(found.rows[index - start], caption, tools, context_length):
            found.unknown.update(unknown_parts(caption, tools))
    return found


def unknown_parts(caption: str, tools: Tools) -> set[str]:
    """What makes [UNK] of a caption: characters that do so alone, else the words (their first 20 letters)."""
    cleaned = tools.clean(caption)
    characters = {part for part in set(cleaned) if tools.unknown_id in tools.pieces(part)}
    return characters or {part[:20] for part in cleaned.split() if tools.unknown_id in tools.pieces(part)}


def _sketch(row: np.void, caption: str, tools: Tools, context_length: int) -> bool:
    """Fill a row; whether the caption has an [UNK]."""
    pieces = tools.pieces(caption)
    kept = pieces[: context_length - SPECIAL_PIECES]
    cleaned = tools.clean(caption)
    row["raw_key"], row["text_key"] = _key(caption), _key(cleaned.lower())
    row["input_key"] = content_key(np.asarray(kept, dtype="<i4").tobytes())
    row["tokens"], row["unknown"] = len(pieces) + SPECIAL_PIECES, kept.count(tools.unknown_id)
    row["characters"] = len(cleaned)
    for place, length in enumerate(EDGE_CHARACTERS):
        if len(cleaned) > length:
            row["starts"][place], row["ends"][place] = _key(cleaned[:length]), _key(cleaned[-length:])
    row["words"] = _word_count(cleaned, tools)
    row["script"], row["width"] = scripts_of(cleaned), widths_of(caption)
    row["language"], row["read"] = language_of(cleaned), 1
    return tools.unknown_id in pieces


def _word_count(cleaned: str, tools: Tools) -> int:
    if len(cleaned) > LABEL_CHARACTERS:
        return NOT_CUT
    return sum(bool(_is_word(word)) for word in tools.words(cleaned))


def _key(text: str) -> int:
    return content_key(text.encode("utf-8", "surrogatepass"))
