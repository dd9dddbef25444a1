"""Files that tests put behind URLs, and how they compare what was read."""

from __future__ import annotations

import io
import tarfile
from types import SimpleNamespace
from typing import Any

import pytest

from cnclip.stores.raw import remote as remote_module


def packed(raw: Any, numbers: range, mode: str = "w") -> bytes:
    """A tar shard of pictures with one caption each."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for number in numbers:
            for ending, data in (("png", raw.draw(number, size=32)), ("txt", f"第{number}句🐼".encode())):
                info = tarfile.TarInfo(f"{number:05d}.{ending}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def table(raw: Any, numbers: range) -> bytes:
    """A Parquet file of pictures with one caption each."""
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [
        {"image": {"bytes": raw.draw(number), "path": f"{number}.png"}, "caption": f"第{number}句"}
        for number in numbers
    ]
    buffer = io.BytesIO()
    parquet.write_table(arrow.Table.from_pylist(rows), buffer, row_group_size=4)
    return buffer.getvalue()


def plain(rows: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
    images, texts, bad = rows
    return [(image.image_id, image.where, image.image) for image in images], texts, bad


@pytest.fixture
def far() -> SimpleNamespace:
    """The functions above, for tests."""
    return SimpleNamespace(packed=packed, table=table, plain=plain)


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_module, "PAUSES_SECONDS", (0, 0, 0))
