"""The pages on models and weights say the same in both languages, and what they say of models is true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cnclip.architecture import ARCHITECTURES, FeatureArchitecture
from cnclip.commands import VERBS
from cnclip.finding import MODELS
from cnclip.model import ChineseClip

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("docs/models_zh.md", "docs/models.md")


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[tuple[str, str]]:
    """Language and content of each fenced block, without comments and addresses."""
    found = re.findall(r"```(\w+)\n(.*?)```", text(page), flags=re.DOTALL)
    return [(kind, re.sub(r"\s*#.*|HF_ENDPOINT=\S+", "", content)) for kind, content in found]


def test_the_pages_are_twins() -> None:
    chinese, english = PAGES
    assert blocks(chinese) == blocks(english)
    headings_and_rows = [re.findall(r"^(?:#+|\|)", text(page), flags=re.MULTILINE) for page in PAGES]
    assert headings_and_rows[0] == headings_and_rows[1]


@pytest.mark.parametrize("page", PAGES)
def test_the_table_of_official_models_is_right(page: str) -> None:
    rows = [line.strip("|\n ").split("|") for line in text(page).splitlines() if ".pt` | " in line]
    cells = {row[0].strip(" `"): [cell.strip() for cell in row] for row in rows if len(row) == 8}
    assert list(cells) == list(MODELS)
    for name, row in cells.items():
        architecture = ARCHITECTURES[name]
        assert not isinstance(architecture.image, FeatureArchitecture)
        with torch.device("meta"):
            model = ChineseClip(architecture)
        whole = sum(parameter.numel() for parameter in model.parameters())
        image = sum(parameter.numel() for parameter in model.visual.parameters())
        assert row[2:] == [
            f"{whole:,}", f"{image:,}", str(architecture.image.resolution), str(architecture.embed_dim),
            f"`{MODELS[name].file}`", f"{whole * 4 / 1e9:.2f} GB",
        ]  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
def test_verbs_files_and_links_on_the_page_exist(page: str) -> None:
    for first, second in re.findall(r"cnclip (data|eval|model) ([a-z]+)", text(page)):
        assert f"{first} {second}" in VERBS, f"{first} {second}"
    for link in re.findall(r"\]\(([^)#]+)", text(page)):
        assert (ROOT / "docs" / link).exists(), link
    for path in re.findall(r"`((?:tests|benchmarks|recipes)/[\w./-]+)`", text(page)):
        assert (ROOT / path).exists(), path
    headings = re.findall(r"^#+ (.+)$", text(page), flags=re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-").replace(".", "") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", text(page))) <= anchors


def test_the_code_on_the_pages_runs(tmp_path: Path) -> None:
    from cnclip.checkpoints import save_checkpoint

    save_checkpoint(ChineseClip(ARCHITECTURES["tiny-ViT"]), tmp_path / "checkpoints" / "emoji-stage2")
    code = "\n".join(content for kind, content in blocks(PAGES[0]) if kind == "python")  # the twin's too
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "tensors loaded" in done.stdout
