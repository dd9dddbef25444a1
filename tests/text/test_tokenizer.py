"""Tensors of token ids."""

from __future__ import annotations

import pytest
import torch

from cnclip.text.tokenizer import tokenize, tokenize_batch
from cnclip.text.wordpiece import CaptionTypeError

CAPTIONS = ["一只猫", "", "红色的水果放在桌子上", "长" * 100, "Hello，“世界”😂"]


def test_rows_have_the_official_shape_and_type() -> None:
    ids = tokenize(CAPTIONS)
    assert ids.shape == (5, 52) and ids.dtype == torch.int64
    assert tokenize("杰尼龟").tolist() == [[101, 3345, 2225, 7991, 102] + [0] * 47]
    assert tokenize("猫", context_length=2).tolist() == [[101, 102]]


def test_official_ids_are_one_option_away() -> None:
    assert tokenize("“”", 4, clean="cn_clip").tolist() == [[101, 100, 100, 102]]
    assert tokenize("“”", 4).tolist() == [[101, 107, 107, 102]]


def test_no_texts_give_no_rows() -> None:
    assert tokenize([]).shape == (0, 52)
    batch = tokenize_batch([])
    assert batch.token_ids.shape == batch.attention_mask.shape == (0, 2)
    assert batch.token_ids.dtype == torch.int64 and batch.attention_mask.dtype == torch.bool


@pytest.mark.parametrize("captions", [CAPTIONS, CAPTIONS[:2], [""], ["猫"]])
def test_batch_is_the_full_width_cut_to_its_longest_caption(captions: list[str]) -> None:
    batch = tokenize_batch(captions)
    full = tokenize(captions)
    width = int((full != 0).sum(1).max())
    assert torch.equal(batch.token_ids, full[:, :width])
    assert torch.equal(batch.attention_mask, batch.token_ids != 0)


def test_rows_do_not_depend_on_their_neighbours() -> None:
    batch = tokenize_batch(CAPTIONS)
    for caption, ids, mask in zip(CAPTIONS, *batch, strict=True):
        assert torch.equal(ids[mask], tokenize_batch([caption]).token_ids[0])


def test_tensors_can_be_written_to() -> None:
    tokenize("猫")[0, 0] = 7


def test_wrong_types_are_refused() -> None:
    with pytest.raises(CaptionTypeError):
        tokenize([None])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        tokenize_batch([1])  # type: ignore[list-item]
