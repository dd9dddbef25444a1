"""Kept embeddings are used again for the same model and data only."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cnclip.errors import ArtifactError
from cnclip.evaluation import cache
from cnclip.evaluation.cache import (
    EmbeddingFacts,
    cached_embeddings,
    find_embeddings,
    load_embeddings,
    save_embeddings,
    tower_fingerprint,
)
from cnclip.evaluation.embed import EmbeddingTable
from cnclip.evaluation.retrieval import recall_at_k
from cnclip.model import ChineseClip

FACTS = EmbeddingFacts(kind="image", tower="a" * 64, preprocessing="p1", source="s1")
TABLE = EmbeddingTable(ids=["一", "b", "c"], rows=np.eye(3, 5, dtype=np.float32))


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    save_embeddings(TABLE, tmp_path / "e", FACTS)
    table = load_embeddings(tmp_path / "e", FACTS)
    assert table.ids == TABLE.ids
    np.testing.assert_array_equal(table.rows, TABLE.rows)
    manifest = json.loads((tmp_path / "e" / "MANIFEST.json").read_text(encoding="utf-8"))
    assert manifest["facts"] == {"kind": "image", "tower": "a" * 64, "preprocessing": "p1", "source": "s1"}


@pytest.mark.parametrize("changed", ["kind", "tower", "preprocessing", "source", "precision"])
def test_other_facts_are_refused_by_name_and_embedded_anew(tmp_path: Path, changed: str) -> None:
    save_embeddings(TABLE, tmp_path / "e", FACTS)
    other = replace(FACTS, **{changed: "text" if changed == "kind" else "other"})
    with pytest.raises(ArtifactError, match=f"another {changed}"):
        load_embeddings(tmp_path / "e", other)
    new = EmbeddingTable(ids=["z"], rows=np.eye(1, 5, dtype=np.float32))
    assert cached_embeddings(tmp_path / "e", other, lambda: new).ids == ["z"]
    assert load_embeddings(tmp_path / "e", other).ids == ["z"]
    assert other.short != FACTS.short


def test_the_same_facts_embed_once(tmp_path: Path) -> None:
    calls = []

    def embed() -> EmbeddingTable:
        calls.append(1)
        return TABLE

    for _ in range(3):
        assert cached_embeddings(tmp_path / "a" / "e", FACTS, embed).ids == TABLE.ids
    assert len(calls) == 1
    cached_embeddings(None, FACTS, embed)
    assert len(calls) == 2


def test_damaged_rows_are_an_error_not_a_result(tmp_path: Path) -> None:
    save_embeddings(TABLE, tmp_path / "e", FACTS)
    file = tmp_path / "e" / "embeddings.npy"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(ArtifactError, match="sha256"):
        cached_embeddings(tmp_path / "e", FACTS, lambda: TABLE)


def test_a_towers_fingerprint_covers_its_weights_and_no_others(model: ChineseClip) -> None:
    twin = ChineseClip(model.architecture, seed=3)
    for kind in ("image", "text"):
        assert tower_fingerprint(model, kind) == tower_fingerprint(twin, kind)
    before = tower_fingerprint(twin, "image"), tower_fingerprint(twin, "text")
    with torch.no_grad():
        twin.text_projection[0, 0] += 1
    assert tower_fingerprint(twin, "image") == before[0]
    assert tower_fingerprint(twin, "text") != before[1]
    with torch.no_grad():
        twin.visual.conv1.weight[0, 0, 0, 0] += 1  # type: ignore[union-attr]
    assert tower_fingerprint(twin, "image") != before[0]
    assert tower_fingerprint(twin.to(torch.bfloat16), "image") != before[0]


def test_large_tables_stay_in_their_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_embeddings(TABLE, tmp_path / "e", FACTS)
    monkeypatch.setattr(cache, "MAPPED_BYTES", 1)
    table = load_embeddings(tmp_path / "e", FACTS)
    assert isinstance(table.rows, np.memmap) and np.array_equal(table.rows, TABLE.rows)
    result = recall_at_k(table.rows, table.rows, np.repeat(np.arange(3)[:, None], 2, axis=1))
    assert result.t2i.recall[1] == 100


def test_looking_for_embeddings_makes_none(tmp_path: Path) -> None:
    assert find_embeddings(None, FACTS) is None
    assert find_embeddings(tmp_path / "e", FACTS) is None and not (tmp_path / "e").exists()
    save_embeddings(TABLE, tmp_path / "e", FACTS)
    assert find_embeddings(tmp_path / "e", replace(FACTS, precision="bf16")) is None
    found = find_embeddings(tmp_path / "e", FACTS)
    assert found is not None and found.ids == TABLE.ids


def test_fp32_goes_without_saying_so_that_older_tables_stay_good() -> None:
    assert "precision" not in FACTS.to_dict()
    assert replace(FACTS, precision="bf16").to_dict()["precision"] == "bf16"
    assert replace(FACTS, precision="bf16").short != FACTS.short
