"""WebDataset shards: img2dataset's samples, and archives that are damaged, hostile or swollen."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from cnclip.errors import SourceError
from cnclip.stores.raw import read_source


def sample(raw: Any, key: str, number: int, *captions: str, **fields: Any) -> list[tuple[str, bytes]]:
    """What img2dataset writes for a picture."""
    facts = {"url": "https://example.org", "key": key, "status": "success", "error_message": None, **fields}
    return [
        (f"{key}.jpg", raw.draw(number, form="JPEG")),
        (f"{key}.txt", "\n".join(captions).encode()),
        (f"{key}.json", json.dumps(facts, ensure_ascii=False).encode()),
    ]


@pytest.fixture
def shards(tmp_path: Path, raw: Any) -> Path:
    folder = tmp_path / "shards"
    raw.write_tar(
        folder / "00000.tar",
        sample(raw, "000000000", 1, "一只猫", caption="一只猫") + sample(raw, "000000001", 2, "两只狗𠮷"),
    )
    raw.write_tar(folder / "00001.tar", sample(raw, "000010000", 3, "第一句", "", "第二句"))
    (folder / "00000_stats.json").write_text("{}")
    (folder / "00000.parquet.tmp").write_text("")
    return folder


def test_samples_of_all_shards_come_in_order(shards: Path, raw: Any) -> None:
    images, texts, bad = raw.read_all(read_source(shards))
    assert [image.image_id for image in images] == ["000000000", "000000001", "000010000"]
    assert images[1].image == raw.draw(2, form="JPEG")
    assert images[0].where == "00000.tar@0"
    assert [(text.text_id, text.caption, text.image_ids) for text in texts] == [
        ("000000000#1", "一只猫", ("000000000",)),
        ("000000001#1", "两只狗𠮷", ("000000001",)),
        ("000010000#1", "第一句", ("000010000",)),
        ("000010000#2", "第二句", ("000010000",)),
    ]
    assert bad == []


def test_braces_name_shards_and_a_missing_one_is_an_error(shards: Path, raw: Any) -> None:
    expected = raw.read_all(read_source(shards))[1]
    assert raw.read_all(read_source(f"{shards}/{{00000..00001}}.tar"))[1] == expected
    assert raw.read_all(read_source(f"{shards}/0000{{0,1}}.tar"))[1] == expected
    with pytest.raises(SourceError, match=r"00002\.tar \(1 of 3 are missing\)"):
        read_source(f"{shards}/{{00000..00002}}.tar")
    with pytest.raises(SourceError, match="goes down"):
        read_source(f"{shards}/{{00002..00000}}.tar")


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_dialect_of_tar_and_gzip_give_the_same_rows(tmp_path: Path, raw: Any, form: int) -> None:
    keys = ["a", "文件夹/图片" if form != tarfile.USTAR_FORMAT else "b/c", "d" * 90]
    if form != tarfile.USTAR_FORMAT:
        keys.append("很长的名字" * 40)
    members = [
        member for number, key in enumerate(keys) for member in sample(raw, key, number, f"第{number}句")
    ]
    rows = []
    for name in ("x.tar", "x.tar.gz", "x.tgz"):
        images, texts, bad = raw.read_all(read_source(raw.write_tar(tmp_path / name, members, form)))
        assert bad == []
        rows.append(([(image.image_id, image.image) for image in images], [text.caption for text in texts]))
    assert rows[0] == rows[1] == rows[2]
    assert [image_id for image_id, _ in rows[0][0]] == keys


def test_json_may_bring_lists_of_captions_and_ids(tmp_path: Path, raw: Any) -> None:
    picture = raw.draw(1)
    rows: list[tuple[str, dict[str, Any]]] = [
        ("a", {"image_id": "图/一", "captions": ["猫", "白猫"], "text_ids": ["t1", "t2"]}),
        ("b", {"captions": ["狗", " "]}),
        ("c", {"caption": "鸟", "text_id": 7}),
        ("d", {"text": "鱼"}),
        ("e", {"width": 3}),
        ("f", {"image_id": 1.5, "caption": "坏"}),
    ]
    members: list[tuple[str, bytes]] = []
    for key, fields in rows:
        members += [(f"{key}.png", picture), (f"{key}.json", json.dumps(fields).encode())]
    members += [("g.png", picture), ("g.json", b"[1]"), ("h.png", picture), ("h.txt", b"\xff\xfe")]
    images, texts, bad = raw.read_all(read_source(raw.write_tar(tmp_path / "x.tar", members)))
    assert [image.image_id for image in images] == ["图/一", "b", "c", "d", "e", "h"]
    assert [(text.text_id, text.caption, text.image_ids[0]) for text in texts] == [
        ("t1", "猫", "图/一"),
        ("t2", "白猫", "图/一"),
        ("b#1", "狗", "b"),
        ("7", "鸟", "c"),
        ("d#1", "鱼", "d"),
    ]
    assert [(row.id, row.reason.partition(":")[0]) for row in bad] == [
        ("f", "wrong type"),
        ("g", "not a JSON object"),
        ("b#2", "empty caption"),
        ("h", "not utf-8"),
    ]


def test_links_devices_and_names_that_lead_out_are_reported_and_nothing_is_written(
    tmp_path: Path, raw: Any
) -> None:
    path = tmp_path / "in" / "x.tar"
    path.parent.mkdir()
    picture = raw.draw(1)
    with tarfile.open(path, "w") as archive:
        for name in ("../out.jpg", "/abs.jpg", "a/../../b.jpg", "..\\w.jpg", "C:/x.jpg"):
            info = tarfile.TarInfo(name)
            info.size = len(picture)
            archive.addfile(info, io.BytesIO(picture))
        for name, kind in (
            ("link.jpg", tarfile.SYMTYPE),
            ("hard.jpg", tarfile.LNKTYPE),
            ("dev.jpg", tarfile.CHRTYPE),
            ("block.jpg", tarfile.BLKTYPE),
            ("pipe.jpg", tarfile.FIFOTYPE),
            ("folder", tarfile.DIRTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        for name in ("good.png", "good.txt", ".hidden.png", "__MACOSX.png"):
            info = tarfile.TarInfo(name)
            info.size = len(picture) if name.endswith("png") else 3
            archive.addfile(info, io.BytesIO(picture if name.endswith("png") else "好".encode()))
    before = sorted(str(file) for file in tmp_path.rglob("*"))
    images, texts, bad = raw.read_all(read_source(path))
    assert [image.image_id for image in images] == ["good"]
    assert [text.caption for text in texts] == ["好"]
    assert [row.reason.partition(":")[0] for row in bad] == ["unsafe name"] * 5 + ["not a file"] * 5
    assert [row.id for row in bad][:3] == ["../out.jpg", "/abs.jpg", "a/../../b.jpg"]
    assert all(row.where.startswith("x.tar@") for row in bad)
    assert sorted(str(file) for file in tmp_path.rglob("*")) == before


def test_a_cut_shard_is_reported_at_every_length_and_the_next_one_read(shards: Path, raw: Any) -> None:
    whole = (shards / "00000.tar").read_bytes()
    for size in (*range(0, 10240, 700), 511, 512, 513):
        if size >= len(whole.rstrip(b"\0")):
            continue
        (shards / "00000.tar").write_bytes(whole[:size])
        images, _, bad = raw.read_all(read_source(shards))
        assert images[-1].image_id == "000010000"
        damage = [row for row in bad if row.reason.startswith("damaged archive: truncated")]
        assert len(damage) == 1
        assert damage[0].where.startswith("00000.tar@")
        assert int(damage[0].where.partition("@")[2]) <= size
        for image in images:
            assert image.image  # whole: the reader never offers a picture that is cut


def test_a_picture_that_is_cut_behind_its_json_is_not_offered(tmp_path: Path, raw: Any) -> None:
    members = [("a.json", b'{"caption": "\xe7\x8c\xab"}'), ("a.jpg", raw.draw(1, size=64, form="JPEG"))]
    path = raw.write_tar(tmp_path / "x.tar", members)
    path.write_bytes(path.read_bytes()[: 512 * 4 + 100])
    images, texts, bad = raw.read_all(read_source(path))
    assert (images, texts) == ([], [])
    assert any("truncated" in row.reason for row in bad)


def test_a_damaged_header_ends_the_shard_with_its_offset_and_last_good_sample(shards: Path, raw: Any) -> None:
    data = bytearray((shards / "00000.tar").read_bytes())
    place = data.index(b"000000001.jpg")
    data[place + 20] ^= 0xFF
    (shards / "00000.tar").write_bytes(data)
    images, _, bad = raw.read_all(read_source(shards))
    assert [image.image_id for image in images] == ["000000000", "000010000"]
    assert bad[0].where == f"00000.tar@{place}"
    assert (
        bad[0].reason == "damaged archive: damaged header: bad checksum; the last whole sample is 000000000"
    )


def test_samples_without_a_picture_or_out_of_order_are_reported(tmp_path: Path, raw: Any) -> None:
    picture = raw.draw(1)
    members = [
        ("a.txt", "无图".encode()),
        ("b.jpg", picture),
        ("c.jpg", picture),
        ("b.txt", "不相邻".encode()),
        ("d.jpg", picture),
        ("d.png", picture),
        ("d.txt", "一".encode()),
        ("e.jpg", b""),
        ("e.txt", b" "),
        ("f.cls", b"7"),
    ]
    images, texts, bad = raw.read_all(read_source(raw.write_tar(tmp_path / "x.tar", members)))
    assert [image.image_id for image in images] == ["b", "c", "d", "e"]
    assert [text.caption for text in texts] == ["一"]
    assert [(row.id, row.reason.partition(":")[0]) for row in bad] == [
        ("a", "no picture"),
        ("b", "no picture"),
        ("d.png", "second picture"),
        ("f", "no picture"),
        ("e", "empty caption"),
    ]
    with pytest.raises(Exception, match="empty picture file"):
        _ = images[3].image


def test_a_gzip_bomb_is_stopped_early(tmp_path: Path, raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnclip.stores.raw.tar_shard._FREE_BYTES", 1 << 20)
    plain = raw.write_tar(
        tmp_path / "plain.tar", [*sample(raw, "a", 1, "好"), ("b.jpg", bytes(200 << 20)), ("c.jpg", b"x")]
    )
    packed = tmp_path / "x.tar.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    images, _, bad = raw.read_all(read_source(packed))
    assert [image.image_id for image in images] == ["a"]
    assert "a bomb" in bad[0].reason
    assert int(bad[0].where.partition("@")[2]) < 100 << 20


def test_a_member_of_many_gigabytes_is_passed_over_without_being_read(tmp_path: Path, raw: Any) -> None:
    head = raw.write_tar(tmp_path / "a.tar", sample(raw, "a", 1, "好")).read_bytes()
    info = tarfile.TarInfo("b.jpg")
    info.size = 20 << 30
    path = tmp_path / "x.tar"
    end = len(head.rstrip(b"\0")) // 512 * 512 + 512
    path.write_bytes(head[:end] + info.tobuf(tarfile.GNU_FORMAT))
    with open(path, "r+b") as file:
        file.truncate(end + 512 + (20 << 30) + 1024)  # a hole on the disk
    images, _, bad = raw.read_all(read_source(path))
    assert [image.image_id for image in images] == ["a", "b"]
    with pytest.raises(Exception, match="over 64 MiB"):
        _ = images[1].image
    assert bad == []


def test_sparse_members_and_huge_headers_do_no_harm(tmp_path: Path, raw: Any) -> None:
    sparse = tarfile.TarInfo("s.jpg")
    sparse.type, sparse.size = tarfile.GNUTYPE_SPARSE, 512
    first = sparse.tobuf(tarfile.GNU_FORMAT) + bytes(512)
    good = raw.write_tar(tmp_path / "a.tar", sample(raw, "a", 1, "好")).read_bytes()
    path = tmp_path / "x.tar"
    path.write_bytes(first + good)
    images, _, bad = raw.read_all(read_source(path))
    assert [image.image_id for image in images] == ["a"]
    assert bad[0].reason == "not a file: it is a sparse file"
    long = tarfile.TarInfo("././@PaxHeader")
    long.type, long.size = tarfile.XHDTYPE, 3 << 30
    path.write_bytes(good[:10240] + b"")
    path.write_bytes(long.tobuf(tarfile.GNU_FORMAT) + good)
    _, _, bad = raw.read_all(read_source(path))
    assert "a header of 3221225472 bytes" in bad[0].reason


def test_names_that_are_no_text_are_reported_in_words_that_can_be_written(tmp_path: Path, raw: Any) -> None:
    picture = raw.draw(1)
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, encoding="gb18030") as archive:
        for ending, data in (("jpg", picture), ("txt", "猫".encode()), ("json", b'{"image_id": "ok"}')):
            for name in ("图片", "另一张"):
                info = tarfile.TarInfo(f"{name}.{ending}")
                info.size = len(data)
                if not (ending == "json" and name == "图片"):
                    archive.addfile(info, io.BytesIO(data))
    _, _, bad = raw.read_all(read_source(path))
    assert bad
    for row in bad:
        assert f"{row.where}{row.id}{row.reason}".encode()


def test_what_stands_behind_the_end_mark_is_not_lost_in_silence(shards: Path, raw: Any) -> None:
    first, second = shards / "00000.tar", shards / "00001.tar"
    first.write_bytes(first.read_bytes() + second.read_bytes())
    second.unlink()
    images, _, bad = raw.read_all(read_source(shards))
    assert len(images) == 2
    assert "data behind its end mark" in bad[0].reason


def test_a_compressed_shard_with_a_flipped_bit_is_reported(tmp_path: Path, raw: Any) -> None:
    path = raw.write_tar(tmp_path / "x.tar.gz", sample(raw, "a", 1, "好"))
    data = bytearray(path.read_bytes())
    data[-6] ^= 1  # in the checksum
    path.write_bytes(data)
    _, _, bad = raw.read_all(read_source(path))
    assert bad[0].reason.startswith("damaged archive: CRC check failed")
