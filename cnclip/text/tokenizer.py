"""Captions to tensors of token ids: fixed width as in Chinese-CLIP, or as wide as the batch needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cnclip.text.unicode_tables import Cleaning
from cnclip.text.wordpiece import CONTEXT_LENGTH, PAD_ID, encode_ids


class TokenBatch(NamedTuple):
    """Captions of one batch.

    Attributes:
        token_ids: int64 [N, T], T = longest row of the batch, padded with id 0 on the right.
        attention_mask: bool [N, T], True where there is a token.
    """

    token_ids: Tensor
    attention_mask: Tensor


def tokenize(
    texts: str | Iterable[str], context_length: int = CONTEXT_LENGTH, *, clean: Cleaning = "cnclip"
) -> Tensor:
    """Token ids in the form of `cn_clip.clip.tokenize`.

    Args:
        texts: one text or several.
        context_length: width of every row, 2 to 512; longer texts lose their end, [SEP] stays last.
        clean: "cnclip" cleans as training and evaluation do (`normalize_caption`); "cn_clip" does not, and
            gives the official ids bit for bit.

    Returns:
        int64 [N, context_length], right-padded with 0; N = 0 for an empty list.

    Raises:
        CaptionTypeError: a text is not a str; the message names its position.
        RecipeError: context_length out of range.
    """
    return torch.from_numpy(_padded(encode_ids(texts, context_length, clean), context_length))


def tokenize_batch(
    captions: Sequence[str], context_length: int = CONTEXT_LENGTH, *, clean: Cleaning = "cnclip"
) -> TokenBatch:
    """Token ids trimmed to the longest caption of the batch, and their mask.

    Args, errors and ids are those of `tokenize`; only the padding differs. An empty list gives [0, 2].
    """
    rows = encode_ids(captions, context_length, clean)
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    width = int(lengths.max(initial=2))
    mask = np.arange(width) < lengths[:, None]  # bool [N, T]
    return TokenBatch(torch.from_numpy(_padded(rows, width)), torch.from_numpy(mask))


def _padded(rows: list[list[int]], width: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    padding = [PAD_ID] * width
    return np.array([row + padding[len(row) :] for row in rows], dtype=np.int64).reshape(len(rows), width)
