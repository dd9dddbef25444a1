"""cn_clip's LMDB: read in place as its builder wrote it; lies, leftovers and hostile pickles are named."""

from __future__ import annotations

import base64
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb
import pytest

from cnclip.errors import RefusedError, SourceError, StoreError
from cnclip.stores.raw import SourceOptions, read_source
from cnclip.stores.raw.pickled import read_pickle
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import build_store

TRICKY = bytes([0xFB, 0xEF, 0xBE, 0xFF, 0xFE]) * 3


def put(root: Path, part: str, **records: Any) -> None:
    """Change records; None deletes."""
    environment = lmdb.open(str(root / part))
    with environment.begin(write=True) as transaction:
        for key, value in records.items():
            name = key.lstrip("_").encode()
            if value is None:
                transaction.delete(name)
            else:
                transaction.put(name, value)
    environment.close()


@pytest.fixture
def original(animals: Path, tmp_path: Path, raw: Any) -> Path:
    return raw.write_lmdb(tmp_path / "datasets" / "lmdb", animals)


def test_pairs_become_captions_with_their_pictures_again(original: Path, raw: Any) -> None:
    images, texts, bad = raw.read_all(read_source(original))
    assert [image.image_id for image in images] == ["11", "12", "13", "14"]
    assert images[2].image == raw.draw(13)
    assert [(text.text_id, text.caption, text.image_ids) for text in texts] == [
        ("1", "一只猫", ("11",)),
        ("2", "两只狗在草地上", ("12", "13")),
        ("3", "猫和狗", ("11", "12", "13")),
        ("5", "１２３，“全角”與繁體🐼𠮷", ("14",)),
    ]
    assert texts[1].where == "pairs/1"
    assert bad == []


def test_the_folder_of_splits_and_the_folder_above_are_understood(
    original: Path, animals: Path, raw: Any
) -> None:
    expected = raw.read_all(read_source(original))[1]
    assert raw.read_all(read_source(original.parent))[1] == expected
    assert raw.read_all(read_source(original.parent.parent))[1] == expected
    for file in animals.iterdir():
        (animals / file.name.replace("train", "valid")).write_bytes(file.read_bytes())
    raw.write_lmdb(original.parent, animals, "valid")
    with pytest.raises(SourceError) as caught:
        read_source(original.parent)
    assert caught.value.fix == "--split train or --split valid"
    chosen = read_source(original.parent, options=SourceOptions(split="valid"))
    assert raw.read_all(chosen)[1] == expected


def test_ten_and_more_pairs_come_in_the_order_in_which_they_were_written(tmp_path: Path, raw: Any) -> None:
    folder = raw.write_cn_clip(
        tmp_path / "many",
        [(number, raw.draw(number)) for number in range(30)],
        [raw.text_row(number, f"第{number}句", [29 - number]) for number in range(30)],
    )
    _, texts, bad = raw.read_all(read_source(raw.write_lmdb(tmp_path / "lmdb", folder)))
    assert [text.text_id for text in texts] == [str(number) for number in range(30)]
    assert bad == []


