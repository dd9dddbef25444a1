"""`cnclip data filter` and `cnclip data dedup --checkpoint`: a model judges pairs and pictures."""

from __future__ import annotations

import base64
import inspect
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from cnclip.checkpoints import save_checkpoint
from cnclip.commands.data_filter import filter_pairs
from cnclip.commands.data_parts import dedup
from cnclip.config import parse_call
from cnclip.errors import RecipeError, RefusedError, SourceError, UnknownNameError
from cnclip.evaluation.embed import embed_images, embed_texts
from cnclip.model import BertArchitecture, ChineseClip, ClipArchitecture, VitArchitecture
from cnclip.stores.raw import read_source
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import build_store
from cnclip.zoo import load_from_name

VERBS: dict[str, Callable[..., int]] = {"filter": filter_pairs, "dedup": dedup}


def run(name: str, *words: object) -> int:
    """A verb with its words, as the command line gives them."""
    function = VERBS[name]
    return function(**parse_call(function, [str(word) for word in words], prog=f"cnclip data {name}"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = VitArchitecture(width=32, layers=1, heads=2, patch_size=8, resolution=16)
    text = BertArchitecture(hidden=32, layers=1, heads=2, intermediate=64)
    folder = tmp_path_factory.mktemp("模型") / "小模型"
    save_checkpoint(ChineseClip(ClipArchitecture(embed_dim=16, image=image, text=text), seed=1), folder)
    return folder


@pytest.fixture
def store(shapes_store: Path, tmp_path: Path) -> Path:
    """A copy of the shapes, whose embeddings lie beside it."""
    shutil.copytree(shapes_store, tmp_path / "形")
    return tmp_path / "形"


@pytest.fixture
def expected(checkpoint: Path, shapes_store: Path) -> dict[tuple[str, str], float]:
    """(picture id, caption id) -> the cosine that the model gives."""
    model, transform = load_from_name(checkpoint, device="cpu")
    with StoreReader(shapes_store) as reader:
        images = embed_images(model, reader, transform=transform, progress=None)
        texts = embed_texts(model, list(reader.captions()), ids=list(reader.text_ids()), progress=None)
        pairs = zip(reader.pair_images.tolist(), reader.pair_texts.tolist(), strict=True)
        return {(images.ids[i], texts.ids[t]): float(images.rows[i] @ texts.rows[t]) for i, t in pairs}


def scores_in(file: Path) -> list[list[str]]:
    lines = file.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("image_id\ttext_id\tscore")
    return [line.split("\t") for line in lines[1:]]


def test_a_dry_run_tells_the_scores_and_makes_no_store(
    checkpoint: Path,
    store: Path,
    tmp_path: Path,
    expected: dict[tuple[str, str], float],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("filter", store, tmp_path / "好", "--checkpoint", checkpoint, "--dry-run", "true") == 0
    shown = capsys.readouterr().out
    for words in (
        "Quantiles",
        "--keep-share 0.8",
        "Distribution",
        "Worst pairs",
        "48 pairs scored by 小模型",
    ):
        assert words in shown
    worst = min(expected, key=lambda pair: expected[pair])
    assert f"[{worst[0]}]" in shown.split("Worst pairs")[1].splitlines()[1]
    rows = scores_in(tmp_path / "好.scores.tsv")
    assert {(row[0], row[1]) for row in rows} == set(expected)
    for image_id, text_id, score in rows:
        assert float(score) == pytest.approx(expected[image_id, text_id], abs=1e-4)
    page = (tmp_path / "好.scores.html").read_text(encoding="utf-8")
    assert "Lowest scores" in page and "data:image/" in page and "http://" not in page
    assert not (tmp_path / "好").exists()


def test_pairs_under_the_least_score_go(
    checkpoint: Path,
    store: Path,
    tmp_path: Path,
    expected: dict[tuple[str, str], float],
    capsys: pytest.CaptureFixture[str],
) -> None:
    in_order = sorted(expected.values())
    threshold = (in_order[14] + in_order[15]) / 2
    run("filter", store, tmp_path / "好", "--checkpoint", checkpoint, f"--min-score={threshold:.6f}")
    assert "pairs: 48 = 33 kept + 15 under it" in capsys.readouterr().out
    kept = {pair for pair, score in expected.items() if score >= threshold}
    with StoreReader(tmp_path / "好") as made:
        texts = [made.text(index) for index in range(made.text_count)]
        assert {(image_id, text.text_id) for text in texts for image_id in text.image_ids} == kept
        assert set(made.image_ids()) == {image_id for image_id, _ in kept}
        facts = made.header.facts["source"]
        assert (facts["kind"], facts["checkpoint"], facts["dropped_pairs"]) == ("filter", "小模型", 15)
        assert len(facts["image_tower"]) == 64 and str(tmp_path) not in json.dumps(made.header.facts)
    assert {row[3] for row in scores_in(tmp_path / "好.scores.tsv")} == {"0", "1"}


def test_another_threshold_uses_the_embeddings_again(checkpoint: Path, store: Path, tmp_path: Path) -> None:
    words = ("--checkpoint", checkpoint)
    run("filter", store, tmp_path / "一", *words, "--keep-share", "0.5")
    folders = sorted(Path(f"{store}.embeddings").iterdir())
    made = [(folder / "embeddings.npy").stat().st_mtime_ns for folder in folders]
    assert len(folders) == 2
    run("filter", store, tmp_path / "二", *words, "--keep-share", "1", "--keep-pictures", "true")
    run("dedup", store, tmp_path / "三", *words)
    assert sorted(Path(f"{store}.embeddings").iterdir()) == folders
    assert [(folder / "embeddings.npy").stat().st_mtime_ns for folder in folders] == made
    with StoreReader(tmp_path / "一") as half, StoreReader(tmp_path / "二") as all_of_it:
        assert half.pair_count == 24
        with StoreReader(store) as whole:
            assert all_of_it.fingerprint == whole.fingerprint


def test_pictures_that_a_model_finds_alike_become_one(
    checkpoint: Path,
    shapes_source: Callable[[Path], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = shapes_source(tmp_path / "源")
    with open(source, "a", encoding="utf-8") as file:
        for number, name in enumerate(("红色圆", "蓝色方块")):
            picture = Image.open(source.parent / "图" / f"{name}.png").resize((64 + number, 64))
            buffer = io.BytesIO()
            picture.save(buffer, "JPEG", quality=95)
            (source.parent / "图" / f"大{name}.jpg").write_bytes(buffer.getvalue())
            row = {"image": f"图/大{name}.jpg", "captions": [f"大的{name}"]}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    build_store(read_source(source), tmp_path / "库")
    words = ("--checkpoint", checkpoint, "--min-similarity", "0.9999")
    assert run("dedup", tmp_path / "库", tmp_path / "净", *words) == 0
    assert "26 pictures read = 24 written + 2 removed in 2 groups" in capsys.readouterr().out
    lines = (tmp_path / "净.duplicates.jsonl").read_text(encoding="utf-8").splitlines()
    for line in map(json.loads, lines):
        assert line["kept"].startswith("图/大")
        (removed,) = line["removed"]
        assert removed["why"] == "similar" and 0.9999 <= removed["similarity"] <= 1
    with StoreReader(tmp_path / "净") as made:
        assert (made.text_count, made.header.unreferenced_images) == (50, 0)
        assert made.header.facts["source"]["checkpoint"] == "小模型"


def test_a_store_without_pairs_cannot_be_scored(checkpoint: Path, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "PNG")
    (tmp_path / "源").mkdir()
    image = base64.b64encode(buffer.getvalue()).decode()
    (tmp_path / "源" / "all_imgs.tsv").write_text(f"1\t{image}\n", encoding="utf-8")
    text = json.dumps({"text_id": 1, "text": "没有图片的查询", "image_ids": []}, ensure_ascii=False)
    (tmp_path / "源" / "all_texts.jsonl").write_text(text + "\n", encoding="utf-8")
    build_store(read_source(tmp_path / "源"), tmp_path / "库")
    with pytest.raises(SourceError, match="no pairs"):
        run("filter", tmp_path / "库", tmp_path / "好", "--checkpoint", checkpoint, "--keep-share", "0.5")


@pytest.mark.parametrize(
    ("verb", "words", "message"),
    [
        ("filter", (), "which pairs stay"),
        ("filter", ("--min-score", "0.2", "--keep-share", "0.5"), "both say"),
        ("filter", ("--min-score", "2"), "a cosine"),
        ("filter", ("--keep-share", "0"), "keep_share"),
        ("dedup", ("--near", "3"), "both say"),
        ("dedup", ("--min-similarity", "1.5"), "min_similarity"),
    ],
)
def test_wrong_words_are_named(
    verb: str, words: tuple[str, ...], message: str, checkpoint: Path, shapes_store: Path, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=message):
        run(verb, shapes_store, tmp_path / "x", "--checkpoint", checkpoint, *words)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_checkpoint_is_named_before_anything_is_written(
    shapes_store: Path, tmp_path: Path
) -> None:
    for verb, words in (("filter", ["--keep-share", "0.5"]), ("dedup", [])):
        with pytest.raises(UnknownNameError, match="ViT-B-61"):
            run(verb, shapes_store, tmp_path / "x", "--checkpoint", "ViT-B-61", *words)
    with pytest.raises(RefusedError, match="a store that is read"):
        run("filter", shapes_store, shapes_store, "--checkpoint", "ViT-B-16", "--keep-share", "0.5")
    assert list(tmp_path.iterdir()) == []


def test_help_lists_every_option_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run("filter", "--help")
    shown = capsys.readouterr().out
    assert stop.value.code == 0 and "Examples:" in shown
    for parameter in inspect.signature(filter_pairs).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            assert f"--{parameter.name.replace('_', '-')}" in shown
