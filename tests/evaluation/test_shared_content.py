"""What a bank of training queries shares with the test set."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from cnclip.evaluation.shared_content import SharedContent, shared_content
from cnclip.stores.raw import read_source
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import build_store


def store(folder: Path, rows: Sequence[tuple[int, str]]) -> StoreReader:
    """Pictures of one grey each, with a caption."""
    folder.mkdir()
    lines = []
    for number, (grey, caption) in enumerate(rows):
        buffer = io.BytesIO()
        Image.new("RGB", (16, 16), (grey, grey, grey)).save(buffer, "PNG")
        (folder / f"{number}.png").write_bytes(buffer.getvalue())
        lines.append(json.dumps({"image": f"{number}.png", "caption": caption}, ensure_ascii=False))
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    build_store(read_source(folder / "rows.jsonl"), folder / "店")
    return StoreReader(folder / "店")


def test_equal_captions_and_equal_files_are_counted_in_the_test_set(tmp_path: Path) -> None:
    test = store(tmp_path / "测试", [(1, "红色 ABC"), (2, "绿色"), (3, "蓝色"), (4, "绿色")])
    bank = store(tmp_path / "训练", [(2, "红色 abc"), (9, "绿色"), (8, "别的")])
    assert shared_content(test, bank) == SharedContent(captions=3, pictures=1, of_captions=4, of_pictures=4)


def test_two_stores_that_share_nothing_say_so(tmp_path: Path) -> None:
    test, bank = store(tmp_path / "一", [(1, "红")]), store(tmp_path / "二", [(2, "绿")])
    assert not shared_content(test, bank)
    assert shared_content(test, test)
