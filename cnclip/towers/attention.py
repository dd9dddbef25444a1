"""Multi-head self-attention with one fused product for query, key and value; padded, or without padding."""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn


class Rows(NamedTuple):
    """Where the real tokens of a padded batch lie, so that all but the attention itself skips the padding.

    Attributes:
        places: int64 [N], the place of each real token in the flattened batch of B·T.
        firsts: int64 [B], the row among N of each sequence's first token.
        mask: bool [B, 1, 1, T], True on real tokens.
    """

    places: Tensor
    firsts: Tensor
    mask: Tensor


def attend(
    hidden: Tensor,
    qkv: nn.Linear,
    heads: int,
    *,
    mask: Tensor | None = None,
    dropout: float = 0.0,
    first_only: bool = False,
) -> Tensor:
    """Attention of every token, or of the first one only, over all tokens; before the output projection.

    Args:
        hidden: float [B, L, W].
        qkv: W -> 3W; rows of its weight are query, key, value.
        heads: divides W.
        mask: bool [B, 1, 1, L], True = may be attended to; None = all of them.
        dropout: probability on attention weights.
        first_only: compute the query of position 0 only.

    Returns:
        float [B, L, W], or [B, 1, W] with `first_only`.
    """
    width = hidden.shape[-1]
    # A wrapped projection (an adapter) has parts that slices of its weight would leave out.
    if first_only and type(qkv) is nn.Linear:
        query = F.linear(hidden[:, :1], qkv.weight[:width], qkv.bias[:width])
        key, value = F.linear(hidden, qkv.weight[width:], qkv.bias[width:]).chunk(2, -1)
    else:
        query, key, value = qkv(hidden).chunk(3, -1)
        query = query[:, :1] if first_only else query
    query, key, value = (by_head(rows, heads) for rows in (query, key, value))
    attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
    return attended.transpose(1, 2).flatten(2)  # from [B, heads, L or 1, W / heads]


def attend_rows(
    states: Tensor,
    qkv: nn.Module,
    heads: int,
    rows: Rows,
    *,
    dropout: float = 0.0,
    first_only: bool = False,
) -> Tensor:
    """`attend` for tokens that lie below each other without padding.

    Args:
        states: float [N, W], the real tokens of all sequences.
        qkv: W -> 3W.
        heads: divides W.
        rows: where they lie.
        dropout: probability on attention weights.
        first_only: only the query of each sequence's first token.

    Returns:
        float [N, W], or [B, W] with `first_only`.
    """
    batch, length = rows.mask.shape[0], rows.mask.shape[-1]
    joined = qkv(states)  # [N, 3W]
    padded = joined.new_zeros(batch * length, joined.shape[-1]).index_copy(0, rows.places, joined)
    query, key, value = padded.view(batch, length, -1).chunk(3, -1)
    query = query[:, :1] if first_only else query
    query, key, value = (by_head(part, heads) for part in (query, key, value))
    attended = F.scaled_dot_product_attention(query, key, value, attn_mask=rows.mask, dropout_p=dropout)
    attended = attended.transpose(1, 2).flatten(2)  # [B, T or 1, W]
    return attended[:, 0] if first_only else attended.flatten(0, 1)[rows.places]


def by_head(rows: Tensor, heads: int) -> Tensor:
    """[B, L, W] -> [B, heads, L, W / heads], a view."""
    batch, length, width = rows.shape
    return rows.view(batch, length, heads, width // heads).transpose(1, 2)
