"""Class prompts with free vectors in place of their first words, through the Chinese text tower.

A prompt is `[CLS] v1 … vM 类名 [SEP]`: the class name at its end, pooled as the model always does, by [CLS].
Vectors stand where word embeddings would; positions, token type and LayerNorm are the tower's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from cnclip.errors import SourceError
from cnclip.model import ChineseClip, unit_rows
from cnclip.text.tokenizer import tokenize_batch
from cnclip.text.wordpiece import CONTEXT_LENGTH, encode_ids

PLACEHOLDER = "的"  # its id stands where vectors go; never looked up
RECOMPUTE_ABOVE = 1 << 27  # floats that autograd would keep; above it, blocks are computed twice


class ClassPrompts:
    """The prompts of all classes for one model.

    Attributes:
        count: C.
        context_tokens: M.
        width: H, the length of one vector.
    """

    def __init__(self, model: ChineseClip, names: Sequence[str], context_tokens: int) -> None:
        """Tokenize the names behind M places.

        Args:
            model: not packed for inference; `frozen` must surround every use that trains.
            names: C class names.
            context_tokens: M, at least 1.

        Raises:
            SourceError: M vectors and the longest name do not fit into 52 tokens.
        """
        longest = max(names, key=lambda name: len(encode_ids([name], 512, "cnclip")[0]))
        needed = context_tokens + len(encode_ids([longest], 512, "cnclip")[0])
        if needed > CONTEXT_LENGTH:
            raise SourceError(
                f"{context_tokens} context vectors and the name {longest!r} make {needed} tokens,"
                f" more than {CONTEXT_LENGTH}",
                fix="take fewer context vectors or a shorter name",
            )
        batch = tokenize_batch([PLACEHOLDER * context_tokens + name for name in names])
        device = model.text_projection.device
        self.count = len(names)
        self.context_tokens = context_tokens
        self.width = model.text_projection.shape[0]
        self._model = model
        places = batch.token_ids[:, 1 : 1 + context_tokens]
        assert bool((places == batch.token_ids[0, 1]).all()), "a place for a vector is one token"
        self._mask = batch.attention_mask.to(device)  # bool [C, T]
        with torch.no_grad():
            self._words = model.bert.embeddings.word_embeddings(batch.token_ids.to(device))  # [C, T, H]

    def encode(self, contexts: Tensor) -> Tensor:
        """Embeddings of every class for every context.

        Args:
            contexts: float [B, M, H], in the space of word embeddings.

        Returns:
            float [B, C, D], unit length; with a graph to the contexts where they need one.
        """
        batch, bert, words = len(contexts), self._model.bert, self._words
        length = words.shape[1]
        context = contexts[:, None].expand(-1, self.count, -1, -1)  # [B, C, M, H]
        repeated = words[None].expand(batch, -1, -1, -1)  # [B, C, T, H]
        joined = torch.cat([repeated[:, :, :1], context, repeated[:, :, 1 + self.context_tokens :]], dim=2)
        tables = bert.embeddings
        places = tables.position_embeddings.weight[:length] + tables.token_type_embeddings.weight[0]
        states = bert.dropout(tables.LayerNorm(joined.flatten(0, 1) + places))  # [B·C, T, H]
        mask = None if bool(self._mask.all()) else self._mask.repeat(batch, 1)[:, None, None, :]
        first = bert.encoder(states, mask, first_only=True)[:, 0]  # [B·C, H]
        return unit_rows(first @ self._model.text_projection).view(batch, self.count, -1)

    def kept_floats(self, batch: int) -> int:
        """About how many floats autograd keeps for B contexts."""
        return 16 * batch * int(self._words.numel()) * self._model.architecture.text.layers


def word_context(model: ChineseClip, words: str) -> Tensor:
    """The word embeddings of some words, without [CLS] and [SEP]: float [M, H].

    Raises:
        SourceError: no word in it.
    """
    token_ids = tokenize_batch([words]).token_ids[0, 1:-1].to(model.text_projection.device)
    if not len(token_ids):
        raise SourceError(f"no words to start a context from: {words!r}", fix='--context "一张照片，里面是"')
    with torch.no_grad():
        rows: Tensor = model.bert.embeddings.word_embeddings(token_ids)
    return rows.clone()


@contextmanager
def frozen(model: ChineseClip, *, recompute: bool = False) -> Iterator[None]:
    """Nothing of the model trains and nothing drops out; all as before at the end.

    Args:
        model: whose gradients are not wanted.
        recompute: keep only the states between blocks and compute blocks again in the backward pass.
    """
    asked = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    modes = [(module, module.training) for module in model.modules()]
    recomputed = model.bert.encoder.activation_checkpointing
    model.eval().requires_grad_(False)
    model.bert.encoder.activation_checkpointing = recompute or recomputed
    try:
        yield
    finally:
        model.bert.encoder.activation_checkpointing = recomputed
        for parameter, needed in asked:
            parameter.requires_grad_(needed)
        for module, training in modes:
            module.training = training
