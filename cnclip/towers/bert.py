"""BERT encoder without pooler (Devlin et al. 2019): post-norm blocks, exact GELU, [CLS] hidden state."""

from __future__ import annotations

from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cnclip.errors import CnclipError
from cnclip.towers.attention import Rows, attend, attend_rows
from cnclip.towers.tower import Tower, saves_graph

LAYER_NORM_EPS = 1e-12
INITIALIZER_STD = 0.02
Padding: TypeAlias = Tensor | Rows | None  # a mask bool [B, 1, 1, T], rows without padding, or no padding


class Embeddings(nn.Module):
    def __init__(self, hidden: int, *, vocab_size: int, max_positions: int, type_vocab_size: int) -> None:
        super().__init__()
        self.word_embeddings = _table(vocab_size, hidden)
        self.position_embeddings = _table(max_positions, hidden)
        self.token_type_embeddings = _table(type_vocab_size, hidden)
        self.LayerNorm = nn.LayerNorm(hidden, eps=LAYER_NORM_EPS)

    def forward(self, token_ids: Tensor, rows: Rows | None = None) -> Tensor:
        """int64 [B, T] -> float [B, T, H], or [N, H] of the real tokens; every token is of type 0."""
        length, positions = token_ids.shape[1], self.position_embeddings.weight
        if length > len(positions):
            raise CnclipError(
                f"a caption of {length} tokens is longer than the position table ({len(positions)} tokens)",
                fix=f"tokenize with context_length at most {len(positions)}",
            )
        places = positions[:length] + self.token_type_embeddings.weight[0]
        if rows is not None:
            token_ids, places = token_ids.flatten()[rows.places], places[rows.places % length]
        normed: Tensor = self.LayerNorm(self.word_embeddings(token_ids) + places)
        return normed


def _table(rows: int, hidden: int) -> nn.Embedding:
    """Without first values: on the meta device their normal distribution would import torch._dynamo."""
    return nn.Embedding(rows, hidden, _weight=torch.empty(rows, hidden))


class SelfAttention(nn.Module):
    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.qkv = nn.Linear(hidden, 3 * hidden)

    def forward(self, states: Tensor, padding: Padding, *, first_only: bool) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        if isinstance(padding, Rows):
            return attend_rows(states, self.qkv, self.heads, padding, dropout=dropout, first_only=first_only)
        return attend(states, self.qkv, self.heads, mask=padding, dropout=dropout, first_only=first_only)


class Output(nn.Module):
    """Linear layer, dropout, residual sum, LayerNorm: the end of both halves of a block."""

    def __init__(self, inputs: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, hidden)
        self.LayerNorm = nn.LayerNorm(hidden, eps=LAYER_NORM_EPS)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, residual: Tensor) -> Tensor:
        normed: Tensor = self.LayerNorm(self.dropout(self.dense(states)) + residual)
        return normed


class Attention(nn.Module):
    def __init__(self, hidden: int, heads: int, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        self.self = SelfAttention(hidden, heads, attention_dropout)
        self.output = Output(hidden, hidden, dropout)

    def forward(self, states: Tensor, padding: Padding, *, first_only: bool) -> Tensor:
        attended = self.self(states, padding, first_only=first_only)
        if first_only:
            states = states[padding.firsts] if isinstance(padding, Rows) else states[:, :1]
        joined: Tensor = self.output(attended, states)
        return joined


class Intermediate(nn.Module):
    def __init__(self, hidden: int, intermediate: int) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden, intermediate)

    def forward(self, states: Tensor) -> Tensor:
        inner: Tensor = self.dense(states)
        return F.gelu(inner) if saves_graph(inner) else torch.ops.aten.gelu_(inner)


class Layer(nn.Module):
    def __init__(
        self, hidden: int, *, heads: int, intermediate: int, dropout: float, attention_dropout: float
    ) -> None:
        super().__init__()
        self.attention = Attention(hidden, heads, dropout, attention_dropout)
        self.intermediate = Intermediate(hidden, intermediate)
        self.output = Output(intermediate, hidden, dropout)

    def forward(self, states: Tensor, padding: Padding, first_only: bool = False) -> Tensor:
        """[B, T, H] -> [B, T or 1, H]; [N, H] -> [N or B, H] for rows without padding."""
        attended = self.attention(states, padding, first_only=first_only)
        output: Tensor = self.output(self.intermediate(attended), attended)
        return output


