"""What Chinese-CLIP wrote comes in without a loss and goes out as it came; its pickles can do nothing."""

from __future__ import annotations

import base64
import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb
import pytest

from cnclip.stores.reader import StoreReader

Draw = Callable[..., bytes]
Cli = Callable[..., Any]
Tree = Callable[[Path], dict[str, str]]
TEXTS = [
    (8428, "高级感托特包斜挎", [1, 3]),
    (8429, "１２３，“全角”與繁體🐼𠮷", [2]),
    (8430, 'a "quoted" \\ text\twith tab', [3, 2, 1]),
    (8431, "行分隔\u2028符，零宽\u200b字", [4]),
    (9000000000000, "很大的数", [1]),
]


def write_original(folder: Path, draw: Draw) -> Path:
    """The files as Chinese-CLIP's documents ask for them."""
    folder.mkdir(parents=True)
    forms = ("PNG", "JPEG", "WEBP", "GIF")
    images = [(n, draw(n, size=20 + n, form=form)) for n, form in enumerate(forms, 1)]
    lines = "".join(f"{n}\t{base64.b64encode(data).decode()}\n" for n, data in images)
    (folder / "train_imgs.tsv").write_text(lines, encoding="utf-8")
    rows = [{"text_id": number, "text": text, "image_ids": ids} for number, text, ids in TEXTS]
    texts = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "train_texts.jsonl").write_text(texts, encoding="utf-8")
    return folder


def put(folder: Path, records: dict[bytes, bytes]) -> None:
    opened = lmdb.open(str(folder), map_size=1 << 24)
    with opened as environment, environment.begin(write=True) as transaction:
        for key, value in records.items():
            transaction.put(key, value)


def write_lmdb(folder: Path, files: Path) -> Path:
    """What Chinese-CLIP's builder makes of the files: a pickle for each pair, base64 for each picture."""
    for part in ("pairs", "imgs"):
        (folder / "train" / part).mkdir(parents=True)
    pairs = [(image, number, text) for number, text, images in TEXTS for image in images]
    records = {str(place).encode(): pickle.dumps(pair) for place, pair in enumerate(pairs)}
    put(folder / "train" / "pairs", {**records, b"num_samples": str(len(pairs)).encode()})
    lines = (files / "train_imgs.tsv").read_bytes().splitlines()
    put(folder / "train" / "imgs", dict(line.split(b"\t") for line in lines))
    put(folder / "train" / "imgs", {b"num_images": str(len(lines)).encode()})
    return folder / "train"


def rows_of(store: Path) -> tuple[list[Any], list[Any]]:
    with StoreReader(store) as reader:
        images = [reader.image(index) for index in range(reader.image_count)]
        texts = [reader.text(index) for index in range(reader.text_count)]
    pictures = [(image.image_id, image.image) for image in images]
    return pictures, [(text.text_id, text.caption, text.image_ids) for text in texts]


def test_files_and_lmdb_come_in_alike_and_go_out_as_they_were(
    draw: Draw, cli: Cli, tree: Tree, tmp_path: Path
) -> None:
    files = write_original(tmp_path / "MUGE", draw)
    database = write_lmdb(tmp_path / "lmdb", files)
    before = tree(database)
    assert cli("data", "build", files, tmp_path / "a").code == 0
    assert cli("data", "build", database, tmp_path / "b").code == 0
    after = tree(database)
    assert {name: after[name] for name in before} == before
    pictures, texts = rows_of(tmp_path / "a")
    assert (pictures, texts) == rows_of(tmp_path / "b")
    encoded = [line.split("\t") for line in (files / "train_imgs.tsv").read_text().splitlines()]
    assert pictures == [(number, base64.b64decode(text)) for number, text in encoded]
    assert texts == [(str(n), text, tuple(map(str, images))) for n, text, images in TEXTS]

    ended = cli("data", "export", tmp_path / "a", tmp_path / "out", "--to", "cn_clip")
    assert ended.code == 0 and "read back: the same" in ended.out
    for name in ("train_imgs.tsv", "train_texts.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (files / name).read_bytes()

    assert cli("data", "export", tmp_path / "a", tmp_path / "again", "--to", "lmdb").code == 0
    for part in ("pairs", "imgs"):
        records = []
        for folder in (database, tmp_path / "again" / "train"):
            opened = lmdb.open(str(folder / part), readonly=True, lock=False)
            with opened as environment, environment.begin() as transaction:
                records.append(list(transaction.cursor()))
        assert records[0] == records[1]


class Call:
    """Pickles to a call of anything."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self._call = function, args

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._call


def make_payloads(marker: Path) -> dict[str, bytes]:
    """Twelve pickles that would leave a trace if anything of them were run."""
    import builtins
    import os
    import subprocess

    command = f"touch {marker}"
    by_name = b"c" + b"os\nsystem\n" + b"(S'" + command.encode() + b"'\ntR."
    exec_text = f"open({str(marker)!r}, 'w')"
    short = struct.pack("<B", len(command)) + command.encode()
    return {
        "system": pickle.dumps((1, 2, Call(os.system, command))),
        "subprocess": pickle.dumps((1, 2, Call(subprocess.call, ["touch", str(marker)]))),
        "eval": pickle.dumps(Call(builtins.eval, exec_text)),
        "exec in the id": pickle.dumps((Call(builtins.exec, exec_text), 2, "猫")),
        "open": pickle.dumps((1, Call(open, str(marker), "w"), "猫")),
        "mkdir of protocol 2": pickle.dumps((1, 2, Call(os.mkdir, str(marker))), 2),
        "protocol 0": by_name,
        "instance": b"(S'" + command.encode() + b"'\nios\nsystem\n.",
        "object": b"(cos\nsystem\nS'" + command.encode() + b"'\no.",
        "name on the stack": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c" + short + b"\x85R.",
        "through the memo": b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94\x93\x94\x8c"
        + short
        + b"\x85\x94R\x94.",
        "behind a good pair": pickle.dumps((1, 2, "猫"))[:-1] + b"0" + by_name,
        "build": pickle.dumps((1, 2, "猫"))[:-1] + b"}b.",
        "persistent": b"Pos.system\n.",
        "registered": b"\x82\x01.",
    }


@pytest.mark.parametrize("name", make_payloads(Path("x")))
def test_a_pickle_that_does_more_is_refused_and_nothing_of_it_runs(
    name: str, draw: Draw, cli: Cli, tmp_path: Path
) -> None:
    files = write_original(tmp_path / "MUGE", draw)
    database = write_lmdb(tmp_path / "lmdb", files)
    marker = tmp_path / "marker"
    put(database / "pairs", {b"1": make_payloads(marker)[name]})
    for words in (("build", database, tmp_path / "s"), ("peek", database)):
        ended = cli("data", *words)
        assert ended.code == 8, ended
        assert ended.is_told() and "nothing of it was run" in ended.err
        assert ended.place.endswith("pairs/1")
        assert not marker.exists() and not (tmp_path / "s").exists()
