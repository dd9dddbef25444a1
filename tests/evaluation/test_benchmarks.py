"""Benchmarks as data: every file is right, its commands are real, its errors say where."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cnclip.commands.data_build import build
from cnclip.config import parse_call
from cnclip.errors import RecipeError, UnknownNameError
from cnclip.evaluation.benchmarks import (
    SHIPPED,
    Benchmark,
    command_words,
    find_benchmark,
    read_benchmark,
    read_benchmarks,
)

NAMES = ["aic-icc", "coco-cn", "emoji", "flickr30k-cn", "flickr8k-cn", "muge", "wukong-test", "xm3600-zh"]


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_is_read_and_its_commands_are_those_of_the_real_verb(name: str) -> None:
    benchmark = read_benchmark(SHIPPED / f"{name}.yaml")
    assert benchmark.protocol == ("t2i" if name == "muge" else "both")
    assert benchmark.fetch.licence and benchmark.fetch.page
    assert (benchmark.fetch.access == "ask") == (benchmark.fetch.ask is not None)
    folder, store = Path("我的 数据"), Path("库 一")
    for command in [command for form in benchmark.forms for command in form.commands]:
        words = command_words(command, data=folder, store=store)
        assert words[:3] == ["cnclip", "data", "build"]
        given = parse_call(build, words[3:], prog="cnclip data build")
        assert str(given["source"]).startswith(str(folder)) and given["store"] == store
        assert given["kind"] != "auto", "what a source is taken for must not depend on what lies beside it"


def test_all_benchmarks_are_there() -> None:
    assert list(read_benchmarks()) == NAMES


def test_sizes_are_those_that_are_known_and_no_others() -> None:
    known = {
        name: (one.counts.pictures, one.counts.captions, one.counts.pairs)
        for name, one in read_benchmarks().items()
    }
    assert known["muge"] == (29806, 5008, 30588)
    assert known["emoji"] == (1015, 1015, 1015)
    assert known["wukong-test"] == (None, None, None)


@pytest.mark.parametrize(
    ("old", "new", "where", "what"),
    [
        ("split: valid", "splitt: valid", "splitt", "unknown key 'splitt'"),
        ("protocol: t2i", "protocol: i2t", "protocol", "one of t2i, both, not 'i2t'"),
        ("protocol: t2i\n", "", "protocol", "'protocol' is missing"),
        ("pictures: 29806", "pictures: viele", "counts.pictures", "a whole number, not 'viele'"),
        ("r1: 52.1", "r1: hoch", "published[1].t2i.r1", "a number, not 'hoch'"),
        ("r1: 52.1", "r1: 521", "published[1].t2i.r1", "a percentage"),
        ("r1: 52.1", "r2: 52.1", "published[1].t2i.r2", "one of r1, r5, r10, mean_recall"),
        ("name: muge", "name: mugé", "name", "not that of the file"),
        ("needs: [MUGE.zip]", "needs: MUGE.zip", "forms[0].needs", "a list"),
        ("cnclip data build {data}/MUGE.zip", "rm -rf {data}", "forms[0].commands[0]", "may run"),
        ("cnclip data build {data}/MUGE.zip", "cnclip model push", "forms[0].commands[0]", "may run"),
        ("cnclip data build {data}/MUGE.zip", "python data_tools/x.py", "forms[0].commands[0]", "may run"),
        ("cnclip data build {data}/MUGE.zip", "cnclip data 'build", "forms[0].commands[0]", "may run"),
        ("source: readme", "source: blog", "published[10].source", "no source 'blog'"),
        ("tolerance_points: 0.5", "tolerance_points: -1", "tolerance_points", "0 or more"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_key(
    tmp_path: Path, old: str, new: str, where: str, what: str
) -> None:
    path = tmp_path / "muge.yaml"
    text = (SHIPPED / "muge.yaml").read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        read_benchmark(path)
    assert what in caught.value.what
    assert caught.value.where == f"{path}:{where}"


def test_a_benchmark_without_files_forms_or_commands_is_refused(tmp_path: Path) -> None:
    text = (SHIPPED / "emoji.yaml").read_text(encoding="utf-8")
    path = tmp_path / "emoji.yaml"
    for old, new, key in (
        ("files: [{name: heldout.jsonl}, {name: pictures}]", "files: []", "fetch.files"),
        (text[text.index("forms:") :], "forms: []\n", "forms"),
        (
            'commands: ["cnclip data build {data}/heldout.jsonl {store} --kind table"]',
            "commands: []",
            "forms[0].commands",
        ),
        ("needs: [heldout.jsonl, pictures]", "needs: []", "forms[0].needs"),
    ):
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
        with pytest.raises(RecipeError, match="is empty") as caught:
            read_benchmark(path)
        assert caught.value.where == f"{path}:{key}"


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "muge.yaml"
    path.write_text((SHIPPED / "muge.yaml").read_text(encoding="utf-8") + "split: test\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="'split' stands twice"):
        read_benchmark(path)


def test_an_unknown_name_lists_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        find_benchmark("flickr30k")
    assert caught.value.fix is not None
    assert "did you mean flickr30k-cn?" in caught.value.fix and "coco-cn" in caught.value.fix
    assert find_benchmark("COCO-CN").name == "coco-cn"


def test_own_benchmarks_are_read_from_a_folder_and_an_empty_one_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no benchmarks \(\*\.yaml\)"):
        read_benchmarks(tmp_path)
    shutil.copy(SHIPPED / "emoji.yaml", tmp_path)
    assert list(read_benchmarks(tmp_path)) == ["emoji"]


def test_a_form_fits_where_all_its_files_are_there(tmp_path: Path) -> None:
    muge = find_benchmark("muge")
    assert muge.form_in(tmp_path / "没有") is None and muge.form_in(tmp_path) is None
    (tmp_path / "valid_imgs.tsv").touch()
    assert muge.form_in(tmp_path) is None
    (tmp_path / "valid_texts.jsonl").touch()
    assert muge.form_in(tmp_path) == muge.forms[1]
    (tmp_path / "MUGE.zip").touch()
    assert muge.form_in(tmp_path) == muge.forms[0]
    xm3600 = find_benchmark("xm3600-zh")
    (tmp_path / "zh-00000-of-00001-4f2a.parquet").touch()
    assert xm3600.form_in(tmp_path) == xm3600.forms[0]


def test_stores_lie_under_name_and_split_without_saying_it_twice() -> None:
    places = {name: one.default_store.as_posix() for name, one in read_benchmarks().items()}
    assert places["muge"] == "stores/muge-valid" and places["xm3600-zh"] == "stores/xm3600-zh"
    assert places["wukong-test"] == "stores/wukong-test" and places["emoji"] == "stores/emoji-heldout"


def test_a_benchmark_is_frozen() -> None:
    benchmark: Benchmark = find_benchmark("emoji")
    with pytest.raises(AttributeError):
        benchmark.split = "train"  # type: ignore[misc]
