"""`cnclip data build | stats | show` and their doors: what users see, and how the programs end."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import PIL
import pytest
from PIL import Image

from cnclip.commands import main
from cnclip.commands.data import build, show, stats
from cnclip.commands.data_options import conditions, shard_limits
from cnclip.errors import InterruptedRun, RecipeError, RefusedError, SourceError, UnknownNameError
from cnclip.stores.raw import read_source
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import BuildOptions, build_store

ROOT = Path(__file__).resolve().parents[2]


def draw(number: int, size: int = 16) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), (number % 256, number // 256, 200)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Twelve pictures with two captions each, in two splits."""
    folder = tmp_path / "数据"
    folder.mkdir()
    rows = []
    for number in range(12):
        (folder / f"图{number}.png").write_bytes(draw(number))
        captions = [f"第{number}只狗在草地上奔跑", "一只可爱的小猫𠮷" + "很长" * 30 * (number == 5)]
        split = "val" if number % 4 == 0 else "train"
        rows.append({"image": f"图{number}.png", "split": split, "captions": captions})
    path = folder / "captions.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def test_build_prints_the_account_the_vocabulary_and_the_next_command(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "仓库" / "train"
    assert main(["data", "build", str(table), str(store), "--where", "split=train"]) == 0
    shown = capsys.readouterr().out
    assert f"{store}: 9 pictures, 18 captions, 18 pairs" in shown
    assert "picture rows: 9 read = 9 written + 0 rejected + 0 deduplicated" in shown
    assert "caption rows: 18 read = 18 written + 0 rejected + 0 deduplicated" in shown
    assert "captions truncated 5.56%" in shown
    assert "[UNK] tokens" in shown
    assert "草地 9" in shown
    assert shown.rstrip().splitlines()[-1].startswith("next: cnclip train ")
    assert str(store) in shown.splitlines()[-1]
    with StoreReader(store) as reader:
        assert reader.header.facts["source"]["where"] == {"split": "train"}


