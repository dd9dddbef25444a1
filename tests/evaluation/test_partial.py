"""An interrupted embedding goes on where it was, and ends with the very rows of one that was not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnclip.evaluation import partial as partial_module
from cnclip.evaluation import progress as progress_module
from cnclip.evaluation.partial import PartialRows
from cnclip.evaluation.processes import Processes
from cnclip.evaluation.progress import progress_bar
from cnclip.evaluation.shared_embed import embed_store_images, embed_store_texts
from cnclip.images.transform import ImageTransform
from cnclip.model import ChineseClip
from cnclip.stores.reader import StoredImage, StoreReader


class Interrupted(StoreReader):
    """A store whose reader presses Ctrl-C at a picture, and counts those that were read."""

    def __init__(self, path: Path, at: int | None) -> None:
        super().__init__(path)
        self.at, self.read = at, 0

    def image(self, index: int) -> StoredImage:
        if index == self.at:
            raise KeyboardInterrupt
        self.read += 1
        return super().image(index)


def parts(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.rglob("*.npz"))


def test_pictures_go_on_after_ctrl_c_with_the_same_rows(
    model: ChineseClip, store: StoreReader, transform: ImageTransform, tmp_path: Path
) -> None:
    def run(reader: StoreReader, batch_size: int = 2) -> np.ndarray | None:
        found = embed_store_images(
            model,
            reader,
            Processes(),
            transform=transform,
            batch_size=batch_size,
            workers=0,
            partial=tmp_path,
        )
        return None if found is None else found.rows

    whole = embed_store_images(model, store, Processes(), transform=transform, batch_size=2, workers=0)
    assert whole is not None and store.image_count >= 5
    with pytest.raises(KeyboardInterrupt):
        run(Interrupted(store.path, at=5))
    assert parts(tmp_path) == ["00000000.npz"]
    again = Interrupted(store.path, at=None)
    rows = run(again)
    assert again.read == store.image_count - 4, "two batches of two were kept"
    assert rows is not None and np.array_equal(rows, whole.rows)
    other = Interrupted(store.path, at=None)
    run(other, batch_size=3)
    assert other.read == store.image_count, "other batches give rows that differ in their last bit"


def test_captions_are_kept_too(model: ChineseClip, store: StoreReader, tmp_path: Path) -> None:
    first = embed_store_texts(model, store, Processes(), batch_size=3, partial=tmp_path)
    width = model.architecture.embed_dim
    folder = tmp_path / "batch-3-process-0-of-1"
    kept = PartialRows(folder, width, batch_size=3, total=100)
    assert kept.done == 0, "a run that was not interrupted, and was short, writes nothing"
    kept.add(np.zeros((3, width), dtype=np.float32))
    kept.keep()
    second = embed_store_texts(model, store, Processes(), batch_size=3, partial=tmp_path)
    assert first is not None and second is not None
    assert (~second.rows.any(axis=1)).sum() >= 3, "the kept rows, zeros here, were taken"


def test_rows_are_written_every_half_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.arange(12, dtype=np.float32).reshape(6, 2)
    monkeypatch.setattr(partial_module, "KEEP_SECONDS", 0.0)
    kept = PartialRows(tmp_path, 2, batch_size=2, total=6)
    kept.add(rows[:2])
    kept.add(rows[2:4])
    assert parts(tmp_path) == ["00000000.npz", "00000002.npz"]
    again = PartialRows(tmp_path, 2, batch_size=2, total=6)
    assert again.done == 4
    again.add(rows[4:])
    assert np.array_equal(again.whole(), rows)


@pytest.mark.parametrize("wound", ["cut", "flipped", "wrong width", "half a batch"])
def test_a_damaged_part_is_made_again(wound: str, tmp_path: Path) -> None:
    kept = PartialRows(tmp_path, 2, batch_size=2, total=8)
    kept.add(np.ones((2, 2), dtype=np.float32))
    kept.keep()
    kept.add(np.ones((2, 2), dtype=np.float32))
    kept.keep()
    file = tmp_path / "00000002.npz"
    data = bytearray(file.read_bytes())
    if wound == "cut":
        file.write_bytes(data[:-30])
    elif wound == "flipped":
        data[data.index(b"\x93NUMPY") + 130] ^= 1  # of the rows themselves
        file.write_bytes(data)
    else:
        np.savez(file, rows=np.ones((2, 3) if wound == "wrong width" else (1, 2), dtype=np.float32))
    assert PartialRows(tmp_path, 2, batch_size=2, total=8).done == 2


def test_a_log_gets_lines_and_a_short_work_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with progress_bar(10, "images", "img") as bar:
        bar.update(10)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress_module, "_QUIET_SECONDS", 0.0)
    monkeypatch.setattr(progress_module, "_LOG_SECONDS", 0.0)
    with progress_bar(10, "images", "img", done=4) as bar:
        bar.update(3)
    shown = capsys.readouterr().err
    assert "images: 7/10 img" in shown and "left" in shown and shown.count("\n") >= 1
    with progress_bar(10, None, "img") as bar:
        bar.update(3)
    assert capsys.readouterr().err == ""
