"""InfoNCE: hand-worked values, masking of duplicates, and the same gradient for every number of processes."""

from __future__ import annotations

import importlib.util
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from cnclip.losses.contrastive import in_batch_accuracy, info_nce

WORKER = Path(__file__).with_name("parity_worker.py")


def test_two_pairs_by_hand() -> None:
    image = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    text = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    # logits at scale 2: rows [2, 1.2], [0, 1.6]; columns [2, 0], [1.2, 1.6]
    rows = (math.log1p(math.exp(1.2 - 2.0)) + math.log1p(math.exp(0.0 - 1.6))) / 2
    columns = (math.log1p(math.exp(0.0 - 2.0)) + math.log1p(math.exp(1.2 - 1.6))) / 2
    loss = info_nce(image, text, torch.tensor(2.0))
    assert loss.item() == pytest.approx((rows + columns) / 2, abs=1e-6)
    assert in_batch_accuracy(image, text).tolist() == [1.0, 1.0]


def test_a_pair_with_the_same_caption_is_no_negative_when_masked() -> None:
    embeddings = F.normalize(torch.randn(3, 4, generator=torch.Generator().manual_seed(0)), dim=-1)
    scale = torch.tensor(5.0)
    groups = torch.tensor([[0, 10], [1, 10], [2, 12]])  # the first two share a caption
    logits = scale * embeddings @ embeddings.T
    logits[0, 1] = logits[1, 0] = -torch.inf
    expected = (F.cross_entropy(logits, torch.arange(3)) + F.cross_entropy(logits.T, torch.arange(3))) / 2
    torch.testing.assert_close(info_nce(embeddings, embeddings, scale, groups), expected)
    alone = torch.tensor([[0, 10], [1, 11], [2, 12]])
    torch.testing.assert_close(
        info_nce(embeddings, embeddings, scale, alone), info_nce(embeddings, embeddings, scale)
    )


def test_a_batch_of_one_thing_only_has_no_loss() -> None:
    rows = F.normalize(torch.randn(4, 3), dim=-1)
    assert info_nce(rows, rows, torch.tensor(100.0), torch.zeros(4, 2, dtype=torch.int64)).item() == 0.0


@given(st.integers(1, 9), st.integers(2, 5), st.floats(0.1, 100.0), st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_loss_is_symmetric_and_blind_to_the_order_of_pairs(
    n: int, width: int, scale: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = F.normalize(torch.randn(n, width, generator=generator, dtype=torch.float64), dim=-1)
    text = F.normalize(torch.randn(n, width, generator=generator, dtype=torch.float64), dim=-1)
    order = torch.randperm(n, generator=generator)
    loss = info_nce(image, text, torch.tensor(scale))
    torch.testing.assert_close(loss, info_nce(text, image, torch.tensor(scale)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        loss, info_nce(image[order], text[order], torch.tensor(scale)), rtol=1e-4, atol=1e-5
    )


@pytest.fixture(scope="module", params=[2, 3])
def of_several(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """ "keep" and "mask" -> loss and gradients of so many processes."""
    world: int = request.param
    folder = tmp_path_factory.mktemp("processes")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, str(WORKER)]
    arguments = [str(world), str(folder / "store"), str(folder / "out.pt"), "float32"]
    workers = [subprocess.Popen([*command, str(rank), *arguments], env=environment) for rank in range(world)]
    assert [worker.wait(120) for worker in workers] == [0] * world
    found: dict[str, Any] = torch.load(folder / "out.pt", weights_only=True)
    return found


@pytest.mark.parametrize("mask", ["keep", "mask"])
def test_gradient_of_several_processes_is_that_of_one(mask: str, of_several: dict[str, Any]) -> None:
    several = of_several[mask]
    spec = importlib.util.spec_from_file_location("parity_worker", WORKER)
    assert spec is not None and spec.loader is not None
    worker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(worker)
    model = worker.TwoTowers(torch.float64)
    image, text, groups = worker.batch(torch.float64)
    loss = info_nce(*model(image, text), groups if mask == "mask" else None)
    loss.backward()
    assert several["loss"].item() == pytest.approx(loss.item(), abs=1e-6)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        error = (several["gradients"][name].double() - parameter.grad).norm() / parameter.grad.norm()
        assert error < 1e-6, name