def test_bad_rows_end_with_exit_code_3_and_all_of_them_listed(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (table.parent / "图3.png").write_bytes(draw(3)[:-30])
    (table.parent / "图4.png").write_bytes(b"<html>404</html>")
    with open(table, "a", encoding="utf-8") as file:
        file.write('{"image": "图1.png", "caption": " "}\n')
    store = tmp_path / "store"
    assert main(["data", "build", str(table), str(store)]) == 3
    shown = capsys.readouterr().err
    assert "a table by its name" in shown and "\nerror[E300]: " in shown
    for place in (
        "captions.jsonl:4 [图3.png]",
        "captions.jsonl:5 [图4.png]",
        "captions.jsonl:13 [13] empty caption",
    ):
        assert place in shown
    assert "fix: mend the rows listed in" in shown
    assert not store.exists()
    rejects = (tmp_path / "store.rejects.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(row)["where"] for row in rejects][:2] == ["captions.jsonl:4", "captions.jsonl:5"]


def test_bad_rows_are_left_out_on_request_and_said(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (table.parent / "图3.png").write_bytes(b"")
    store = tmp_path / "store"
    with pytest.raises(SourceError, match=r"allowed 0\.01"):
        build(table, store, on_bad="skip")
    assert build(table, store, on_bad="skip", max_bad_share=0.1) == 0
    shown = capsys.readouterr().out
    assert "picture rows: 12 read = 11 written + 1 rejected + 0 deduplicated" in shown
    assert (
        f"rejected: picture rejected 2, empty picture file 1; all of them in {store / 'rejects.jsonl'}"
        in shown
    )


def test_shards_of_any_size_hold_the_same_content(table: Path, tmp_path: Path) -> None:
    fingerprints = set()
    for number, size in enumerate(("4GB", "5images", "5KB")):
        build(table, tmp_path / str(number), shard_size=size, workers=number)
        with StoreReader(tmp_path / str(number)) as reader:
            fingerprints.add(reader.fingerprint)
            assert (len(reader.header.shards) > 1) == (number > 0)
    assert len(fingerprints) == 1


def test_sizes_and_conditions_are_read_or_refused() -> None:
    assert shard_limits("512MB") == (512 << 20, None)
    assert shard_limits(" 1.5 gb ") == (3 << 29, None)
    assert shard_limits("10000images")[1] == 10000
    for wrong in ("", "12", "-1GB", "0images", "1.5images", "４GB", "GB"):
        with pytest.raises(RecipeError, match="--shard-size"):
            shard_limits(wrong)
    assert conditions(None) == {}
    assert conditions("split=train, 语言=中文") == {"split": "train", "语言": "中文"}
    for wrong in ("split", "=x", "a=b,,"):
        with pytest.raises(RecipeError, match="--where"):
            conditions(wrong)


def test_stats_shows_what_is_there_and_verifies(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    build(table, store)
    capsys.readouterr()
    assert stats(store, verify=True, samples=2) == 0
    shown = capsys.readouterr().out
    assert "all files equal their sha256" in shown
    assert "12 pictures, 24 captions, 24 pairs" in shown
    assert "captions per picture: 2 to 2, mean 2.00" in shown
    assert "pair 12: [图6.png] 第6只狗在草地上奔跑" in shown
    with open(store / "shard-00000" / "data.mdb", "r+b") as file:
        file.seek(-5, os.SEEK_END)
        file.write(b"?")
    assert main(["data", "stats", str(store), "--verify", "true"]) == 4
    assert "sha256" in capsys.readouterr().err


def test_show_finds_pictures_and_captions_by_id_and_number(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    build(table, store)
    capsys.readouterr()
    saved = tmp_path / "out" / "图.png"
    assert show(store, "图7.png", save=saved) == 0
    shown = capsys.readouterr().out
    assert "16 x 16" in shown
    assert "captions.jsonl:8" in shown
    assert "[8#1] 第7只狗在草地上奔跑" in shown
    assert saved.read_bytes() == draw(7)
    assert show(store, "8#2") == 0
    assert "picture 图7.png" in capsys.readouterr().out
    assert show(store, "3", kind="text", by="index") == 0
    assert "[2#2]" in capsys.readouterr().out
    with pytest.raises(UnknownNameError, match=r"no picture or caption with the id '没有'\n.*\n.*图0\.png"):
        show(store, "没有")
    assert main(["data", "show", str(store), "99", "--by", "index"]) == 2


def test_doors_do_what_the_verbs_do_from_any_folder(table: Path, tmp_path: Path) -> None:
    def run(door: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "data_tools" / door), *words]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    done = run("build_store.py", str(table), "store", "--where", "split=val")
    assert done.returncode == 0, done.stderr
    assert "3 pictures, 6 captions" in done.stdout
    assert "3 pictures, 6 captions" in run("inspect_store.py", "stats", "store").stdout
    assert "第4只狗" in run("inspect_store.py", "show", "store", "图4.png").stdout
    again = run("build_store.py", str(table), "store")
    assert (again.returncode, again.stderr.count("Traceback")) == (8, 0)
    assert "--overwrite true" in again.stderr
    assert run("build_store.py", "--help").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_build_with_75_and_nothing_under_its_name(
    tmp_path: Path, number: signal.Signals
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    data = draw(1, size=512)
    for name in range(4000):
        (folder / f"{name}.png").write_bytes(data)
    out = tmp_path / "out"
    out.mkdir()
    command = [sys.executable, str(ROOT / "data_tools" / "build_store.py"), str(folder), str(out / "store")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (out / "store.incomplete" / "store" / "shard-00000").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    _, shown = process.communicate(timeout=60)
    assert process.returncode == 75, shown
    assert "error[E750]: stopped on request" in shown
    assert "Traceback" not in shown
    assert [path.name for path in out.iterdir()] == ["store.incomplete"]
    assert f"what is done is kept in {out / 'store.incomplete'}" in shown


def test_a_build_that_was_stopped_says_how_much_of_it_is_done(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "仓"
    with pytest.raises(InterruptedRun):
        build_store(
            read_source(table),
            store,
            options=BuildOptions(shard_bytes=shard_limits("4GB")[0]),
            should_stop=lambda: True,
        )
    assert main(["data", "build", str(table), str(store), "--shard-size", "5images"]) == 8
    assert "options.shard_images: None there, 5 now" in capsys.readouterr().err
    assert main(["data", "build", str(table), str(store)]) == 0
    assert "the unfinished build" in capsys.readouterr().err
    assert main(["data", "build", str(table), str(store), "--overwrite", "true", "--resume", "must"]) == 8


def test_pictures_are_made_smaller_once_on_request(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.effect_noise((300, 150), 60).save(table.parent / "图3.png")
    assert build(table, tmp_path / "仓", max_side=100, quality=80) == 0
    with StoreReader(tmp_path / "仓") as reader:
        pictures = [Image.open(io.BytesIO(reader.image(index).image)) for index in range(reader.image_count)]
        assert [picture.size for picture in pictures] == [(16, 16)] * 3 + [(100, 50)] + [(16, 16)] * 8
        assert [picture.format for picture in pictures].count("JPEG") == 1
        assert reader.image(0).image == (table.parent / "图0.png").read_bytes()
        facts = reader.header.facts["options"]["pictures"]
    assert facts == {"max_side": 100, "quality": 80, "pillow": PIL.__version__}
    with pytest.raises(RecipeError, match="quality"):
        build(table, tmp_path / "b", quality=80)
    with pytest.raises(RecipeError, match="quality"):
        build(table, tmp_path / "b", max_side=100, quality=0)


def test_a_source_is_built_and_parted_by_one_command(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [json.loads(line) for line in table.read_text(encoding="utf-8").splitlines()]
    for number, row in enumerate(rows):  # no caption twice, or all would have to stay together
        Image.effect_noise((64, 64), 10 + 9 * number).save(table.parent / row["image"])
        row["captions"] = [f"第{number}张", f"编号{number}"]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    table.write_text(text + '{"image": "缺.png", "caption": "没有图"}\n', encoding="utf-8")
    prefix = tmp_path / "out" / "仓"
    options = ["--shares", "0.5,0.25,0.25", "--on-bad", "skip", "--max-bad-share", "0.2"]
    assert main(["data", "build", str(table), str(prefix), *options]) == 0
    names = ["仓-test", "仓-train", "仓-valid", "仓.rejects.jsonl"]
    assert sorted(path.name for path in prefix.parent.iterdir()) == names
    counts = {}
    for name in names[:3]:
        with StoreReader(prefix.parent / name) as reader:
            counts[name] = (reader.image_count, reader.text_count)
    assert counts == {"仓-train": (6, 12), "仓-valid": (3, 6), "仓-test": (3, 6)}
    assert main(["data", "build", str(table), str(prefix), *options]) == 8
    assert main(["data", "build", str(table), str(prefix), "--shares", "0.5,0.4"]) == 2


def test_a_parting_that_was_stopped_goes_on_with_the_whole_store(table: Path, tmp_path: Path) -> None:
    prefix = tmp_path / "out" / "仓"
    for number in range(12):
        (table.parent / f"图{number}.png").write_bytes(draw(1))  # equal ones stay together
    with pytest.raises(SourceError, match="gets no picture"):
        build(table, prefix, shares="0.5,0.25,0.25")
    assert [path.name for path in prefix.parent.iterdir()] == ["仓.incomplete"]
    with pytest.raises(SourceError, match="part 2 of 2 gets no picture"):
        build(table, prefix, shares="0.9,0.1", resume="must")
    (table.parent / "图3.png").write_bytes(draw(99))
    with pytest.raises(RefusedError, match="unfinished build"):
        build(table, prefix, shares="0.5,0.25,0.25", where="split=val")
    (table.parent / "图3.png").write_bytes(b"")
    with pytest.raises(SourceError, match="empty picture file"):
        build(table, prefix, shares="0.5,0.25,0.25", resume="fresh")
    assert [path.name for path in prefix.parent.iterdir()] == ["仓.rejects.jsonl"]
