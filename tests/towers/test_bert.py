from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
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


@given(
    st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=4), st.integers(0, 2**31)
)
def test_skipping_the_padding_gives_the_same_features(masks: list[list[bool]], seed: int) -> None:
    tower = BertTower(hidden=32, layers=2, heads=4, intermediate=64, vocab_size=50, max_positions=12).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        tower.init_weights(generator)
        mask = torch.tensor([[True, *row] for row in masks])  # holes inside a row are allowed
        token_ids = torch.randint(1, 50, mask.shape, generator=generator)
        skipped, dense = tower(token_ids, mask, skip_padding=True), tower(token_ids, mask)
    torch.testing.assert_close(skipped, dense, atol=2e-6, rtol=1e-5)


def test_skipping_the_padding_gives_the_same_gradients(bert: BertTower, token_ids: Tensor) -> None:
    gradients = []
    for skip_padding in (False, True):
        bert.double().zero_grad()
        bert(token_ids, token_ids != 0, skip_padding=skip_padding).square().sum().backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in bert.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=name)


def test_row_without_its_first_token_is_computed_with_its_padding(bert: BertTower, token_ids: Tensor) -> None:
    mask = token_ids != 0
    mask[1, 0] = False
    assert torch.equal(bert(token_ids, mask, skip_padding=True), bert(token_ids, mask))


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