class Encoder(nn.Module):
    def __init__(self, layers: list[Layer]) -> None:
        super().__init__()
        self.layer = nn.ModuleList(layers)
        self.activation_checkpointing = False

    def forward(self, states: Tensor, padding: Padding, *, first_only: bool) -> Tensor:
        """[B, T, H] -> [B, T or 1, H]; [N, H] -> [N or B, H] for rows without padding."""
        last = len(self.layer) - 1
        for index, layer in enumerate(self.layer):
            only = first_only and index == last
            if self.activation_checkpointing and torch.is_grad_enabled():
                states = checkpoint(layer, states, padding, only, use_reentrant=False)
            else:
                states = layer(states, padding, only)
        return states


class BertTower(Tower):
    """Token ids -> the last hidden state of [CLS].

    Args:
        hidden: width H.
        layers: number of blocks.
        heads: divides `hidden`.
        intermediate: width of the feed-forward layer.
        vocab_size: rows of the word table.
        max_positions: rows of the position table, the longest caption in tokens.
        type_vocab_size: rows of the token type table; only row 0 is used.
        dropout: probability on hidden states.
        attention_dropout: probability on attention weights.
    """

    def __init__(
        self,
        *,
        hidden: int,
        layers: int,
        heads: int,
        intermediate: int,
        vocab_size: int = 21128,
        max_positions: int = 512,
        type_vocab_size: int = 2,
        dropout: float = 0.1,
        attention_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.embeddings = Embeddings(
            hidden, vocab_size=vocab_size, max_positions=max_positions, type_vocab_size=type_vocab_size
        )
        self.dropout = nn.Dropout(dropout)
        self.encoder = Encoder(
            [
                Layer(
                    hidden,
                    heads=heads,
                    intermediate=intermediate,
                    dropout=dropout,
                    attention_dropout=attention_dropout,
                )
                for _ in range(layers)
            ]
        )

    def forward(
        self, token_ids: Tensor, attention_mask: Tensor | None = None, *, skip_padding: bool = False
    ) -> Tensor:
        """The last hidden state of the first token ([CLS]).

        Args:
            token_ids: int64 [B, T].
            attention_mask: bool [B, T], True on real tokens; None where there is no padding.
            skip_padding: compute nothing for padding but its place in the attention. It asks the device how
                many tokens there are, so use it where waiting costs nothing.

        Returns:
            float [B, H].
        """
        if skip_padding and attention_mask is not None and bool(attention_mask[:, 0].all()):
            rows = real_rows(attention_mask)
            states = self.dropout(self.embeddings(token_ids, rows))
            features: Tensor = self.encoder(states, rows, first_only=True)
            return features
        return self._encode(token_ids, attention_mask, first_only=True)[:, 0]

    def tokens(self, token_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """The last hidden states of all tokens: int64 [B, T] -> float [B, T, H]."""
        return self._encode(token_ids, attention_mask, first_only=False)

    def _encode(self, token_ids: Tensor, attention_mask: Tensor | None, *, first_only: bool) -> Tensor:
        mask = None if attention_mask is None else attention_mask.bool()[:, None, None, :]
        states: Tensor = self.encoder(self.dropout(self.embeddings(token_ids)), mask, first_only=first_only)
        return states

    def init_weights(self, generator: torch.Generator) -> None:
        """BERT's start: matrices and tables N(0, 0.02²), biases 0, LayerNorm 1 and 0."""
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                module.reset_parameters()
            elif isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=INITIALIZER_STD, generator=generator)
                if isinstance(module, nn.Linear):
                    nn.init.zeros_(module.bias)


def real_rows(attention_mask: Tensor) -> Rows:
    """Where the real tokens lie: bool [B, T] with a real token at the start of each row."""
    mask = attention_mask.bool()
    firsts = mask.sum(1).cumsum(0).roll(1)
    firsts[0] = 0
    return Rows(mask.flatten().nonzero()[:, 0], firsts, mask[:, None, None, :])


def trim_padding(token_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor | None]:
    """Cut the columns that are padding in every row; the mask is None where nothing is left to mask.

    The [CLS] states do not change. It waits for the device, so call it where that costs nothing.

    Args:
        token_ids: int64 [B, T].
        attention_mask: bool [B, T].
    """
    used = attention_mask.any(0).nonzero()
    length = int(used[-1]) + 1 if len(used) else 1
    mask = attention_mask[:, :length]
    return token_ids[:, :length], None if bool(mask.all()) else mask
