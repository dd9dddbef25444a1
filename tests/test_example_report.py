"""The example of results.json in docs/ is what the command writes today, and its numbers fit each other.

To make it again, in a clone whose checkpoints/emoji-stage2 comes from `make quickstart`:

    cnclip eval retrieval --model checkpoints/emoji-stage2 --data emoji --output reports/emoji-stage2
    cp reports/emoji-stage2/results.json docs/example_report.json
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cnclip.checkpoints import save_checkpoint
from cnclip.commands.eval_retrieval import run_retrieval
from cnclip.commands.eval_retrieval_report import readable_json
from cnclip.model import BertArchitecture, ChineseClip, ClipArchitecture, VitArchitecture

EXAMPLE = Path(__file__).resolve().parent.parent / "docs" / "example_report.json"
MOST_BYTES = 100_000


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    return dict(json.loads(EXAMPLE.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def fresh(shapes_store: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("模型")
    image = VitArchitecture(width=32, layers=1, heads=2, patch_size=8, resolution=16)
    text = BertArchitecture(hidden=32, layers=1, heads=2, intermediate=64)
    save_checkpoint(ChineseClip(ClipArchitecture(embed_dim=16, image=image, text=text)), folder / "甲")
    words = [str(folder / "甲"), str(shapes_store), "--output", str(folder / "out"), "--bootstrap", "20"]
    assert run_retrieval(words) == 0
    return dict(json.loads((folder / "out" / "results.json").read_text(encoding="utf-8")))


def test_it_has_the_fields_that_are_written_today(example: dict[str, Any], fresh: dict[str, Any]) -> None:
    assert example.keys() == fresh.keys()
    for part in ("text_to_image", "image_to_text", "counts", "run", "insight"):
        assert example[part].keys() == fresh[part].keys(), part
    for name, found in fresh["insight"].items():
        if isinstance(found, dict):
            assert example["insight"][name].keys() == found.keys(), name


def test_its_numbers_fit_each_other(example: dict[str, Any]) -> None:
    assert example["success"] and example["counts"] == {
        "images": 1015,
        "texts": 1015,
        "pairs": 1015,
        "repeated_captions": 0,
    }
    for way in ("text_to_image", "image_to_text"):
        found = example[way]
        assert found["r1"] <= found["r5"] <= found["r10"]
        mean = sum(found[f"r{k}"] for k in (1, 5, 10)) / 3
        assert found["mean_recall"] == pytest.approx(mean, abs=1e-3)
        assert all(low <= found[name] <= high for name, (low, high) in found["intervals"].items())
        assert found["r1"] > 20 * found["chance"]["r1"], "a trained model, not chance"


def test_it_is_small_tells_its_command_and_names_no_folder_of_ones_own(example: dict[str, Any]) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    assert len(text.encode()) < MOST_BYTES and text == readable_json(example) + "\n"
    command = (
        "cnclip eval retrieval --model checkpoints/emoji-stage2 --data emoji --output reports/emoji-stage2"
    )
    assert example["run"]["command"] == command
    assert example["run"]["data"]["path"] == "stores/emoji-heldout"
    assert '"/' not in text and " /" not in text and "~" not in text
