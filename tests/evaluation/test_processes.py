"""Shares of the processes: whole batches, each item once."""

from __future__ import annotations

import numpy as np
import pytest

from cnclip.errors import ImageError, RecipeError
from cnclip.evaluation.embed import embed_images, embed_texts
from cnclip.evaluation.processes import Processes, device_of, join_processes, refuse_company
from cnclip.evaluation.shared_embed import SomeImages, embed_store_images, embed_store_texts
from cnclip.images.transform import ImageTransform
from cnclip.model import ChineseClip
from cnclip.stores.reader import StoreReader


@pytest.mark.parametrize(
    ("items", "batch", "count"), [(21, 4, 2), (21, 4, 3), (3, 8, 2), (0, 4, 2), (8, 4, 5)]
)
def test_every_item_is_taken_exactly_once_and_batches_stay_whole(items: int, batch: int, count: int) -> None:
    shares = [Processes(rank, count).share(items, batch) for rank in range(count)]
    assert sorted(np.concatenate(shares).tolist()) == list(range(items))
    for share in shares:
        batches = [share[start : start + batch] for start in range(0, len(share), batch)]
        assert all(one[0] % batch == 0 and (np.diff(one) == 1).all() for one in batches)


def test_shares_embedded_apart_are_the_rows_of_one_process_bit_for_bit(
    model: ChineseClip, store: StoreReader, transform: ImageTransform
) -> None:
    alone = embed_store_images(model, store, Processes(), transform=transform, batch_size=4)
    assert alone is not None and alone.ids == list(store.image_ids())
    whole = np.zeros_like(alone.rows)
    for rank in range(3):
        places = Processes(rank, 3).share(store.image_count, 4)
        part = embed_images(
            model, SomeImages(store, places), transform=transform, batch_size=4, progress=None
        )
        whole[places] = part.rows
    assert np.array_equal(whole, alone.rows)
    direct = embed_images(model, store, transform=transform, batch_size=4, progress=None)
    assert np.array_equal(direct.rows, alone.rows)


def test_captions_of_a_store_are_those_of_one_embedding_run(model: ChineseClip, store: StoreReader) -> None:
    found = embed_store_texts(model, store, Processes(), batch_size=5)
    captions = list(store.captions())
    direct = embed_texts(model, captions, ids=list(store.text_ids()), batch_size=5, progress=None)
    assert found is not None and found.ids == direct.ids
    assert np.array_equal(found.rows, direct.rows)


def test_one_process_needs_no_launcher_and_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    processes = join_processes()
    assert processes == Processes(0, 1) and processes.is_main
    assert processes.from_main("值") == "值"
    with processes.main_first():
        pass


def test_a_launcher_told_to_use_the_cpu_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    assert device_of("auto", Processes(1, 2)) == "cpu"
    assert device_of("cuda:1", Processes(1, 2)) == "cuda:1"
    monkeypatch.delenv("ACCELERATE_USE_CPU")
    assert device_of("auto", Processes()) is None


def test_a_picture_that_cannot_be_read_is_named(model: ChineseClip, transform: ImageTransform) -> None:
    class Broken:
        image_id, image = "坏图", b"no picture"

    class Source:
        image_count = 1

        def image(self, index: int) -> Broken:
            return Broken()

    with pytest.raises(ImageError, match="坏图"):
        embed_images(model, SomeImages(Source(), np.arange(1)), transform=transform, progress=None)


def test_a_verb_of_one_process_refuses_company(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_company("eval probe")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RecipeError, match="eval probe runs in one process, 2 were started"):
        refuse_company("eval probe")
