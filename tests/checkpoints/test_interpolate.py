from __future__ import annotations

import torch

from cnclip.checkpoints import resize_positions


def test_positions_are_stretched_with_aligned_corners() -> None:
    table = torch.arange(34, dtype=torch.float32).reshape(17, 2)
    stretched = resize_positions(table, 37)
    assert stretched.shape == (37, 2)
    assert torch.equal(stretched[0], table[0])
    expected = torch.tensor([[2.0, 3.0], [3.008, 4.008], [6.032, 7.032], [32.0, 33.0]])
    torch.testing.assert_close(stretched[[1, 2, 7, 36]], expected, atol=1e-5, rtol=0)


def test_equal_length_is_left_alone() -> None:
    table = torch.randn(17, 2)
    assert resize_positions(table, 17) is table
