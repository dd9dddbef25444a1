from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cnclip.errors import CnclipError
from cnclip.towers.bert import BertTower, trim_padding


def test_last_block_of_the_first_token_only_equals_the_whole_last_block(
    bert: BertTower, token_ids: Tensor
) -> None:
    mask = token_ids != 0
    torch.testing.assert_close(
        bert(token_ids, mask), bert.tokens(token_ids, mask)[:, 0], atol=2e-6, rtol=1e-6
    )


def test_trailing_padding_does_not_change_the_features(bert: BertTower, token_ids: Tensor) -> None:
    longest, mask = trim_padding(token_ids, token_ids != 0)
    assert longest.shape == (3, 5) and mask is not None
    together = bert(longest, mask)
    torch.testing.assert_close(together, bert(token_ids, token_ids != 0), atol=1e-6, rtol=1e-6)
    alone = torch.cat([bert(row[row != 0][None]) for row in token_ids])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-6)


def test_no_mask_is_left_where_no_row_has_padding() -> None:
    token_ids = torch.tensor([[1, 5, 2, 0], [1, 6, 2, 0]])
    trimmed, mask = trim_padding(token_ids, token_ids != 0)
    assert trimmed.tolist() == [[1, 5, 2], [1, 6, 2]] and mask is None
    trimmed, mask = trim_padding(torch.zeros(2, 4, dtype=torch.long), torch.zeros(2, 4, dtype=torch.bool))
    assert trimmed.shape == (2, 1) and mask is not None


def test_without_the_mask_padding_would_count(bert: BertTower, token_ids: Tensor) -> None:
    assert not torch.allclose(bert(token_ids, token_ids != 0), bert(token_ids), atol=1e-4)


def test_caption_longer_than_the_position_table_is_refused(bert: BertTower) -> None:
    assert bert(torch.ones(1, 12, dtype=torch.long)).shape == (1, 32)
    with pytest.raises(CnclipError, match="13 tokens is longer than the position table"):
        bert(torch.ones(1, 13, dtype=torch.long))


def test_dropout_acts_in_training_only_and_follows_the_seed(bert: BertTower, token_ids: Tensor) -> None:
    assert torch.equal(bert(token_ids), bert(token_ids))
    bert.train()
    rows = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        rows.append(bert(token_ids, token_ids != 0))
    assert torch.equal(rows[0], rows[1])
    assert not torch.allclose(rows[0], rows[2])


def test_activation_checkpointing_replays_dropout(bert: BertTower, token_ids: Tensor) -> None:
    bert.train()
    gradients = []
    for enabled in (False, True):
        bert.encoder.activation_checkpointing = enabled
        bert.zero_grad()
        torch.manual_seed(4)
        bert(token_ids, token_ids != 0).square().sum().backward()
        gradients.append([parameter.grad for parameter in bert.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


def test_inference_equals_the_forward_pass_with_a_graph(bert: BertTower, token_ids: Tensor) -> None:
    with torch.inference_mode():
        inference = bert(token_ids, token_ids != 0)
    torch.testing.assert_close(inference, bert(token_ids, token_ids != 0).detach())
