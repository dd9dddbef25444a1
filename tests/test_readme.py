"""What the front pages say is true: their commands run, their code runs, their files exist."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README_zh.md", "README.md")
SHORTER = [
    "schedule.steps=3",
    "schedule.warmup_steps=1",
    "data.batch_size=32",
    "data.cached_views=0",
    "data.workers=0",
    "threads=1",
]


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def commands(page: str) -> list[list[str]]:
    lines = [line for block in blocks(page, "bash") for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line and not line.startswith("#")]


def without_comments(code: str) -> str:
    return re.sub(r"\s*#.*", "", code)


def test_the_pages_are_twins() -> None:
    chinese, english = PAGES
    assert commands(chinese) == commands(english)
    assert [*map(without_comments, blocks(chinese, "python"))] == [
        *map(without_comments, blocks(english, "python"))
    ]
    assert "make quickstart" in blocks(chinese, "")[0] and "make quickstart" in blocks(english, "")[0]


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the page's commands were run one after the other, with shorter training."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("data_tools", "recipes", "eval"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "emoji-en-tiny").symlink_to(ROOT / "checkpoints" / "emoji-en-tiny")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "ACCELERATE_USE_CPU": "true",
    }
    for command in commands(PAGES[0]):
        words = [*command, *SHORTER] if command[0] == "accelerate" else command
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
    return folder


def test_every_command_runs_and_leaves_what_it_promises(walked: Path) -> None:
    for promised in ("results.json", "report.md", "report.html"):
        assert (walked / "reports" / "emoji" / promised).is_file()
    page = (walked / "reports" / "emoji" / "report.html").read_text(encoding="utf-8")
    assert "红色的水果" in page and "http" not in re.sub(r"http-equiv|http://www\.w3\.org/\S+", "", page)
    assert (walked / "runs" / "emoji-stage2" / "metrics.jsonl").is_file()


def test_the_code_runs_as_it_stands(walked: Path) -> None:
    picture = walked / "runs" / "quickstart" / "emoji" / "pictures" / "twemoji" / "1F34E.webp"
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_bytes((walked / "datasets/emoji/pictures/twemoji/1F34E.webp").read_bytes())
    codes = [code for page in PAGES for code in blocks(page, "python")]
    assert len(codes) == 2
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(codes)], cwd=walked, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    shown = done.stdout.strip()
    half = len(shown) // 2
    assert "ViT-B-16" in shown and "tensor" in shown and shown[:half].strip() == shown[half:].strip()


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)\)", text)
    folders = r"(?:cnclip|data_tools|recipes|eval|checkpoints|benchmarks|tests|docs)/"
    named = re.findall(rf"`({folders}[\w./-]*)`", text)
    made_later = {"checkpoints/emoji-stage2"}
    for name in {*links, *named} - made_later:
        assert (ROOT / name).exists(), name
