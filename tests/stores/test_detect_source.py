"""What a path is taken for, and what is said where it is nothing known or several things."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cnclip.errors import SourceError
from cnclip.stores.raw import SourceOptions, detect, read_source
from cnclip.stores.raw.columns import TableColumns


def test_each_kind_is_known_by_its_files(tmp_path: Path, animals: Path, raw: Any) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.png").write_bytes(raw.draw(1))
    (photos / "a.txt").write_text("猫", encoding="utf-8")
    (photos / "table.csv").write_text("image,caption\n", encoding="utf-8")
    found = {
        "cn_clip": detect(animals),
        "folder": detect(photos),
        "table": detect(photos / "table.csv"),
        "webdataset": detect(raw.write_tar(tmp_path / "x.tar", [("a.jpg", b"x")])),
        "lmdb": detect(raw.write_lmdb(tmp_path / "lmdb", animals)),
    }
    assert {kind: detected.kind for kind, detected in found.items()} == {kind: kind for kind in found}
    assert found["cn_clip"].why == "files of the splits train"
    assert found["lmdb"].why == "imgs/data.mdb and pairs/data.mdb"


def test_files_win_over_the_lmdb_that_was_made_of_them(animals: Path, raw: Any) -> None:
    raw.write_lmdb(animals / "lmdb", animals)
    assert detect(animals).kind == "cn_clip"
    assert read_source(animals, "lmdb").facts["kind"] == "lmdb"
    assert detect(animals / "lmdb").kind == "lmdb"


def test_two_kinds_in_one_folder_are_both_named(animals: Path, raw: Any) -> None:
    raw.write_tar(animals / "00000.tar", [("a.jpg", b"x")])
    with pytest.raises(SourceError) as caught:
        detect(animals)
    assert (
        "cn_clip: files of the splits train; webdataset: 1 tar archives, such as 00000.tar"
        in caught.value.what
    )
    assert caught.value.fix == "--kind cn_clip or --kind webdataset"
    assert read_source(animals, "cn_clip").facts["kind"] == "cn_clip"


@pytest.mark.parametrize(
    ("name", "data", "seen"),
    [
        ("a.rar", b"Rar!\x1a\x07", "begins with b'Rar!"),
        ("a.bin", b"", "is empty"),
        ("a.json", b"{}", "begins with"),
        ("a.json", b"[1]", "begins with"),
        ("a.json", json.dumps({"images": []}).encode(), "begins with"),
        ("a.txt", "一只猫".encode(), "begins with"),
    ],
)
def test_what_is_not_known_is_shown_with_what_would_be(
    tmp_path: Path, name: str, data: bytes, seen: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SourceError, match=f"not a known source: {name}") as caught:
        read_source(tmp_path / name)
    assert seen in caught.value.what
    assert caught.value.fix is not None and "*.parquet" in caught.value.fix


def test_a_cut_parquet_file_is_called_cut(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1" * 9 + b"cut")
    with pytest.raises(SourceError, match="the Parquet file is cut") as caught:
        read_source(tmp_path / "a.parquet")
    assert caught.value.fix == "copy or download it again"


def test_many_sidecar_files_are_not_opened_to_find_out(tmp_path: Path, raw: Any) -> None:
    for number in range(70):
        (tmp_path / f"{number}.png").write_bytes(raw.draw(number))
        (tmp_path / f"{number}.txt").write_text(f"a{number}.jpg#0 猫", encoding="utf-8")
    assert detect(tmp_path).kind == "folder"


@pytest.mark.parametrize(
    ("kind", "options", "what"),
    [
        ("webdataset", SourceOptions(split="train"), "--split does not belong to a webdataset source"),
        ("coco", SourceOptions(columns=TableColumns(caption="x")), "do not belong to a coco source"),
        ("lmdb", SourceOptions(columns=TableColumns(image_root=Path("/"))), "do not belong to a lmdb source"),
    ],
)
def test_options_that_mean_nothing_for_a_kind_are_refused(
    tmp_path: Path, kind: Any, options: SourceOptions, what: str
) -> None:
    with pytest.raises(SourceError, match=what):
        read_source(tmp_path, kind, options=options)


def test_every_kind_that_is_forced_on_an_empty_folder_says_what_it_misses(tmp_path: Path) -> None:
    for kind in ("cn_clip", "lmdb", "classes", "table", "coco", "flickr", "webdataset", "parquet"):
        with pytest.raises(Exception) as caught:
            read_source(tmp_path, kind)  # type: ignore[arg-type]
        assert getattr(caught.value, "fix", None), kind


@pytest.mark.parametrize("form", ["tar", "files"])
def test_the_tables_that_img2dataset_leaves_beside_its_output_are_passed_over(
    tmp_path: Path, raw: Any, form: str
) -> None:
    members = [("000000000.jpg", raw.draw(1)), ("000000000.txt", "猫".encode()), ("000000000.json", b"{}")]
    if form == "tar":
        raw.write_tar(tmp_path / "00000.tar", members)
    else:
        (tmp_path / "00000").mkdir()
        for name, data in members:
            (tmp_path / "00000" / name).write_bytes(data)
    (tmp_path / "00000.parquet").write_bytes(b"PAR1")
    (tmp_path / "00000_stats.json").write_text("{}")
    assert detect(tmp_path).kind == ("webdataset" if form == "tar" else "folder")
    images, texts, bad = raw.read_all(read_source(tmp_path))
    assert [text.caption for text in texts] == ["猫"]
    assert len(images) == 1
    assert bad == []


def test_a_folder_without_pictures_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("a.txt", "deep/b.txt", "deep/c.doc"):
        (tmp_path / name).write_text("x")
    with pytest.raises(SourceError, match=r"the folder holds 2 \.txt, 1 \.doc"):
        detect(tmp_path)
