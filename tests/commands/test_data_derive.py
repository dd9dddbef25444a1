"""`cnclip data subset | split | merge | dedup | export`: what users type, see and find on disk."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cnclip.commands.data_derive import merge, run_merge, subset
from cnclip.commands.data_export import export
from cnclip.commands.data_parts import dedup, split
from cnclip.config import parse_call
from cnclip.errors import ArtifactError, RecipeError, RefusedError, StoreError, UnknownNameError
from cnclip.stores.raw import read_source
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import build_store

VERBS = {"subset": subset, "split": split, "merge": merge, "dedup": dedup, "export": export}


def run(name: str, *words: object) -> int:
    """A verb with its words, as the command line gives them."""
    if name == "merge":
        return run_merge([str(word) for word in words])
    return VERBS[name](**parse_call(VERBS[name], [str(word) for word in words], prog=f"cnclip data {name}"))


def test_subset_by_a_word_and_by_ids(
    shapes_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("subset", shapes_store, tmp_path / "红", "--query", "红色") == 0
    assert "4 pictures, 8 captions, 8 pairs" in capsys.readouterr().out
    (tmp_path / "名单.txt").write_text("图/红色圆.png\n图/蓝色方块.png\n", encoding="utf-8")
    assert run("subset", shapes_store, tmp_path / "二", "--ids", tmp_path / "名单.txt") == 0
    with StoreReader(tmp_path / "二") as made, StoreReader(shapes_store) as whole:
        assert list(made.image_ids()) == ["图/红色圆.png", "图/蓝色方块.png"]
        assert made.image(0).image == whole.image(whole.image_index("图/红色圆.png")).image
        assert made.header.facts["source"]["fingerprint"] == whole.fingerprint
        assert str(tmp_path) not in json.dumps(made.header.facts, ensure_ascii=False)


def test_subset_finds_full_width_text_by_its_plain_form(shapes_store: Path, tmp_path: Path) -> None:
    run("subset", shapes_store, tmp_path / "年", "--query", "2026")
    run("subset", shapes_store, tmp_path / "全", "--query", "２０２６", "--captions", "all")
    with StoreReader(tmp_path / "年") as made, StoreReader(tmp_path / "全") as both:
        assert (made.text_count, both.text_count) == (24, 48)


def test_subset_says_what_is_missing(shapes_store: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="which rows"):
        run("subset", shapes_store, tmp_path / "无")
    (tmp_path / "名单.txt").write_text("没有.png\n", encoding="utf-8")
    with pytest.raises(UnknownNameError, match=r"没有\.png"):
        run("subset", shapes_store, tmp_path / "无", "--ids", tmp_path / "名单.txt")
    assert not (tmp_path / "无").exists()


def test_split_prints_the_conservation_and_names_the_parts(
    shapes_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (shapes_store, tmp_path / "形", "--shares", "0.5,0.25,0.25", "--near", "0", "--workers", "2")
    assert run("split", *words) == 0
    shown = capsys.readouterr().out
    assert "pictures: 24 = 12 + 6 + 6; captions: 48 = 24 + 12 + 12" in shown
    with StoreReader(tmp_path / "形-valid") as valid:
        before = valid.fingerprint
    with pytest.raises(RefusedError, match="there already"):
        run("split", *words)
    assert run("split", *words, "--overwrite", "true") == 0
    with StoreReader(tmp_path / "形-valid") as valid:
        assert valid.fingerprint == before
    assert run("split", *words, "--overwrite", "true", "--seed", "2") == 0
    with StoreReader(tmp_path / "形-valid") as valid:
        assert valid.fingerprint != before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--shares", "0.9,0.2"], "their sum 1"),
        (["--shares", "a,b"], "does not understand"),
        (["--shares", "0.5,0.5", "--names", "train"], "2 different plain names"),
        (["--shares", "0.5,0.5", "--names", "train,../x"], "plain names"),
        (["--near", "13"], "near is 13"),
        (["--workers", "-1"], "workers"),
    ],
)
def test_wrong_words_of_split_are_named(
    shapes_store: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        run("split", shapes_store, tmp_path / "x", *words)
    assert list(tmp_path.iterdir()) == []


def test_merge_takes_any_number_of_stores_and_the_target_last(
    shapes_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("split", shapes_store, tmp_path / "形", "--shares", "0.5,0.25,0.25", "--near", "0")
    parts = [tmp_path / f"形-{name}" for name in ("train", "valid", "test")]
    assert run("merge", "--duplicates=drop", *parts, tmp_path / "合", "--shard-size", "5images") == 0
    assert "24 pictures read = 24 written + 0 dropped as equal" in capsys.readouterr().out
    with StoreReader(tmp_path / "合") as made, StoreReader(shapes_store) as whole:
        assert sorted(made.image_ids()) == sorted(whole.image_ids())
        assert made.text_count == whole.text_count and len(made.header.shards) > 1


def test_merge_of_a_store_with_its_copy_lists_ids_or_puts_names_before(
    shapes_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("subset", shapes_store, tmp_path / "份", "--query", "红色")
    capsys.readouterr()
    with pytest.raises(Exception, match="12 ids that two stores have") as caught:
        run("merge", shapes_store, tmp_path / "份", tmp_path / "合")
    assert "图/红色圆.png" in str(caught.value) and not (tmp_path / "合").exists()
    assert run("merge", shapes_store, tmp_path / "份", tmp_path / "合", "--prefix", "true") == 0
    assert "28 pictures" in capsys.readouterr().out
    with StoreReader(tmp_path / "合") as made:
        assert made.image_index("份/图/红色圆.png") >= 24
    assert run("merge", shapes_store, tmp_path / "份", tmp_path / "一", "--duplicates", "drop") == 0
    with StoreReader(tmp_path / "一") as made, StoreReader(shapes_store) as whole:
        assert made.fingerprint == whole.fingerprint


def test_a_store_is_never_its_own_target(shapes_store: Path, tmp_path: Path) -> None:
    for name, more in (("subset", ["--query", "红"]), ("dedup", []), ("merge", [])):
        words = [tmp_path / "别的", shapes_store] if name == "merge" else [shapes_store]
        with pytest.raises(RefusedError, match="a store that is read"):
            run(name, *words, shapes_store, *more, "--overwrite", "true")
    (tmp_path / "文件").write_text("不是文件夹", encoding="utf-8")
    with pytest.raises(RefusedError):
        run("dedup", shapes_store, tmp_path / "文件")
    assert not list(tmp_path.glob("*.jsonl"))


def test_merge_wants_two_stores_and_a_target(shapes_store: Path) -> None:
    with pytest.raises(RecipeError, match="two stores and a target"):
        run("merge", shapes_store, "合")
    with pytest.raises(RecipeError):
        run("merge")


def test_dedup_lists_the_groups_beside_the_store(
    shapes_source: Callable[[Path], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = shapes_source(tmp_path / "源")
    copy = source.parent / "图" / "一份拷贝.png"
    copy.write_bytes((source.parent / "图" / "红色圆.png").read_bytes())
    with open(source, "a", encoding="utf-8") as file:
        row = {"image": "图/一份拷贝.png", "captions": ["又是红色的圆"]}
        file.write(json.dumps(row, ensure_ascii=False) + "\n")
    build_store(read_source(source), tmp_path / "仓")
    assert run("dedup", tmp_path / "仓", tmp_path / "净") == 0
    shown = capsys.readouterr().out
    assert "25 pictures read = 24 written + 1 removed in 1 groups" in shown
    (line,) = (tmp_path / "净.duplicates.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line) == {
        "kept": "图/一份拷贝.png",  # of equal files the smallest id
        "removed": [{"image_id": "图/红色圆.png", "why": "same bytes", "bits": 0}],
    }
    with StoreReader(tmp_path / "净") as made:
        assert made.text_count == 49 and made.header.unreferenced_images == 0


def test_export_says_whether_it_reads_back_the_same(
    shapes_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "数据"
    assert run("export", shapes_store, target, "--to", "cn_clip") == 0
    assert "read back: the same" in capsys.readouterr().out
    assert run("export", shapes_store, target, "--to", "cn_clip", "--split", "valid") == 0
    shown = capsys.readouterr().out
    assert f"next: cnclip data build {target} STORE --kind cn_clip --split valid" in shown
    assert {file.name for file in target.iterdir()} == {
        "MANIFEST.json", "train_imgs.tsv", "train_texts.jsonl", "valid_imgs.tsv", "valid_texts.jsonl"
    }  # fmt: skip
    assert run("export", shapes_store, tmp_path / "夹", "--to", "folder") == 0
    assert "captions under ids of their own: 48" in capsys.readouterr().out
    with pytest.raises(ArtifactError, match="no export to folder"):
        run("export", shapes_store, target, "--to", "folder")
    with pytest.raises(RefusedError, match="the target is there already"):
        run("export", shapes_store, tmp_path / "夹", "--to", "folder")
    assert run("export", shapes_store, tmp_path / "夹", "--to", "folder", "--overwrite", "true") == 0


@pytest.mark.parametrize("name", VERBS)
def test_help_lists_every_option_with_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run(name, "--help")
    shown = capsys.readouterr().out
    assert stop.value.code == 0 and "Examples:" in shown and f"usage: cnclip data {name}" in shown
    for parameter in inspect.signature(VERBS[name]).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            assert f"--{parameter.name.replace('_', '-')}" in shown


@pytest.mark.parametrize("name", ["subset", "split", "dedup", "export"])
def test_what_is_no_store_is_named(name: str, tmp_path: Path) -> None:
    more = {"subset": ["--query", "狗"], "export": ["--to", "jsonl"]}.get(name, [])
    with pytest.raises(StoreError, match="no such store"):
        run(name, tmp_path / "没有", tmp_path / "去", *more)
