"""`cnclip eval probe` from class folders to its report."""

from __future__ import annotations

import io
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnclip.checkpoints import save_checkpoint
from cnclip.commands.eval_probe import probe, shot_counts
from cnclip.config import parse_call
from cnclip.errors import RecipeError, SourceError
from cnclip.model import BertArchitecture, ChineseClip, ClipArchitecture, VitArchitecture

COLOURS = {"红色": "red", "绿色": "green", "蓝色": "blue"}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    image = VitArchitecture(width=32, layers=1, heads=2, patch_size=8, resolution=16)
    text = BertArchitecture(hidden=32, layers=1, heads=2, intermediate=64)
    model = ChineseClip(ClipArchitecture(embed_dim=24, image=image, text=text), seed=5)
    save_checkpoint(model, tmp_path / "小模型")
    return tmp_path / "小模型"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Nine pictures of each of three colours, a little different each."""
    root = tmp_path / "颜色 图片"
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (root / name).mkdir(parents=True)
        for number in range(9):
            pixels = np.array(Image.new("RGB", (20, 20), colour), dtype=np.float64)
            pixels += rng.normal(scale=30, size=pixels.shape)
            buffer = io.BytesIO()
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "PNG")
            (root / name / f"{number}.png").write_bytes(buffer.getvalue())
    return root


@pytest.fixture
def names(tmp_path: Path) -> Path:
    path = tmp_path / "类名.txt"
    path.write_text("\n".join(COLOURS) + "\n", encoding="utf-8")
    return path


def test_one_command_gives_table_curve_csv_and_verdict(
    checkpoint: Path, tree: Path, names: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(checkpoint), str(tree), str(names), "--methods", "linear,prototype,tip-f,coop,cocoop"]
    words += ["--shots", "1,2,4,all", "--seeds", "2", "--prompt-steps", "2", "--workers", "0"]
    words += ["--test-share", "0.34", "--output", str(tmp_path / "报告")]
    options = parse_call(probe, words, prog="cnclip eval probe")
    assert probe(**options) == 0
    shown = capsys.readouterr().out
    assert "零样本 zero-shot" in shown and "线性探针 linear probe：" in shown and "±" in shown
    output = tmp_path / "报告"
    content = json.loads((output / "results.json").read_text(encoding="utf-8"))
    assert content["success"] and content["images"] == {"pool": 18, "test": 9}
    linear = [point for point in content["points"] if point["method"] == "linear"]
    assert [point["shots"] for point in linear] == [1, 2, 4, None]
    assert linear[-1]["top1"] > 90  # colours are easy
    assert {point["method"] for point in content["points"]} >= {"coop", "cocoop"}
    assert (output / "report.html").is_file() and (output / "report.md").is_file()
    command = shlex.split(content["run"]["command"])
    assert parse_call(probe, command[3:], prog="cnclip eval probe") == options
    assert (output / "probe.csv").read_text(encoding="utf-8-sig").startswith("method,shots,seed")

    assert probe(**options) == 0  # from kept embeddings
    again = json.loads((output / "results.json").read_text(encoding="utf-8"))
    assert [point["top1"] for point in again["points"]] == [point["top1"] for point in content["points"]]
    (tree / "红色" / "0.png").write_bytes((tree / "蓝色" / "0.png").read_bytes())
    assert probe(**options) == 0  # other pictures: embedded again
    changed = json.loads((output / "results.json").read_text(encoding="utf-8"))
    assert [point["top1"] for point in changed["points"]] != [point["top1"] for point in content["points"]]


def test_a_test_set_of_its_own_and_equal_pictures_are_told(
    checkpoint: Path, tree: Path, names: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"methods": "prototype", "shots": "1", "seeds": 1, "workers": 0}
    assert probe(str(checkpoint), tree, names, test=tree, **options) == 0  # type: ignore[arg-type]
    assert "27 张测试图片与可学图片相同" in capsys.readouterr().out


def test_numbers_of_shots_are_read_and_checked() -> None:
    assert shot_counts("4,1，2,all,2") == [1, 2, 4, None]
    for wrong in ("", "0,1", "1,x", "-1", "1.5"):
        with pytest.raises(RecipeError, match="shots"):
            shot_counts(wrong)


def test_embeddings_of_another_width_are_refused(checkpoint: Path, names: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.npz"
    np.savez(path, embeddings=np.eye(8, dtype=np.float32), labels=np.array([0, 1, 2, 0, 1, 2, 0, 1]))
    with pytest.raises(SourceError, match="length 8"):
        probe(str(checkpoint), path, names, methods="prototype", shots="1", seeds=1)


def test_a_store_is_probed_by_its_label_file_and_pictures_without_a_label_are_counted(
    checkpoint: Path, shapes_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from cnclip.stores.reader import StoreReader

    ids = list(StoreReader(shapes_store).image_ids())
    shapes = {"方块": "0", "横条": "1", "竖条": "2"}  # the circles have no label
    rows = [
        {"image_id": name, "label": label} for name in ids for shape, label in shapes.items() if shape in name
    ]
    labels, names = tmp_path / "labels.jsonl", tmp_path / "names.txt"
    labels.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    names.write_text("方块\n横条\n竖条\n", encoding="utf-8")
    output = tmp_path / "报告"
    code = probe(
        str(checkpoint),
        shapes_store,
        names,
        labels=labels,
        methods="knn,tip",
        shots="1,2",
        seeds=1,
        output=output,
    )
    assert code == 0 and "left out: 6" in capsys.readouterr().out
    content = json.loads((output / "results.json").read_text(encoding="utf-8"))
    assert content["images"] == {"pool": 9, "test": 9} and content["run"]["data"]["fingerprint"]
