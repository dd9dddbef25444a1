"""A build that was stopped, killed or refused room goes on, and its store is the same byte for byte."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cnclip.errors import ImageError, InterruptedRun, RefusedError, SourceError, StoreError
from cnclip.stores.raw import SourceOptions, read_source
from cnclip.stores.raw.table import TableColumns
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import BuildOptions, build_store

OFTEN = BuildOptions(on_bad="skip", max_bad_share=1, note_events=5, shard_images=17, workers=2)


def tree(folder: Path) -> dict[str, str]:
    """Name -> sha256 of every file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def refuse_marked(data: bytes) -> bytes | None:
    """A stand-in for what a build does to pictures: refuses some, changes some, keeps the rest."""
    if data.startswith(b"BAD"):
        raise ImageError("the file is cut off")
    return b"changed" + data if b"CHANGE" in data else None


@pytest.fixture
def messy(tmp_path: Path, raw: Any) -> Path:
    """All that can become of a row: pictures and captions good, repeated, bad and dangling."""
    images: list[tuple[Any, bytes]] = [
        (f"图{number}", raw.draw(number) + b"CHANGE" * (number % 7 == 0) + b"\0" * (number * 97 % 5000))
        for number in range(40)
    ]
    images[10:10] = [images[3], ("坏", b"BAD"), ("坏", b"BAD"), ("图4", b"another")]
    texts = [raw.text_row(n, f"第{n % 9}句，图{n}", [f"图{n % 40}", f"图{n * 3 % 40}"]) for n in range(50)]
    texts[20:20] = [
        raw.text_row(1, "另一句", ["图1"]),
        raw.text_row("空", " ", ["图1"]),
        raw.text_row("半", "一半", ["图1", "坏"]),
        raw.text_row("无", "没有图", []),
    ]
    return raw.write_cn_clip(tmp_path / "messy", images, texts)


def stop_after(source: Path, target: Path, ticks: int, options: BuildOptions) -> None:
    """Build until so many rows are dealt with."""
    met = 0

    def asked() -> bool:
        nonlocal met
        met += 1
        return met >= ticks

    with pytest.raises(InterruptedRun):
        build_store(read_source(source), target, prepare=refuse_marked, options=options, should_stop=asked)


@pytest.mark.parametrize("text_rows", ["source", "pairs"])
def test_a_build_stopped_anywhere_goes_on_to_the_same_bytes(
    messy: Path, tmp_path: Path, text_rows: Any
) -> None:
    options = replace(OFTEN, text_rows=text_rows)
    whole = build_store(read_source(messy), tmp_path / "a" / "s", prepare=refuse_marked, options=options)
    assert whole.image_rows.rejected == 3 and whole.text_rows.rejected == 2 and whole.shards == 3
    expected = tree(tmp_path / "a" / "s")
    rows = whole.image_rows.rows_in + whole.text_rows.rows_in
    for ticks in range(1, rows, 12):
        target = tmp_path / "b" / "s"
        stop_after(messy, target, ticks, options)
        report = build_store(read_source(messy), target, prepare=refuse_marked, options=options)
        assert tree(target) == expected, ticks
        assert report == replace(whole, path=target, rejects=target / "rejects.jsonl")
        assert [path.name for path in target.parent.iterdir()] == ["s"]
        shutil.rmtree(target)


def test_a_build_stopped_many_times_with_other_numbers_of_threads_gives_the_same_bytes(
    messy: Path, tmp_path: Path
) -> None:
    build_store(read_source(messy), tmp_path / "a" / "s", prepare=refuse_marked, options=OFTEN)
    target, told = tmp_path / "b" / "s", []
    for workers, ticks in ((1, 20), (3, 40), (2, 55), (5, 30)):
        stop_after(messy, target, ticks, replace(OFTEN, workers=workers))
    build_store(read_source(messy), target, prepare=refuse_marked, options=OFTEN, say=told.append)
    assert tree(target) == tree(tmp_path / "a" / "s")
    assert "44 picture rows and 30 caption rows" in told[0]


def test_pictures_that_are_done_are_not_looked_at_again(messy: Path, tmp_path: Path) -> None:
    looked: list[bytes] = []

    def count(data: bytes) -> None:
        looked.append(data)
        refuse_marked(data)

    stop_after(messy, tmp_path / "s", 30, OFTEN)
    build_store(read_source(messy), tmp_path / "s", prepare=count, options=OFTEN)
    assert len(looked) == 44 - 30


