"""The report of `cnclip eval retrieval`: whole for any store, however small; with what is wanted only."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cnclip.checkpoints import save_checkpoint
from cnclip.commands.eval_report_facts import benchmark_licence, tower_parameters
from cnclip.commands.eval_retrieval import run_retrieval
from cnclip.commands.eval_retrieval_report import readable_json
from cnclip.errors import RecipeError, StoreError
from cnclip.model import BertArchitecture, ChineseClip, ClipArchitecture, ResNetArchitecture, VitArchitecture
from cnclip.stores.raw import read_source
from cnclip.stores.writer import build_store

Shapes = Callable[[Path], Path]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = VitArchitecture(width=32, layers=1, heads=2, patch_size=8, resolution=16)
    text = BertArchitecture(hidden=32, layers=1, heads=2, intermediate=64)
    path = tmp_path_factory.mktemp("模型") / "甲"
    recipe = "model: {image: {locked: true}}\ndata: {train: stores/一}\nschedule: {epochs: 3}\n"
    architecture = ClipArchitecture(embed_dim=16, image=image, text=text)
    save_checkpoint(ChineseClip(architecture, seed=1), path, extra_files={"recipe.yaml": recipe})
    return path


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory, shapes_source: Shapes) -> Callable[[int], Path]:
    """The first pictures of the coloured shapes, two captions each, as a store."""
    folder = tmp_path_factory.mktemp("图形")
    lines = shapes_source(folder).read_text(encoding="utf-8").splitlines()

    def build(pictures: int) -> Path:
        path = folder / f"store-{pictures}"
        if not path.exists():
            source = folder / f"{pictures}.jsonl"
            source.write_text("\n".join(lines[:pictures]) + "\n", encoding="utf-8")
            build_store(read_source(source), path)
        return path

    return build


def report(words: list[str], folder: Path) -> tuple[dict, str, str]:
    """results.json, the page, the Markdown."""
    assert run_retrieval([*words, "--output", str(folder), "--bootstrap", "50"]) == 0
    page = (folder / "report.html").read_text(encoding="utf-8")
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return results, page, (folder / "report.md").read_text(encoding="utf-8")


def test_the_report_has_every_chapter_in_both_languages_and_its_json(
    model: Path, stores: Callable[[int], Path], tmp_path: Path
) -> None:
    words = [
        str(model),
        str(stores(24)),
        "--queries",
        "红色的圆",
        "--seen",
        str(stores(5)),
        "--seen",
        str(stores(2)),
    ]
    results, page, markdown = report(words, tmp_path)
    insights = list(results["insight"])
    suspects = (tmp_path / "suspects.jsonl").read_text(encoding="utf-8").splitlines()
    assert all({"text_id", "image_id", "reason"} <= json.loads(line).keys() for line in suspects)
    assert insights and set(insights) <= set(results["run"]["seconds"])
    for name in ("summary", "curves", "queries", "contrasts", *insights, "models", "data", "making"):
        assert f'<section id="{name}"' in page and f'href="#{name}"' in page, name
    assert page.count('class="zh"') == page.count('class="en"') > 100
    assert "differences" not in page, "one model differs from none"
    assert "锁定图像塔（第一阶段）" in page and "the image tower is locked (stage 1)" in page
    for said in ("# 图文检索报告：甲 Retrieval report: 甲", "红色的圆", "## 模型卡 Model cards"):
        assert said in markdown
    assert f"{stores(5)},{stores(2)}" in results["run"]["command"], "made again by one command"
    assert results["run"]["command"] in markdown


@pytest.mark.parametrize("pictures", [1, 2, 3, 5])
def test_a_store_of_a_few_pictures_gives_a_report_that_says_so(
    model: Path, stores: Callable[[int], Path], tmp_path: Path, pictures: int
) -> None:
    results, page, markdown = report([str(model), str(stores(pictures))], tmp_path)
    assert results["counts"]["images"] == pictures
    assert "查询不足 20 条" in page and "prove nothing" in markdown
    assert "nan" not in page.lower().replace("nano", "") and "inf " not in markdown


def test_without_insight_there_are_the_numbers_only(
    model: Path, stores: Callable[[int], Path], tmp_path: Path
) -> None:
    results, page, _ = report([str(model), str(stores(24)), "--insight", "false"], tmp_path)
    assert "insight" not in results and "neighbours" not in results["run"]["seconds"]
    assert '<section id="summary"' in page and '<section id="slices"' not in page


def test_corrections_are_measured_beside_the_plain_numbers_and_change_none_of_them(
    model: Path, stores: Callable[[int], Path], tmp_path: Path
) -> None:
    words = [str(model), str(stores(24)), "--insight", "false"]
    plain, page, _ = report(words, tmp_path / "a")
    assert '<section id="corrections"' not in page
    words += ["--corrections", "qb_norm,csls", "--corrections", "dual_softmax", "--bank", str(stores(5))]
    results, page, markdown = report(words, tmp_path / "b")
    assert results["text_to_image"] == plain["text_to_image"]
    found = results["insight"]["corrections"]
    assert list(results["insight"]) == ["corrections"]
    assert list(found) == ["dual_softmax", "csls", "qb_norm"]
    overs = {name: [one["over"] for one in correction["variants"]] for name, correction in found.items()}
    assert overs == {"dual_softmax": ["test", "bank"], "csls": ["test", "bank"], "qb_norm": ["bank"]}
    assert {"bank", "corrections"} <= results["run"]["seconds"].keys()
    assert '<section id="corrections"' in page and "## 分数校正 Score corrections" in markdown
    over_bank = found["qb_norm"]["variants"][0]
    assert not over_bank["fair"], "the five pictures of the bank are the test set's first five"
    assert over_bank["shared"] == {"captions": 10, "pictures": 5}
    assert "10 of the 48 captions and 5 of the 24 pictures" in markdown
    with pytest.raises(RecipeError, match="test set itself"):
        report([*words[:-1], str(stores(24))], tmp_path / "c")


def test_a_store_that_is_said_to_be_seen_must_be_one(
    model: Path, stores: Callable[[int], Path], tmp_path: Path
) -> None:
    with pytest.raises(StoreError):
        report([str(model), str(stores(24)), "--seen", str(tmp_path / "没有")], tmp_path / "out")
    assert not (tmp_path / "out").exists(), "it is told before anything is embedded"


def test_results_are_json_that_people_can_read() -> None:
    value = {"短": [1, 2.5, None, True], "长": [{"文": "字" * 40, "数": [0.1] * 9}] * 2, "空": {}, "列": []}
    text = readable_json(value)
    assert json.loads(text) == value
    assert '  "短": [1, 2.5, null, true],' in text.splitlines() and '  "空": {},' in text.splitlines()
    assert max(map(len, text.splitlines())) <= 110
    with pytest.raises(ValueError, match="JSON compliant"):
        readable_json({"a": float("nan")})


def test_towers_are_counted_whole(model: Path) -> None:
    text = BertArchitecture(hidden=8, layers=1, heads=2, intermediate=16, vocab_size=10, max_positions=4)
    image = ResNetArchitecture(layers=(1, 1, 1, 1), width=4, heads=2, resolution=32)
    architecture = ClipArchitecture(embed_dim=6, image=image, text=text)
    plain = ChineseClip(architecture)
    expected = sum(weight.numel() for weight in plain.parameters()) - 1
    assert sum(tower_parameters(architecture)) == expected
    embedding, layer = (10 + 4 + 2 + 2) * 8, 4 * (8 * 8 + 8) + (8 * 16 + 16) + (16 * 8 + 8) + 2 * 16
    assert tower_parameters(architecture)[1] == embedding + layer + 8 * 6


def test_a_benchmarks_licence_is_known_by_its_name_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "CC BY 4.0" in benchmark_licence(Path("emoji"))
    assert benchmark_licence(Path("stores/emoji")) == benchmark_licence(Path("kein-solches")) == ""
    (tmp_path / "emoji").mkdir()
    assert benchmark_licence(Path("emoji")) == "", "a folder of that name is not the benchmark"
