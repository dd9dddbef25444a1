"""`cnclip data clean`: what users type, see and find on disk."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnclip.commands.data_clean import clean
from cnclip.config import parse_call
from cnclip.errors import RecipeError, RefusedError, SourceError
from cnclip.stores.raw import read_source
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import build_store

ALL_RULES = ("--entities", "true", "--full-width", "true", "--spaces", "true")
MESSY = [
    "<p>一只&amp;nbsp;猫</p>",
    "一只 猫",  # the same as the first after it
    "ＡＢＣ１２３，红色\u3000\u200b气球",
    "图片来源：网络",
    "两隻狗在草地上",
]


def run(*words: object) -> int:
    """The verb with its words, as the command line gives them."""
    return clean(**parse_call(clean, [str(word) for word in words], prog="cnclip data clean"))


@pytest.fixture
def messy_store(shapes_source: Callable[[Path], Path], tmp_path: Path) -> Path:
    """The shapes, whose first picture has five captions in want of cleaning."""
    source = shapes_source(tmp_path / "源")
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    rows[0]["captions"] = MESSY
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    source.write_text("".join(lines), encoding="utf-8")
    build_store(read_source(source), tmp_path / "库")
    return tmp_path / "库"


def captions_of(store: Path) -> list[str]:
    with StoreReader(store) as reader:
        return list(reader.captions())


def test_a_dry_run_counts_and_shows_and_writes_nothing(
    messy_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.iterdir())
    assert run(messy_store, tmp_path / "净", *ALL_RULES, "--dry-run", "true") == 0
    shown = capsys.readouterr().out
    assert "entities: 1 captions\n  <p>一只&amp;nbsp;猫</p>  →  一只 猫" in shown
    assert "full-width: 24 captions" in shown and "spaces: 1 captions" in shown
    assert "51 read = 50 written + 0 dropped with nothing left + 1 dropped as equal" in shown
    assert sorted(tmp_path.iterdir()) == before


def test_a_cleaned_store_has_a_list_of_its_changes(messy_store: Path, tmp_path: Path) -> None:
    assert run(messy_store, tmp_path / "净", *ALL_RULES) == 0
    assert captions_of(tmp_path / "净")[:4] == [
        "一只 猫", "ABC123，红色 气球", "图片来源：网络", "两隻狗在草地上"
    ]  # fmt: skip
    lines = (tmp_path / "净.changes.jsonl").read_text(encoding="utf-8").splitlines()
    changes = [json.loads(line) for line in lines]
    assert len(changes) == 26 and set(changes[0]) == {"text_id", "before", "after", "rules"}
    assert (changes[0]["before"], changes[0]["after"]) == (MESSY[0], "一只 猫")
    assert (changes[1]["after"], changes[1]["rules"]) == (None, ["equal"])
    with StoreReader(tmp_path / "净") as made, StoreReader(messy_store) as whole:
        assert made.image(3).image == whole.image(3).image
        facts = made.header.facts["source"]
        assert facts["fingerprint"] == whole.fingerprint
        assert (facts["kind"], facts["rules"]) == ("clean", ["entities", "full-width", "spaces"])


def test_phrases_of_a_file_are_cut_and_empty_captions_go_or_stay(
    messy_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "套话.txt").write_text("图片来源：网络\n的图片，２０２６\n", encoding="utf-8")
    words = ("--boilerplate", tmp_path / "套话.txt", "--full-width", "true", "--punctuation", "true")
    assert run(messy_store, tmp_path / "净", *words) == 0
    assert "1 dropped with nothing left" in capsys.readouterr().out
    captions = captions_of(tmp_path / "净")
    assert "图片来源：网络" not in captions and "一张红色方块" in captions and len(captions) == 50
    (line,) = [
        json.loads(line)
        for line in (tmp_path / "净.changes.jsonl").read_text(encoding="utf-8").splitlines()
        if "来源" in line
    ]
    assert line["after"] is None and line["rules"][-1] == "empty"
    assert run(messy_store, tmp_path / "留", *words, "--drop-empty", "false") == 0
    assert "图片来源：网络" in captions_of(tmp_path / "留")


def test_boilerplate_is_found_told_and_cut(
    messy_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(messy_store, tmp_path / "净", "--boilerplate", "auto") == 0
    assert "boilerplate at the end of 23 captions: 的图片，２０２６" in capsys.readouterr().out
    assert "一张红色方块" in captions_of(tmp_path / "净")
    assert run(tmp_path / "净", tmp_path / "再", "--boilerplate", "auto") == 0
    assert "no boilerplate was found" in capsys.readouterr().out
    with StoreReader(tmp_path / "净") as once, StoreReader(tmp_path / "再") as twice:
        assert once.fingerprint == twice.fingerprint


@pytest.mark.skipif(find_spec("opencc") is None, reason="OpenCC is not installed")
def test_traditional_captions_become_simplified(messy_store: Path, tmp_path: Path) -> None:
    assert run(messy_store, tmp_path / "简", "--simplify", "true") == 0
    assert "两只狗在草地上" in captions_of(tmp_path / "简")


FRAGMENTS = ["&lt;b>", "&amp;", "＜", "ＡＢ", "\u200b", " ", "，", "猫", "图片来源：网络", "<p>", "x"]


@settings(max_examples=25)
@given(
    captions=st.lists(st.lists(st.sampled_from(FRAGMENTS), max_size=5).map("".join), min_size=4, max_size=12)
)
def test_cleaning_twice_is_cleaning_once(
    captions: list[str], tmp_path_factory: pytest.TempPathFactory, shapes_source: Callable[[Path], Path]
) -> None:
    folder = tmp_path_factory.mktemp("性质")
    source = shapes_source(folder / "源")
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()][:4]
    for place, caption in enumerate(captions):
        rows[place % 4]["captions"].append(f"{caption}狗" if place % 3 else f"猫{caption}")
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    source.write_text("".join(lines), encoding="utf-8")
    (folder / "套话.txt").write_text("图片来源：网络\n猫\n", encoding="utf-8")
    words = (*ALL_RULES, "--boilerplate", folder / "套话.txt")
    build_store(read_source(source), folder / "零")
    assert run(folder / "零", folder / "一", *words) == run(folder / "一", folder / "二", *words) == 0
    with StoreReader(folder / "一") as once, StoreReader(folder / "二") as twice:
        assert once.fingerprint == twice.fingerprint
    assert (folder / "二.changes.jsonl").read_bytes() == b""


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ((), RecipeError, "no rule was asked for"),
        (("--spaces", "true", "--punctuation", "true"), RecipeError, "full-width"),
        (("--boilerplate", "没有.txt"), SourceError, r"没有\.txt"),
        (("--spaces", "maybe"), RecipeError, "maybe"),
    ],
)
def test_wrong_words_are_named(
    shapes_store: Path, tmp_path: Path, words: tuple[str, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(shapes_store, tmp_path / "x", *words)
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_there_is_not_replaced_unasked(shapes_store: Path, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="a store that is read"):
        run(shapes_store, shapes_store, "--spaces", "true", "--overwrite", "true")
    assert run(shapes_store, tmp_path / "净", "--spaces", "true") == 0
    with pytest.raises(RefusedError, match="there already"):
        run(shapes_store, tmp_path / "净", "--full-width", "true")
    assert run(shapes_store, tmp_path / "净", "--full-width", "true", "--overwrite", "true") == 0
    assert "一张红色圆的图片，2026" in captions_of(tmp_path / "净")


def test_help_lists_every_option_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run("--help")
    shown = capsys.readouterr().out
    assert stop.value.code == 0 and "Examples:" in shown
    for parameter in inspect.signature(clean).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            assert f"--{parameter.name.replace('_', '-')}" in shown
