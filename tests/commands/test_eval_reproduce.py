"""`cnclip eval reproduce` and `eval benchmarks`: what is printed, written and refused."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import pytest
from PIL import Image

from cnclip.checkpoints import save_checkpoint
from cnclip.commands.benchmark_data import resolve_benchmark
from cnclip.commands.eval_reproduce import benchmarks, reproduce
from cnclip.config import parse_call
from cnclip.errors import RecipeError, SourceError, UnknownNameError
from cnclip.evaluation.benchmarks import SHIPPED, Counts, find_benchmark
from cnclip.model import BertArchitecture, ChineseClip, ClipArchitecture, VitArchitecture

PICTURES = 3


def jpeg(number: int) -> bytes:
    buffer = io.BytesIO()
    colour = (number * 83 % 256, number * 47 % 256, number * 131 % 256)
    Image.new("RGB", (24, 24), colour).save(buffer, "jpeg")
    return buffer.getvalue()


def cn_clip_files(folder: Path, split: str) -> None:
    """Chinese-CLIP's two files of a split: the first caption belongs to two pictures, as in MUGE."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [f"{1000 + number}\t{base64.b64encode(jpeg(number)).decode()}\n" for number in range(PICTURES)]
    (folder / f"{split}_imgs.tsv").write_text("".join(pictures), encoding="utf-8")
    answers = [[1000, 1001], [1001], [1002]]
    lines = [
        json.dumps({"text_id": place, "text": f"第{place}件商品", "image_ids": ids}, ensure_ascii=False)
        for place, ids in enumerate(answers)
    ]
    (folder / f"{split}_texts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = VitArchitecture(width=32, layers=1, heads=2, patch_size=8, resolution=16)
    text = BertArchitecture(hidden=32, layers=1, heads=2, intermediate=64)
    folder = tmp_path_factory.mktemp("模型") / "小模型"
    save_checkpoint(ChineseClip(ClipArchitecture(embed_dim=16, image=image, text=text), seed=0), folder)
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def small(here: Path) -> Path:
    """A folder with MUGE's own file, but for the size of the tiny one."""
    folder = here / "基准"
    folder.mkdir()
    text = (SHIPPED / "muge.yaml").read_text(encoding="utf-8")
    new = text.replace("pictures: 29806, captions: 5008, pairs: 30588", "pictures: 3, captions: 3, pairs: 4")
    assert new != text
    (folder / "muge.yaml").write_text(new, encoding="utf-8")
    cn_clip_files(here / "datasets" / "MUGE", "valid")
    return folder


def test_ours_stands_beside_the_published_row_and_in_results_json(
    small: Path, model: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["muge", "--model", str(model), "--row", "ViT-B-16 zero-shot", "--benchmarks", str(small)]
    words += ["--output", str(here / "报告"), "--bootstrap", "50"]
    assert reproduce(**parse_call(reproduce, words, prog="cnclip eval reproduce")) == 0
    shown = capsys.readouterr().out
    assert "$ cnclip data build datasets/MUGE stores/muge-valid --kind cn_clip --split valid" in shown
    assert "52.1" in shown and "R@10" in shown and "未复现 not reproduced" in shown and "图搜文" not in shown
    results = json.loads((here / "报告" / "results.json").read_text(encoding="utf-8"))
    found = results["benchmark"]
    assert (found["name"], found["protocol"], found["row"]) == ("muge", "t2i", "ViT-B-16 zero-shot")
    assert found["within_tolerance"] is False
    for one in found["comparison"]:
        assert one["ours"] == results["text_to_image"][one["metric"]]
        assert one["difference"] == pytest.approx(one["ours"] - one["published"], abs=1e-4)
        assert one["interval"][0] <= one["ours"] <= one["interval"][1]
    assert results["run"]["command"].startswith("cnclip eval reproduce muge --model")
    page = (here / "报告" / "report.html").read_text(encoding="utf-8")
    assert page.index("与公布的数字比") < page.index("看多少个结果才够") and "Not reproduced: 4 of 4" in page
    # again, now with the store and the embeddings that are there, and without a row
    assert reproduce("muge", model=str(model), benchmarks=small, output=here / "报告", bootstrap=0) == 0
    shown = capsys.readouterr().out
    assert "$ cnclip data build" not in shown and "nothing is published of this model" in shown


def test_missing_data_ends_with_code_3_and_says_what_to_put_where(here: Path) -> None:
    for name, parts in {
        "muge": ("datasets/muge", "MUGE.zip", "resolve/main/MUGE.zip", "--split valid"),
        "flickr8k-cn": ("datasets/flickr8k-cn", "Flicker8k_Dataset", "ask for: the photos", "kind flickr"),
        "aic-icc": ("caption_validation_images_20170910", "challenger.ai", "--image-column image_id"),
    }.items():
        with pytest.raises(SourceError, match="is not here") as caught:
            reproduce(name, model="ViT-B-16")
        assert caught.value.exit_code == 3
        for part in (*parts, "licence or terms", "official page", "cnclip data build"):
            assert part in str(caught.value), part
    assert not (here / "stores").exists(), "nothing is made, and no model is loaded, where there is no data"


def test_wrong_words_are_told_before_anything_is_built(here: Path) -> None:
    with pytest.raises(RecipeError, match="no model"):
        reproduce("emoji")
    with pytest.raises(UnknownNameError, match="no benchmark 'emojis'"):
        reproduce("emojis", model="ViT-B-16")
    with pytest.raises(UnknownNameError, match="no row"):
        reproduce("emoji", model="ViT-B-16", row="ViT-B-16 zero-shot")
    assert not list(here.iterdir())


def test_the_bundled_emoji_benchmark_runs_from_nothing_to_a_report(
    model: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reproduce("emoji", model=str(model), output=here / "报告", bootstrap=20, batch_size=256) == 0
    shown = capsys.readouterr().out
    assert "stores/emoji-heldout" in shown and "图搜文 image→text" in shown
    results = json.loads((here / "报告" / "results.json").read_text(encoding="utf-8"))
    assert results["counts"] == {
        "images": 1015,
        "texts": 1015,
        "pairs": 1015,
        "repeated_captions": 0,
    }
    assert results["text_to_image"]["queries"] == results["image_to_text"]["gallery"] == 1015
    assert results["benchmark"]["name"] == "emoji" and results["benchmark"]["within_tolerance"] is None
    assert resolve_benchmark(Path("emoji")) == Path("stores/emoji-heldout")


def test_a_benchmarks_name_stands_for_its_store_and_a_path_for_itself(here: Path) -> None:
    for word in ("stores/mine", "/nowhere/muge", "no-such-benchmark"):
        assert resolve_benchmark(Path(word)) == Path(word), "the store's own error is the better one"
    with pytest.raises(SourceError, match="the data of coco-cn is not here"):
        resolve_benchmark(Path("coco-cn"))
    (here / "coco-cn").mkdir()
    assert resolve_benchmark(Path("coco-cn")) == Path("coco-cn")


def test_the_list_says_what_is_here_and_what_is_not(
    small: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmarks() == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "datasets/MUGE/" in lines["muge"] and "raw data is there" in lines["muge"]
    assert "29806" in lines["muge"] and "t2i, i2t" in lines["coco-cn"] and "missing" in lines["coco-cn"]
    assert "bundled" in lines["emoji"] and "?" in lines["wukong-test"]
    assert benchmarks(show="coco-cn") == 0
    shown = capsys.readouterr().out
    assert "published: R2D2 finetuned: t2i r1 79.1" in shown and "Results.md" in shown
    assert benchmarks(benchmarks=small) == 0
    assert "coco-cn" not in capsys.readouterr().out


def test_counts_left_out_are_not_checked() -> None:
    assert Counts() == find_benchmark("wukong-test").counts