def test_it_is_read_in_slices_without_a_difference(
    original: Path, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = raw.read_all(read_source(original))
    monkeypatch.setattr("cnclip.stores.raw.lmdb_records._SLICE_BYTES", 1)
    monkeypatch.setattr("cnclip.stores.raw.lmdb_records._SLICE_RECORDS", 2)
    sliced = raw.read_all(read_source(original))
    assert [(image.image_id, image.image) for image in sliced[0]] == [
        (image.image_id, image.image) for image in whole[0]
    ]
    assert sliced[1:] == whole[1:]


def test_an_lmdb_without_write_permission_is_read_and_left_as_it_was(original: Path, raw: Any) -> None:
    before = sorted((file.name, file.stat().st_mtime_ns) for file in original.rglob("*.mdb"))
    for folder in (original / "imgs", original / "pairs"):
        (folder / "lock.mdb").unlink()
        folder.chmod(0o555)
    try:
        assert len(raw.read_all(read_source(original))[0]) == 4
    finally:
        for folder in (original / "imgs", original / "pairs"):
            folder.chmod(0o755)
    after = sorted((file.name, file.stat().st_mtime_ns) for file in original.rglob("*.mdb"))
    assert [entry for entry in before if entry[0] == "data.mdb"] == after


def test_both_alphabets_of_base64_are_read_and_rubbish_is_named_by_its_key(original: Path, raw: Any) -> None:
    put(original, "imgs", _11=base64.urlsafe_b64encode(TRICKY), _12=base64.b64encode(TRICKY), _13=b"QUJ!")
    images, _, bad = raw.read_all(read_source(original))
    assert [image.image for image in images[:2]] == [TRICKY, TRICKY]
    assert [(row.where, row.id, row.reason.partition(":")[0]) for row in bad] == [
        ("imgs/13", "13", "bad base64")
    ]


@pytest.mark.parametrize(
    ("part", "changes", "where", "reason"),
    [
        ("pairs", {"num_samples": b"5"}, "pairs/5", "stale pair: num_samples is 5"),
        ("pairs", {"num_samples": b"9"}, "pairs/num_samples", "missing pairs: num_samples says 9, number 7"),
        ("pairs", {"num_samples": b"9" * 18}, "pairs/num_samples", "missing pairs: num_samples says 99999"),
        ("pairs", {"num_samples": None}, "pairs/num_samples", "bad num_samples: no such key"),
        ("pairs", {"num_samples": b"-1"}, "pairs/num_samples", "bad num_samples: it is b'-1'"),
        ("pairs", {"_3": None}, "pairs/num_samples", "missing pairs: num_samples says 7, number 3"),
        ("imgs", {"num_images": b"3"}, "imgs/num_images", "stale pictures: num_images says 3, found 4"),
        ("imgs", {"num_images": b"5"}, "imgs/num_images", "missing pictures: num_images says 5, found 4"),
        ("imgs", {"num_images": b"many"}, "imgs/num_images", "bad num_images: it is b'many'"),
    ],
)
def test_counters_that_lie_are_reported(
    original: Path, raw: Any, part: str, changes: dict[str, Any], where: str, reason: str
) -> None:
    put(original, part, **changes)
    images, texts, bad = raw.read_all(read_source(original))
    assert (bad[0].where, bad[0].reason[: len(reason)]) == (where, reason)
    assert len(images) == 4
    stale = changes.get("num_samples") == b"5"
    assert len(bad) == (2 if stale else 1)
    assert sum(len(text.image_ids) for text in texts) == {b"5": 5}.get(
        changes.get("num_samples"), 6 if "_3" in changes else 7
    )


def test_a_pair_whose_picture_is_missing_is_named_by_the_build(original: Path, tmp_path: Path) -> None:
    put(original, "imgs", _14=None, num_images=b"3")
    with pytest.raises(SourceError, match=r"pairs/6 \[5\] dangling id: the source has no picture '14'"):
        build_store(read_source(original), tmp_path / "store")


class Bomb:
    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (self.marker,)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_pickle_that_calls_something_is_refused_and_nothing_runs(
    original: Path, tmp_path: Path, protocol: int
) -> None:
    marker = tmp_path / "was-here"
    put(original, "pairs", _1=pickle.dumps((12, 2, Bomb(str(marker))), protocol))
    with pytest.raises(RefusedError, match="nothing of it was run") as caught:
        build_store(read_source(original), tmp_path / "store")
    assert caught.value.exit_code == 8
    assert caught.value.where is not None and caught.value.where.endswith("pairs/1")
    assert not marker.exists()
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    "value",
    [
        [1, 2, "猫"],
        {"a": 1},
        1.5,
        None,
        True,
        b"bytes",
        (1, 2, None),
        (1, 2, ["猫"]),
        {1},
        print,
        ValueError("x"),
    ],
)
def test_a_pickle_of_any_other_type_is_refused(value: Any) -> None:
    with pytest.raises(RefusedError):
        read_pickle(pickle.dumps(value), "pairs/0")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"\x80\x04",
        b"(.",
        b"\x87.",
        b"(\x85.",
        b"\x94.",
        b"h\x05.",
        b"\x8c\xff12.",
        b"\x8d" + b"\xff" * 8 + b".",
        b"\x8a\xff" + b"\xff" * 255 + b".",
        b"\x82\x01.",
        b"Pname\n.",
        b"K\x01K\x02.",
        b"r\xff\xff\xff\x7f.",
        pickle.dumps((1, 2, "猫"))[:-3],
    ],
)
def test_bytes_that_are_no_whole_pickle_are_refused(data: bytes) -> None:
    with pytest.raises(RefusedError):
        read_pickle(data, "pairs/0")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    "value",
    [
        (1076345, 8428, "高级感托特包斜挎"),
        (-1, 255, ""),
        (65535, 65536, "🐼" * 100),
        (1 << 31, -(1 << 40), "长" * 30_000),
        ("001", "文1", "文1"),
        ("same", "same", "same"),
        (1, 2, 3, 4, 5),
        ((), (1,), ((2, "x"),)),
        0,
    ],
)
def test_tuples_numbers_and_strings_come_back_as_pickle_gives_them(value: Any, protocol: int) -> None:
    assert read_pickle(pickle.dumps(value, protocol), "pairs/0") == value


def test_pairs_of_other_shapes_are_reported(original: Path, raw: Any) -> None:
    put(original, "pairs", _0=pickle.dumps((11, "一只猫")), _6=pickle.dumps((14, 5, " ")))
    _, texts, bad = raw.read_all(read_source(original))
    assert [(row.where, row.reason.partition(":")[0]) for row in bad] == [
        ("pairs/0", "wrong type"),
        ("pairs/6", "empty caption"),
    ]
    assert [text.text_id for text in texts] == ["2", "3"]


def test_a_file_that_is_cut_or_no_lmdb_is_refused_without_a_crash(original: Path) -> None:
    file = original / "imgs" / "data.mdb"
    whole = file.read_bytes()
    for size in (0, 100, 8192, len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(StoreError, match="LMDB"):
            list(read_source(original).images(lambda _: None))
    (original / "pairs" / "data.mdb").unlink()
    with pytest.raises(SourceError, match="half of the LMDB is missing: no pairs"):
        read_source(original)


def test_it_gives_the_same_store_as_the_files_it_was_made_of(
    animals: Path, original: Path, tmp_path: Path
) -> None:
    rows = (animals / "train_texts.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (animals / "train_texts.jsonl").write_text(
        "".join(rows[:3] + rows[4:]), encoding="utf-8"
    )  # not the query
    prints = [
        build_store(read_source(source), tmp_path / str(number)).fingerprint
        for number, source in enumerate((animals, original))
    ]
    assert prints[0] == prints[1]
    with StoreReader(tmp_path / "1") as reader:
        assert reader.pair_count == 7
