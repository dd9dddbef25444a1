"""Building a store: every row accounted for, the same bytes every time, nothing half-made under its name."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cnclip.errors import (
    ImageError,
    InterruptedRun,
    RecipeError,
    RefusedError,
    ResourceError,
    SourceError,
    StoreError,
)
from cnclip.stores.raw import SourceOptions, read_source
from cnclip.stores.raw.table import TableColumns
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import BuildOptions, build_store


def refuse_marked(data: bytes) -> None:
    """A stand-in for the decoder's refusal."""
    if data.startswith(b"BAD"):
        raise ImageError("the file is cut off")


def tree(folder: Path) -> dict[str, str]:
    """Name -> sha256 of every file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


@pytest.fixture
def messy(tmp_path: Path, raw: Any) -> Path:
    """Every kind of bad row, among good ones."""
    good = [(number, raw.draw(number)) for number in range(60)]
    odd = [(1, raw.draw(1)), (2, raw.draw(99)), ("bad", b"BAD"), ("bad", b"BAD"), ("bad later good", b"BAD")]
    images = [*good, *odd, ("bad later good", raw.draw(61))]
    texts = [
        *(raw.text_row(number, f"第{number}句", [number]) for number in range(50)),
        raw.text_row(1, "第1句", [1]),  # the same row again
        raw.text_row(2, "另一句", [2]),  # the same id, another caption
        raw.text_row("d", "没有这张图", [777]),
        raw.text_row("r", "图坏了", ["bad"]),
        raw.text_row("p", "一张好一张坏一张没有", [3, "bad", 777]),
        raw.text_row("l", "后来的好图", ["bad later good"]),
        raw.text_row("e", " ", [3]),
    ]
    return raw.write_cn_clip(tmp_path / "messy", images, texts)


def test_every_row_read_is_written_rejected_or_deduplicated(
    messy: Path, tmp_path: Path, open_store: Any
) -> None:
    options = BuildOptions(on_bad="skip", max_bad_share=0.2)
    report = build_store(read_source(messy), tmp_path / "s", options=options, prepare=refuse_marked)
    assert (report.image_rows.written, report.image_rows.rejected, report.image_rows.deduplicated) == (
        61,
        4,
        1,
    )
    assert (report.text_rows.written, report.text_rows.rejected, report.text_rows.deduplicated) == (52, 4, 1)
    assert (report.image_rows.rows_in, report.text_rows.rows_in) == (66, 57)
    assert (report.images, report.texts, report.pairs) == (61, 52, 52)
    assert report.missing_links == 2
    assert report.unreferenced_images == 10
    store = open_store(tmp_path / "s")
    assert store.header.facts["image_rows"] == {
        "rows_in": 66,
        "written": 61,
        "rejected": 4,
        "deduplicated": 1,
    }
    assert store.text(store.text_index("p")).image_ids == ("3",)
    assert store.image(store.image_index("2")).image != store.image(store.image_index("1")).image


def test_rejected_rows_are_all_listed_with_line_id_and_reason(messy: Path, tmp_path: Path) -> None:
    options = BuildOptions(on_bad="skip", max_bad_share=0.2)
    report = build_store(read_source(messy), tmp_path / "s", options=options, prepare=refuse_marked)
    assert report.rejects is not None
    rows = [json.loads(line) for line in report.rejects.read_text(encoding="utf-8").splitlines()]
    assert [(row["kind"], row["where"], row["id"], row["reason"]) for row in rows] == [
        ("image", "train_imgs.tsv:62", "2", "duplicate id: another picture has it at train_imgs.tsv:3"),
        ("image", "train_imgs.tsv:63", "bad", "bad picture: the file is cut off"),
        ("image", "train_imgs.tsv:64", "bad", "bad picture: the file is cut off"),
        ("image", "train_imgs.tsv:65", "bad later good", "bad picture: the file is cut off"),
        ("text", "train_texts.jsonl:52", "2", "duplicate id: another caption has it at train_texts.jsonl:3"),
        ("text", "train_texts.jsonl:53", "d", "dangling id: the source has no picture '777'"),
        ("text", "train_texts.jsonl:54", "r", "picture rejected: see train_imgs.tsv:63, picture 'bad'"),
        ("link", "train_texts.jsonl:55", "p", "picture rejected: see train_imgs.tsv:63, picture 'bad'"),
        ("link", "train_texts.jsonl:55", "p", "dangling id: the source has no picture '777'"),
        ("text", "train_texts.jsonl:57", "e", "empty caption: text has nothing visible"),
    ]
    assert report.reasons["bad picture"] == 3


def test_small_sources_fail_with_all_bad_rows_and_write_nothing(messy: Path, tmp_path: Path) -> None:
    target = tmp_path / "out" / "s"
    with pytest.raises(SourceError) as caught:
        build_store(read_source(messy), target, prepare=refuse_marked)
    message = str(caught.value)
    assert "10 bad rows among 123" in message
    assert message.count("train_imgs.tsv:6") >= 4
    assert "--on-bad skip --max-bad-share 0.08" in message
    beside = target.parent / "s.rejects.jsonl"
    assert len(beside.read_text(encoding="utf-8").splitlines()) == 10
    assert sorted(path.name for path in target.parent.iterdir()) == ["s.rejects.jsonl"]
    options = BuildOptions(on_bad="skip", max_bad_share=0.08)
    build_store(read_source(messy), target, options=options, prepare=refuse_marked)
    assert sorted(path.name for path in target.parent.iterdir()) == ["s"]


def test_large_sources_skip_bad_rows_up_to_a_share(tmp_path: Path, raw: Any) -> None:
    def source(bad: int) -> Any:
        images = [("图", raw.draw(1))]
        texts = [raw.text_row(number, "好" if number >= bad else "", ["图"]) for number in range(1000)]
        return read_source(raw.write_cn_clip(tmp_path / f"d{bad}", images, texts))

    report = build_store(source(10), tmp_path / "s")
    assert (report.texts, report.text_rows.rejected) == (990, 10)
    with pytest.raises(SourceError, match=r"a share of 0\.0110, allowed 0\.01") as caught:
        build_store(source(11), tmp_path / "t")
    assert caught.value.fix is not None
    assert "--max-bad-share 0.02" in caught.value.fix
    assert "… and" not in str(caught.value)
    with pytest.raises(SourceError, match="… and 10 more"):
        build_store(source(30), tmp_path / "t")
    assert not (tmp_path / "t").exists()
    with pytest.raises(SourceError):
        build_store(source(1), tmp_path / "t", options=BuildOptions(on_bad="fail"))


def test_a_source_without_pictures_is_refused(tmp_path: Path, raw: Any) -> None:
    with pytest.raises(SourceError, match="no pictures"):
        build_store(read_source(raw.write_cn_clip(tmp_path / "d", [], [])), tmp_path / "s")


def test_the_same_source_gives_the_same_bytes_with_any_number_of_threads(messy: Path, tmp_path: Path) -> None:
    trees = []
    for workers in (1, 2, 5):
        options = BuildOptions(on_bad="skip", max_bad_share=0.2, workers=workers, shard_images=7)
        path = tmp_path / str(workers) / "s"
        build_store(read_source(messy), path, options=options, prepare=refuse_marked)
        trees.append(tree(path))
    assert trees[0] == trees[1] == trees[2]


def test_another_process_with_another_hash_seed_gives_the_same_bytes(animals: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from cnclip.stores.raw import read_source; from cnclip.stores.writer import build_store;"
        "build_store(read_source(sys.argv[1]), sys.argv[2])"
    )
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", code, animals, tmp_path / seed], env=environment, check=True)
    assert tree(tmp_path / "1") == tree(tmp_path / "2")


def test_the_fingerprint_is_of_the_content_not_of_the_form(animals: Path, tmp_path: Path, raw: Any) -> None:
    whole = build_store(read_source(animals), tmp_path / "a")
    parts = build_store(read_source(animals), tmp_path / "b", options=BuildOptions(shard_images=1))
    assert whole.fingerprint == parts.fingerprint
    assert parts.shards > whole.shards == 1
    texts = (animals / "train_texts.jsonl").read_text(encoding="utf-8")
    (animals / "train_texts.jsonl").write_text(texts.replace("一只猫", "一只貓"), encoding="utf-8")
    assert build_store(read_source(animals), tmp_path / "c").fingerprint != whole.fingerprint


def test_shards_are_cut_by_bytes_too(tmp_path: Path, raw: Any, open_store: Any) -> None:
    images = [(number, raw.draw(number) + b"\0" * 20_000) for number in range(40)]
    folder = raw.write_cn_clip(tmp_path / "d", images, [raw.text_row(1, "句", [7])])
    report = build_store(read_source(folder), tmp_path / "s", options=BuildOptions(shard_bytes=200_000))
    store = open_store(tmp_path / "s")
    assert report.shards == len(store.header.shards) >= 4
    assert all(shard.bytes <= 240_000 for shard in store.header.shards)
    assert [store.image(index).image for index in range(40)] == [data for _, data in images]


def test_a_row_per_pair_on_request(animals: Path, tmp_path: Path, open_store: Any) -> None:
    report = build_store(read_source(animals), tmp_path / "s", options=BuildOptions(text_rows="pairs"))
    assert (report.text_rows.written, report.texts, report.pairs, report.unlabelled_texts) == (5, 8, 7, 1)
    store = open_store(tmp_path / "s")
    assert list(store.text_ids()) == ["1", "2#1", "2#2", "3#1", "3#2", "3#3", "4", "5"]
    assert store.text(4).caption == "猫和狗"
    assert store.text(4).image_ids == ("12",)


def test_pair_rows_that_would_take_another_captions_id_are_rejected(tmp_path: Path, raw: Any) -> None:
    images = [(1, raw.draw(1)), (2, raw.draw(2))]
    texts = [
        raw.text_row("a#2", "先来", [1]),
        raw.text_row("a", "两张", [1, 2]),
        raw.text_row("a", "两张", [1, 2]),
    ]
    source = read_source(raw.write_cn_clip(tmp_path / "d", images, texts))
    options = BuildOptions(text_rows="pairs", on_bad="skip", max_bad_share=1)
    report = build_store(source, tmp_path / "s", options=options)
    assert report.reasons == {"duplicate id": 2}
    assert (report.text_rows.written, report.texts) == (1, 1)


def test_tables_that_repeat_a_picture_store_it_once_and_open_it_once(tmp_path: Path, raw: Any) -> None:
    for name in ("猫.png", "狗.png"):
        (tmp_path / name).write_bytes(raw.draw(len(name)) + name.encode())
    (tmp_path / "坏.png").write_bytes(b"BAD")
    rows = [
        ("猫.png", "猫"),
        ("狗.png", "狗"),
        ("猫.png", "白猫"),
        ("坏.png", "一"),
        ("坏.png", "二"),
        ("./猫.png", "三"),
    ]
    table = tmp_path / "t.csv"
    table.write_text("image,caption\n" + "".join(f"{a},{b}\n" for a, b in rows), encoding="utf-8")
    opened: list[bytes] = []

    def check(data: bytes) -> None:
        opened.append(data)
        refuse_marked(data)

    options = BuildOptions(on_bad="skip", max_bad_share=1, workers=3)
    report = build_store(read_source(table), tmp_path / "s", options=options, prepare=check)
    assert len(opened) == 3
    assert (report.image_rows.written, report.image_rows.rejected, report.image_rows.deduplicated) == (
        2,
        2,
        2,
    )
    assert (report.texts, report.text_rows.rejected, report.pairs) == (4, 2, 4)
    assert report.reasons == {"bad picture": 2, "picture rejected": 2}


def test_one_picture_under_an_id_of_two_files_is_compared_by_its_bytes(tmp_path: Path, raw: Any) -> None:
    for name, number in (("a.png", 1), ("b.png", 1), ("c.png", 2)):
        (tmp_path / name).write_bytes(raw.draw(number))
    table = tmp_path / "t.csv"
    table.write_text("image,image_id,caption\na.png,x,一\nb.png,x,二\nc.png,x,三\n", encoding="utf-8")
    options = BuildOptions(on_bad="skip", max_bad_share=1)
    report = build_store(read_source(table), tmp_path / "s", options=options)
    assert (report.image_rows.written, report.image_rows.deduplicated) == (1, 1)
    assert report.reasons == {"duplicate id": 1}


def test_a_filter_takes_part_of_a_table_and_is_remembered(tmp_path: Path, raw: Any, open_store: Any) -> None:
    (tmp_path / "a.png").write_bytes(raw.draw(1))
    table = tmp_path / "t.csv"
    table.write_text("image,caption,split\na.png,训练,train\na.png,验证,val\n", encoding="utf-8")
    options = SourceOptions(columns=TableColumns(where={"split": "val"}))
    build_store(read_source(table, options=options), tmp_path / "s")
    store = open_store(tmp_path / "s")
    assert list(store.captions()) == ["验证"]
    assert store.header.facts["source"] == {"kind": "table", "file": "t.csv", "where": {"split": "val"}}


def test_an_existing_store_stays_unless_overwriting_is_asked_for(
    animals: Path, animal_store: Path, tmp_path: Path, raw: Any, open_store: Any
) -> None:
    before = tree(animal_store)
    with pytest.raises(RefusedError, match="there already"):
        build_store(read_source(animals), animal_store)
    smaller = read_source(
        raw.write_cn_clip(tmp_path / "d", [("新", raw.draw(5))], [raw.text_row(1, "新", ["新"])])
    )
    bad = read_source(raw.write_cn_clip(tmp_path / "e", [("x", raw.draw(5))], [raw.text_row(1, "", ["x"])]))
    with pytest.raises(SourceError):
        build_store(bad, animal_store, options=BuildOptions(overwrite=True))
    assert tree(animal_store) == before
    build_store(smaller, animal_store, options=BuildOptions(overwrite=True))
    assert list(open_store(animal_store).image_ids()) == ["新"]


def test_a_folder_that_is_no_store_is_never_replaced(animals: Path, tmp_path: Path) -> None:
    precious = tmp_path / "家"
    precious.mkdir()
    (precious / "论文.txt").write_text("x")
    with pytest.raises(RefusedError, match="no store"):
        build_store(read_source(animals), precious, options=BuildOptions(overwrite=True))
    assert (precious / "论文.txt").exists()
    (tmp_path / "empty").mkdir()
    assert build_store(read_source(animals), tmp_path / "empty").images == 4


def test_a_request_to_stop_ends_the_build_with_nothing_under_its_name(animals: Path, tmp_path: Path) -> None:
    for stop_after in (0, 2, 4, 5, 8, 9, 10):
        steps: list[tuple[str, int]] = []
        target = tmp_path / "out" / "s"
        with pytest.raises(InterruptedRun) as caught:
            build_store(
                read_source(animals),
                target,
                options=BuildOptions(resume="fresh"),
                progress=lambda step, rows, share, steps=steps: steps.append((step, rows)),  # type: ignore[misc]
                should_stop=lambda steps=steps, limit=stop_after: len(steps) > limit,  # type: ignore[misc]
            )
        assert caught.value.exit_code == 75
        assert [path.name for path in target.parent.iterdir()] == ["s.incomplete"]
        with pytest.raises(StoreError, match="this store is not finished"):
            StoreReader(target)
        assert len(steps) == stop_after + 1


def test_a_source_that_changes_meanwhile_is_refused(animals: Path, tmp_path: Path) -> None:
    def append(step: str, rows: int, share: float | None) -> None:
        if (step, rows) == ("captions", 5):
            with open(animals / "train_imgs.tsv", "ab") as file:
                file.write(b"\n")

    with pytest.raises(SourceError, match="changed while it was read"):
        build_store(read_source(animals), tmp_path / "s", progress=append)
    assert not (tmp_path / "s").exists()


SLOW_BUILD = """
import sys, time
from cnclip.stores.raw import read_source
from cnclip.stores.writer import build_store
def wait(step, rows, share):
    if rows == 2:
        print("started", flush=True)
        time.sleep(60)
