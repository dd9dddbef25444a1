"""Compare a text folder's vocabulary with the tokenizer's: with other ids a tower understands nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from cnclip.checkpoints.huggingface import read_table
from cnclip.checkpoints.opened import OpenedCheckpoint, is_native
from cnclip.errors import CheckpointError
from cnclip.text.wordpiece import VOCAB_SIZE, vocabulary

_KNOWN = {
    30522: "BERT's English one",
    28996: "BERT's English one with capitals",
    105879: "BERT's multilingual one",
    119547: "BERT's multilingual one with capitals",
    50265: "RoBERTa's English one",
    250002: "XLM-R's multilingual one",
    49408: "CLIP's English one",
    18000: "ERNIE 1.0's",
    17964: "ERNIE 1.0's",
    40000: "ERNIE 3.0's",
}
_WORD_TABLE = "bert.embeddings.word_embeddings.weight"
_FIX = "take a tower of the Chinese BERT vocabulary: RoBERTa-wwm-ext, MacBERT, RBT3, bert-base-chinese"
_logger = logging.getLogger(__name__)


def check_words(opened: OpenedCheckpoint) -> None:
    """Refuse a text tower that learned with another vocabulary; a checkpoint folder of ours is known to fit.

    A bare file shows the size of its word table only, and is refused where that is another vocabulary's.

    Raises:
        CheckpointError: says which vocabulary it is, or the first id that differs.
    """
    folder = opened.path.is_dir()
    if _WORD_TABLE not in opened.tensors or (folder and is_native(opened.path)):
        return
    rows = len(opened.tensors[_WORD_TABLE])
    if folder or rows in _KNOWN:
        check_word_table(rows, where=str(opened.path))
    if folder:
        check_vocabulary(opened.path)


def check_word_table(rows: int, *, where: str) -> None:
    """Refuse a word table of another length than the tokenizer's vocabulary.

    Args:
        rows: of the word table.
        where: folder or file, for errors.

    Raises:
        CheckpointError: says which vocabulary it is, where the length tells.
    """
    if rows != VOCAB_SIZE:
        which = f", {_KNOWN[rows]}" if rows in _KNOWN else ""
        raise CheckpointError(
            f"the word table has {rows} rows{which}; our tokenizer has {VOCAB_SIZE} ids",
            where=where,
            fix=_FIX,
        )


def check_vocabulary(folder: Path) -> None:
    """Refuse a folder whose `vocab.txt` or `tokenizer.json` gives a word piece another id than ours.

    Raises:
        CheckpointError: the first id that differs, with both pieces.
    """
    if (folder / "vocab.txt").is_file():
        file = folder / "vocab.txt"
        found = dict(enumerate(_lines(file)))
    elif (folder / "tokenizer.json").is_file():
        file = folder / "tokenizer.json"
        found = dict(_pieces(file))
    else:
        _logger.info("%s: no vocab.txt, so only the size of the vocabulary is checked", folder)
        return
    ours = {token_id: piece for piece, token_id in vocabulary().items()}
    for token_id in range(max(len(ours), len(found))):
        theirs = found.get(token_id)
        theirs = None if theirs is None else theirs.strip()
        expected = ours.get(token_id)
        if theirs != expected:
            raise CheckpointError(
                f"another vocabulary: id {token_id} is {_shown(theirs)} there, {_shown(expected)} here",
                where=f"{file}:{token_id + 1}" if file.name == "vocab.txt" else str(file),
                fix=_FIX,
            )


def _lines(file: Path) -> list[str]:
    """Only \\n ends a line: one of the pieces is a line separator of another kind."""
    try:
        text = file.read_bytes().decode("utf-8")
    except (OSError, ValueError) as error:
        raise CheckpointError(f"the vocabulary cannot be read: {error}", where=str(file)) from None
    return text.removesuffix("\n").split("\n")


def _pieces(file: Path) -> Iterator[tuple[int, str]]:
    model = read_table(file).get("model")
    pieces = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(pieces, dict):
        raise CheckpointError("no table of word pieces in it", where=str(file), fix=_FIX)
    for piece, token_id in pieces.items():
        if type(token_id) is not int or token_id < 0:
            raise CheckpointError(f"the id of {piece!r} is {token_id!r}", where=str(file))
        yield token_id, piece


def _shown(piece: str | None) -> str:
    return "nothing" if piece is None else repr(piece)
