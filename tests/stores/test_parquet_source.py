"""Parquet and Hugging Face folders: structs, bytes and paths; splits; nulls, cuts and bombs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cnclip.errors import ResourceError, SourceError
from cnclip.stores.raw import SourceOptions, detect, read_source
from cnclip.stores.raw.columns import TableColumns

arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def write(path: Path, rows: list[dict[str, Any]], **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(arrow.Table.from_pylist(rows), path, **options)
    return path


def cell(raw: Any, number: int, path: str | None = None) -> dict[str, Any]:
    return {"bytes": raw.draw(number), "path": path}


def test_structs_of_hugging_face_in_several_files(tmp_path: Path, raw: Any) -> None:
    for shard in range(2):
        rows = [
            {
                "image": cell(raw, shard * 10 + number, f"{shard}{number}.png"),
                "caption": [f"第{number}句", "又一句"],
            }
            for number in range(3)
        ]
        write(tmp_path / "data" / f"train-0000{shard}-of-00002.parquet", rows)
    assert detect(tmp_path).kind == "parquet"
    source = read_source(tmp_path)
    assert getattr(source, "counts") == {"files": 2, "rows": 6}  # noqa: B009
    images, texts, bad = raw.read_all(source)
    assert [image.image_id for image in images] == [
        "00.png",
        "01.png",
        "02.png",
        "10.png",
        "11.png",
        "12.png",
    ]
    assert images[4].image == raw.draw(11)
    assert images[4].where == "data/train-00001-of-00002.parquet:2"
    assert (texts[3].text_id, texts[3].caption, texts[3].image_ids) == (
        "data/train-00000-of-00002/2#2",
        "又一句",
        ("01.png",),
    )
    assert bad == []


@pytest.mark.parametrize("row_group_size", [1, 7, 1000])
def test_plain_bytes_with_ids_and_other_names(tmp_path: Path, raw: Any, row_group_size: int) -> None:
    rows = [
        {"编号": f"图{number}", "jpg": raw.draw(number), "标题": f"第{number}句", "split": "ab"[number % 2]}
        for number in range(40)
    ]
    path = write(tmp_path / "x.parquet", rows, row_group_size=row_group_size)
    columns = TableColumns(image_id="编号", text_id="编号", where={"split": "b"})
    images, texts, bad = raw.read_all(read_source(path, options=SourceOptions(columns=columns)))
    assert [image.image_id for image in images] == [f"图{number}" for number in range(1, 40, 2)]
    assert images[3].image == raw.draw(7)
    assert [(text.text_id, text.image_ids) for text in texts[:2]] == [("图1", ("图1",)), ("图3", ("图3",))]
    assert bad == []
    images, texts, bad = raw.read_all(read_source(path))
    assert (images[0].image_id, texts[0].text_id) == ("x/1", "x/1")
    assert bad == []


def test_paths_lead_to_files_inside_of_the_folder_only(tmp_path: Path, raw: Any) -> None:
    folder = tmp_path / "d"
    rows = [{"image_path": name, "text": "猫"} for name in ("a.png", "../out.png", "nothing.png", "a.png")]
    path = write(folder / "x.parquet", rows)
    (folder / "a.png").write_bytes(raw.draw(1))
    (tmp_path / "out.png").write_bytes(raw.draw(2))
    images, texts, bad = raw.read_all(read_source(path))
    assert [image.image_id for image in images] == ["a.png", "a.png"]
    assert images[0].origin == images[1].origin != ""
    assert [row.reason.partition(":")[0] for row in bad] == [
        "outside of the image root",
        "no such picture file",
    ]
    assert len(texts) == 4  # the build names those whose picture is missing


def test_splits_must_be_named_where_there_are_several(tmp_path: Path, raw: Any) -> None:
    for split, number in (("train", 1), ("validation", 2)):
        write(
            tmp_path / "data" / f"{split}-00000-of-00001.parquet",
            [{"image": cell(raw, number), "text": split}],
        )
    with pytest.raises(SourceError) as caught:
        read_source(tmp_path)
    assert caught.value.fix == "--split train or --split validation"
    texts = raw.read_all(read_source(tmp_path, options=SourceOptions(split="validation")))[1]
    assert [text.caption for text in texts] == ["validation"]
    with pytest.raises(SourceError, match="no split 'test'"):
        read_source(tmp_path, options=SourceOptions(split="test"))


def test_a_folder_of_save_to_disk_is_read(tmp_path: Path, raw: Any) -> None:
    rows = [
        {"image": cell(raw, number, f"图{number}.png"), "text": [f"第{number}句"]} for number in range(20)
    ]
    table = arrow.Table.from_pylist(rows)
    path = tmp_path / "train" / "data-00000-of-00001.arrow"
    path.parent.mkdir()
    with arrow.OSFile(str(path), "wb") as sink, arrow.ipc.new_stream(sink, table.schema) as writer:
        for batch in table.to_batches(max_chunksize=7):
            writer.write_batch(batch)
    (tmp_path / "train" / "state.json").write_text("{}")
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train"]}')
    assert detect(tmp_path).kind == "parquet"
    images, texts, bad = raw.read_all(read_source(tmp_path))
    assert [image.image_id for image in images] == [f"图{number}.png" for number in range(20)]
    assert images[19].image == raw.draw(19)
    assert [text.caption for text in texts] == [f"第{number}句" for number in range(20)]
    assert bad == []
    path.write_bytes(path.read_bytes()[:-3000])
    bad = raw.read_all(read_source(tmp_path))[2]
    assert "damaged file" in bad[0].reason


def test_null_cells_and_wrong_types_are_named_by_row(tmp_path: Path, raw: Any) -> None:
    rows = [
        {"image": cell(raw, 1, "1.png"), "caption": "好"},
        {"image": None, "caption": "没有图"},
        {"image": {"bytes": None, "path": None}, "caption": "空"},
        {"image": {"bytes": b"", "path": "4.png"}, "caption": "零字节"},
        {"image": cell(raw, 5, "5.png"), "caption": None},
        {"image": cell(raw, 6, "6.png"), "caption": " "},
    ]
    images, texts, bad = raw.read_all(read_source(write(tmp_path / "x.parquet", rows)))
    assert [image.image_id for image in images] == ["1.png", "5.png", "6.png"]
    assert [(row.where, row.reason.partition(":")[0]) for row in bad] == [
        ("x.parquet:2", "no picture"),
        ("x.parquet:3", "no picture"),
        ("x.parquet:4", "empty picture or too large"),
        ("x.parquet:5", "missing field"),
        ("x.parquet:6", "empty caption"),
    ]
    assert [text.caption for text in texts] == ["好", "没有图", "空", "零字节"]


def test_bytes_that_are_no_text_are_reported_and_the_rest_is_read(tmp_path: Path, raw: Any) -> None:
    good = [{"image": cell(raw, number, f"{number}.png"), "caption": f"第{number}句"} for number in range(4)]
    table = arrow.Table.from_pylist(good)
    texts = arrow.array([b"\xe7\x8c\xab", b"\xff\xfe", "狗".encode(), b""]).cast(arrow.string(), safe=False)
    parquet.write_table(table.set_column(1, "caption", texts.view(arrow.string())), tmp_path / "x.parquet")
    images, captions, bad = raw.read_all(read_source(tmp_path / "x.parquet"))
    assert len(images) == 4
    assert [text.caption for text in captions] == ["猫", "狗"]
    assert [row.reason.partition(":")[0] for row in bad if row.reason] == ["not utf-8", "empty caption"]


def test_columns_that_are_missing_are_named_with_those_found(tmp_path: Path, raw: Any) -> None:
    path = write(tmp_path / "x.parquet", [{"foto": raw.draw(1), "words": "猫"}])
    with pytest.raises(SourceError, match=r"no image column .*; found foto, words") as caught:
        read_source(path)
    assert caught.value.fix == "use --image-column NAME"
    columns = TableColumns(image="foto", caption="words")
    assert raw.read_all(read_source(path, options=SourceOptions(columns=columns)))[1][0].caption == "猫"


def test_a_file_that_is_cut_or_lacks_a_column_does_not_hide_the_others(tmp_path: Path, raw: Any) -> None:
    for number in range(4):
        rows = [{"image": cell(raw, number, f"{number}.png"), "caption": "猫"}]
        write(tmp_path / f"{number}.parquet", rows)
    whole = (tmp_path / "1.parquet").read_bytes()
    (tmp_path / "1.parquet").write_bytes(whole[:-20])
    write(tmp_path / "2.parquet", [{"image": cell(raw, 2, "2.png")}])
    source = read_source(tmp_path)
    images, texts, bad = raw.read_all(source)
    assert [image.image_id for image in images] == ["0.png", "2.png", "3.png"]
    assert [text.image_ids[0] for text in texts] == ["0.png", "3.png"]
    assert [(row.where, row.reason.partition(";")[0]) for row in bad] == [
        ("1.parquet:0", bad[0].reason.partition(";")[0]),
        ("2.parquet:0", "damaged file: no column caption, which the first file has"),
    ]
    assert "damaged file: not a whole file" in bad[0].reason
    with pytest.raises(SourceError, match="the Parquet file is cut"):
        read_source(tmp_path / "1.parquet")


def test_a_damaged_page_is_reported(tmp_path: Path, raw: Any) -> None:
    rows = [
        {"image": cell(raw, number, f"{number}.png"), "caption": f"第{number}句"} for number in range(300)
    ]
    path = write(tmp_path / "x.parquet", rows, compression="snappy", row_group_size=100)
    data = bytearray(path.read_bytes())
    data[200:400] = bytes(200)
    path.write_bytes(data)
    _, _, bad = raw.read_all(read_source(path))
    assert "damaged file" in bad[0].reason


def test_a_row_group_that_swells_is_left_out_and_said(
    tmp_path: Path, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cnclip.stores.raw.arrow_files._FREE_BYTES", 1 << 20)
    rows = [{"image": raw.draw(1), "caption": "好", "image_id": "a"}]
    rows.append({"image": bytes(50 << 20), "caption": "坏", "image_id": "b"})
    path = write(tmp_path / "x.parquet", rows, row_group_size=1, compression="zstd", use_dictionary=False)
    images, _, bad = raw.read_all(read_source(path))
    assert [image.image_id for image in images] == ["a"]
    assert bad[0].where == "x.parquet:row group 1"
    assert bad[0].reason.startswith("a bomb")


def test_without_pyarrow_one_line_says_what_to_install(tmp_path: Path, raw: Any) -> None:
    path = write(tmp_path / "x.parquet", [{"image": raw.draw(1), "caption": "猫"}])
    script = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from cnclip.stores.raw import read_source\n"
        "from cnclip.errors import ResourceError\n"
        "try:\n    read_source(sys.argv[1])\n"
        "except ResourceError as error:\n    print(error.what); print(error.fix)\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    ).stdout
    assert shown.splitlines()[1] == 'pip install "cnclip[parquet]"'
    assert ResourceError.exit_code == 5


def test_importing_the_sources_imports_no_pyarrow() -> None:
    script = "import sys, cnclip.stores.raw; print('pyarrow' in sys.modules, 'torch' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "False False"