def test_another_source_or_another_option_is_refused_by_name(messy: Path, tmp_path: Path) -> None:
    target = tmp_path / "s"
    stop_after(messy, target, 60, OFTEN)
    with pytest.raises(RefusedError, match=r"options\.shard_images: 17 there, 18 now") as caught:
        build_store(read_source(messy), target, options=replace(OFTEN, shard_images=18))
    assert "--resume fresh" in str(caught.value)
    with open(messy / "train_imgs.tsv", "ab") as file:
        file.write(b"\n")
    with pytest.raises(RefusedError, match=r"inputs\.0: \['train_imgs\.tsv', \d+, \d+\] there"):
        build_store(read_source(messy), target, options=OFTEN)
    assert (tmp_path / "s.incomplete").is_dir()
    fresh = replace(OFTEN, resume="fresh")
    assert build_store(read_source(messy), target, prepare=refuse_marked, options=fresh).images == 40


def test_going_on_may_be_demanded(messy: Path, tmp_path: Path) -> None:
    must = replace(OFTEN, resume="must")
    with pytest.raises(RefusedError, match="no unfinished build"):
        build_store(read_source(messy), tmp_path / "s", prepare=refuse_marked, options=must)
    stop_after(messy, tmp_path / "s", 60, OFTEN)
    with pytest.raises(StoreError, match="stopped"):
        StoreReader(tmp_path / "s")
    assert build_store(read_source(messy), tmp_path / "s", prepare=refuse_marked, options=must).images == 40


def test_a_refused_source_leaves_only_the_list_of_its_rows(messy: Path, tmp_path: Path) -> None:
    target = tmp_path / "out" / "s"
    strict = replace(OFTEN, on_bad="fail", max_bad_share=0)
    stop_after(messy, target, 60, strict)
    with pytest.raises(SourceError, match="6 bad rows among 98"):
        build_store(read_source(messy), target, prepare=refuse_marked, options=strict)
    assert [path.name for path in target.parent.iterdir()] == ["s.rejects.jsonl"]


def test_what_a_user_put_into_the_folder_is_never_swept_away(messy: Path, tmp_path: Path) -> None:
    stop_after(messy, tmp_path / "s", 60, OFTEN)
    (tmp_path / "s.incomplete" / "论文.txt").write_text("x")
    with pytest.raises(RefusedError, match=r"论文\.txt"):
        build_store(read_source(messy), tmp_path / "s", options=replace(OFTEN, resume="fresh"))
    assert (tmp_path / "s.incomplete" / "论文.txt").exists()


@pytest.mark.parametrize(
    "damage", ["scratch/data.mdb", "store/pair_images.i64", "store/rejects.jsonl", "store/shard-00000"]
)
def test_a_damaged_unfinished_build_says_how_to_begin_anew(messy: Path, tmp_path: Path, damage: str) -> None:
    stop_after(messy, tmp_path / "s", 80, OFTEN)
    path = tmp_path / "s.incomplete" / damage
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.write_bytes(b"\1" * 50 if path.suffix == ".mdb" else b"")
    with pytest.raises(StoreError, match="--resume fresh"):
        build_store(read_source(messy), tmp_path / "s", prepare=refuse_marked, options=OFTEN)


def test_a_build_killed_while_it_takes_its_name_is_finished(messy: Path, tmp_path: Path) -> None:
    target = tmp_path / "b" / "s"
    build_store(read_source(messy), tmp_path / "a" / "s", prepare=refuse_marked, options=OFTEN)
    stop_after(messy, target, 80, OFTEN)
    (target.parent / "s.incomplete" / "store" / "header.json").write_text("{}")  # of an end that was cut off
    (target.parent / "s.incomplete" / "store" / "image_starts.i64").write_bytes(b"x")
    build_store(read_source(messy), target, prepare=refuse_marked, options=OFTEN)
    assert tree(target) == tree(tmp_path / "a" / "s")
    (target.parent / "s.incomplete" / "scratch").mkdir(parents=True)  # killed between renaming and tidying up
    (target.parent / "s.incomplete" / "build.json").write_text("{}")
    with pytest.raises(RefusedError, match="there already"):
        build_store(read_source(messy), target, options=OFTEN)
    assert [path.name for path in target.parent.iterdir()] == ["s"]


BUILD = """
import sys
from cnclip.stores.raw import SourceOptions, read_source
from cnclip.stores.raw.table import TableColumns
from cnclip.stores.writer import BuildOptions, build_store
print("go", flush=True)
options = BuildOptions(shard_images=150, note_events=20, workers=int(sys.argv[3]))
build_store(read_source(sys.argv[1]), sys.argv[2], options=options)
"""