build_store(read_source(sys.argv[1]), sys.argv[2], progress=wait)
"""


def start_slow_build(source: Path, target: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_BUILD, str(source), str(target)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def test_a_second_builder_is_refused_and_a_dead_one_is_taken_over(
    animals: Path, tmp_path: Path, open_store: Any
) -> None:
    target = tmp_path / "out" / "s"
    process = start_slow_build(animals, target)
    try:
        with pytest.raises(ResourceError, match=f"process {process.pid} on"):
            build_store(read_source(animals), target)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not target.exists()
    assert (target.parent / "s.incomplete").is_dir()
    build_store(read_source(animals), target)
    assert sorted(path.name for path in target.parent.iterdir()) == ["s"]
    assert open_store(target).image_count == 4


@pytest.mark.parametrize("kills", [pytest.param(5), pytest.param(200, marks=pytest.mark.nightly)])
def test_a_killed_build_leaves_a_whole_store_or_none(
    tmp_path: Path, raw: Any, open_store: Any, kills: int
) -> None:
    images = [(number, raw.draw(number) + b"\0" * 3000) for number in range(600)]
    folder = raw.write_cn_clip(
        tmp_path / "d", images, [raw.text_row(number, "句", [number]) for number in range(600)]
    )
    code = (
        "import sys; from cnclip.stores.raw import read_source; from cnclip.stores.writer import *;"
        "r = read_source(sys.argv[1]); print('go', flush=True);"
        "build_store(r, sys.argv[2], options=BuildOptions(shard_images=100))"
    )
    for number in range(kills):
        target = tmp_path / "out" / f"s{number}"
        process = subprocess.Popen([sys.executable, "-c", code, folder, target], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.4 * (number + 0.5) / kills)
        process.kill()
        process.wait()
        if target.exists():
            store = open_store(target)
            store.verify()
            assert store.pair_count == 600
        else:
            with pytest.raises(StoreError):
                StoreReader(target)


def test_a_full_disk_is_named_and_the_build_goes_on_when_there_is_room(tmp_path: Path, raw: Any) -> None:
    images = [(number, os.urandom(50_000)) for number in range(60)]
    folder = raw.write_cn_clip(tmp_path / "d", images, [raw.text_row(1, "句", [1])])
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000));"
        "from cnclip.stores.raw import read_source; from cnclip.stores.writer import *\n"
        "from cnclip.errors import ResourceError; options = BuildOptions(note_events=7)\n"
        "try: build_store(read_source(sys.argv[1]), sys.argv[2], options=options)\n"
        "except ResourceError as error: print(error); sys.exit(error.exit_code)"
    )
    target = tmp_path / "out" / "s"
    done = subprocess.run([sys.executable, "-c", code, folder, target], capture_output=True, text=True)
    assert done.returncode == 5, done.stderr
    assert "GB free" in done.stdout
    assert [path.name for path in target.parent.iterdir()] == ["s.incomplete"]
    told: list[str] = []
    options = BuildOptions(note_events=7, resume="must")
    build_store(read_source(folder), target, options=options, say=told.append)
    assert [path.name for path in target.parent.iterdir()] == ["s"]
    assert re.search(r"(\d+) picture rows", told[0])[1] in ("14", "21", "28")  # type: ignore[index]
    build_store(read_source(folder), tmp_path / "other" / "s", options=BuildOptions(note_events=7))
    assert tree(target) == tree(tmp_path / "other" / "s")


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(RecipeError, match="max_bad_share"):
        BuildOptions(max_bad_share=1.5)
    with pytest.raises(RecipeError, match="workers"):
        BuildOptions(workers=0)


def test_a_folder_taken_for_captioned_pictures_must_have_a_caption(tmp_path: Path, raw: Any) -> None:
    folder = tmp_path / "图"
    folder.mkdir()
    (folder / "猫.png").write_bytes(raw.draw(1))
    with pytest.raises(SourceError, match="no picture has a caption") as caught:
        build_store(read_source(folder), tmp_path / "s")
    assert "--kind folder" in str(caught.value.fix) and not (tmp_path / "s").exists()
    assert build_store(read_source(folder, "folder"), tmp_path / "s").texts == 0