@pytest.mark.parametrize("kills", [pytest.param(6), pytest.param(100, marks=pytest.mark.nightly)])
def test_builds_killed_at_random_moments_end_with_the_same_bytes(
    tmp_path: Path, raw: Any, kills: int
) -> None:
    images = [(number, raw.draw(number) + b"\0" * 3000) for number in range(400)]
    texts = [raw.text_row(number, "句", [number]) for number in range(400)]
    folder = raw.write_cn_clip(tmp_path / "d", images, texts)

    def start(target: Path, number: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", BUILD, str(folder), str(target), str(1 + number % 3)]
        seed = {**os.environ, "PYTHONHASHSEED": str(number)}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=seed)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    began = time.monotonic()
    assert start(tmp_path / "a" / "s", 0).wait() == 0
    seconds = time.monotonic() - began
    expected = tree(tmp_path / "a" / "s")
    target, moments = tmp_path / "b" / "s", random.Random(5)
    for number in range(kills):
        process = start(target, number)
        time.sleep(moments.uniform(0, 0.8 * seconds))
        process.kill()
        process.communicate()
        if target.exists():
            assert tree(target) == expected
            shutil.rmtree(target)
        else:
            with pytest.raises(StoreError):
                StoreReader(target)
    process = start(target, 1)
    assert process.wait() == 0 or b"there already" in process.communicate()[1]
    assert tree(target) == expected
    assert sorted(path.name for path in target.parent.iterdir()) == ["s"]


def test_the_notes_are_plain_json(messy: Path, tmp_path: Path) -> None:
    stop_after(messy, tmp_path / "s", 60, OFTEN)
    plan = json.loads((tmp_path / "s.incomplete" / "build.json").read_text(encoding="utf-8"))
    assert plan["source"] == {"kind": "cn_clip", "files": ["train_imgs.tsv", "train_texts.jsonl"]}
    assert plan["options"]["note_events"] == 5


def table_with_two_captions(folder: Path, raw: Any) -> Path:
    folder.mkdir()
    for number in range(40):
        (folder / f"{number}.png").write_bytes(raw.draw(number))
    rows = [{"image": f"{n}.png", "标题": f"第{n}个标题", "备注": f"第{n}条备注"} for n in range(40)]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "rows.jsonl").write_text(lines, encoding="utf-8")
    return folder / "rows.jsonl"


def test_captions_of_another_column_are_not_mixed_into_a_build(tmp_path: Path, raw: Any) -> None:
    path, target = table_with_two_captions(tmp_path / "t", raw), tmp_path / "s"
    titles, notes = (
        read_source(path, options=SourceOptions(columns=TableColumns(caption=name)))
        for name in ("标题", "备注")
    )
    left = iter(range(64))
    with pytest.raises(InterruptedRun):
        build_store(titles, target, options=OFTEN, should_stop=lambda: next(left, None) is None)
    with pytest.raises(RefusedError, match="began with other rows") as caught:
        build_store(notes, target, options=OFTEN)
    assert "--resume fresh" in str(caught.value.fix) and (tmp_path / "s.incomplete").is_dir()
    build_store(titles, target, options=OFTEN)
    with StoreReader(target) as reader:
        assert list(reader.captions()) == [f"第{n}个标题" for n in range(40)]


@pytest.mark.parametrize("change", ["a picture goes", "a picture comes", "the last ones go"])
def test_a_folder_that_changed_meanwhile_is_told(tmp_path: Path, raw: Any, change: str) -> None:
    folder, target = tmp_path / "图", tmp_path / "s"
    folder.mkdir()
    for number in range(30):
        (folder / f"{number:03}.png").write_bytes(raw.draw(number))
        (folder / f"{number:03}.txt").write_text(f"第{number}张", encoding="utf-8")
    left = iter(range(24))
    with pytest.raises(InterruptedRun):
        build_store(read_source(folder), target, options=OFTEN, should_stop=lambda: next(left, None) is None)
    if change == "a picture comes":
        (folder / "000b.png").write_bytes(raw.draw(77))
    else:
        for number in [3] if change == "a picture goes" else range(5, 30):
            (folder / f"{number:03}.png").unlink()
    with pytest.raises(RefusedError, match="began with other rows"):
        build_store(read_source(folder), target, options=OFTEN)
    build_store(read_source(folder), target, options=replace(OFTEN, resume="fresh"))
    with StoreReader(target) as reader:
        assert sorted(reader.image_ids()) == sorted(file.name for file in folder.glob("*.png"))
