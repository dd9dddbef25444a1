"""The whole examination on small stores whose every number is known."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from math import comb

import numpy as np
import pytest
from PIL import Image

from cnclip.errors import RecipeError, StoreError
from cnclip.stores.doctor import Checkup, CheckupOptions, Finding, Limits, Tools, check_stores
from cnclip.stores.doctor.scan import scan_stores
from cnclip.stores.reader import StoreReader

MakeStore = Callable[..., StoreReader]
Picture = Callable[[int], Image.Image]
Encode = Callable[..., bytes]


def finding(checkup: Checkup, code: str) -> Finding | None:
    return next((found for found in checkup.findings if found.code == code), None)


@pytest.fixture
def clean(make_store: MakeStore, picture: Picture, encode: Encode) -> StoreReader:
    """Forty pictures with a sentence each, nothing to complain about."""
    animals, places = (
        "猫狗鸟鱼牛羊马猪",
        ("草地上吃东西", "河边慢慢散步", "屋子里睡懒觉", "雪山下奔跑着", "马路旁等主人"),
    )
    captions = [f"{animal}在{place}" for animal in animals for place in places]
    return make_store(
        [(f"{n}.png", encode(picture(n)), [caption]) for n, caption in enumerate(captions)], "clean"
    )


def test_a_clean_store_has_no_warning_and_training_may_start(clean: StoreReader, tools: Tools) -> None:
    checkup = check_stores([clean], tools)
    assert checkup.should_train
    assert [found for found in checkup.findings if found.grade != "note"] == []
    store = checkup.stores[0]
    assert (store.pictures.decoded, store.captions.count) == (40, 40)
    assert store.same_pixels.extra == store.near.extra == store.same_captions.extra == 0
    assert store.negatives is not None and store.negatives.sharing == 0
    assert store.negatives.largest == 40


def test_several_workers_find_what_one_finds(
    make_store: MakeStore, picture: Picture, encode: Encode, tools: Tools
) -> None:
    rows = [(f"{n}.png", encode(picture(n % 70)), [f"第{n % 50}句龇"]) for n in range(150)]
    readers = [make_store([*rows, ("坏.png", b"no picture", ["坏图"])]), make_store(rows[:90])]
    alone = scan_stores(readers, tools, context_length=52)
    together = scan_stores(readers, tools, context_length=52, workers=2)
    for one, two in zip(alone, together, strict=True):
        assert np.array_equal(one.pictures, two.pictures) and np.array_equal(one.captions, two.captions)
        assert one.problems == two.problems and one.unknown == two.unknown
    assert len(alone[0].problems) == 1 and alone[0].unknown == {"龇": 150}


def test_progress_ends_at_all_rows_of_all_stores(clean: StoreReader, tools: Tools) -> None:
    seen: list[tuple[str, int, int]] = []
    check_stores([clean], tools, progress=lambda *step: seen.append(step))
    assert seen == [("pictures", 40, 40), ("captions", 40, 40)]


def test_a_picture_that_does_not_decode_is_an_error(
    make_store: MakeStore, picture: Picture, encode: Encode, tools: Tools
) -> None:
    rows = [(f"{n}.png", encode(picture(n)), [f"第{n}张图片里有东西"]) for n in range(30)]
    checkup = check_stores([make_store([*rows, ("坏.png", b"\xff\xd8\xff no", ["坏的一张图片"])])], tools)
    found = finding(checkup, "undecodable")
    assert found is not None and found.grade == "error" and not checkup.should_train
    assert "1 张图片 pictures, 0 条文本" in found.measured
    negatives = checkup.stores[0].negatives
    assert negatives is not None and negatives.pairs == 30  # the bad one is no pair to train on
    tolerant = CheckupOptions(limits=Limits(undecodable=0.1))
    reader = StoreReader(checkup.stores[0].sketch.path)
    assert check_stores([reader], tools, tolerant).should_train
    reader.close()


def test_repeats_are_counted_by_bytes_pixels_likeness_and_caption(
    make_store: MakeStore, picture: Picture, encode: Encode, tools: Tools
) -> None:
    image = picture(1)
    reader = make_store(
        [
            ("a.png", encode(image), ["一只猫在草地上"]),
            ("b.png", encode(image), ["一只狗在草地上"]),  # the same file under another id
            ("c.png", encode(image, "BMP"), ["一只猫在草地上 "]),  # the same pixels
            ("d.png", encode(image, "JPEG", quality=60), ["一只鸟在树枝上"]),  # near
            ("e.png", encode(picture(2)), ["一条鱼在水池里"]),
        ]
    )
    store = check_stores([reader], tools).stores[0]
    groups = (store.same_bytes, store.same_pixels, store.near, store.same_captions)
    assert [(len(group.sizes), group.extra) for group in groups] == [(1, 1), (1, 2), (1, 3), (1, 1)]
    assert next(store.near.largest(1)).tolist() == [0, 1, 2, 3]


def test_stores_that_share_pictures_and_captions_are_told_apart_by_how_much(
    make_store: MakeStore, picture: Picture, encode: Encode, tools: Tools
) -> None:
    train = make_store([(f"{n}.png", encode(picture(n)), [f"训练句子{n}"]) for n in range(50)], "train")
    valid = make_store(
        [
            ("x.png", encode(picture(3), "BMP"), ["训练句子７"]),  # the same pixels; the caption of another
            ("y.png", encode(picture(4), "JPEG", quality=70), ["验证句子"]),  # near
            ("z.png", encode(picture(90)), ["训练句子8"]),
            ("w.png", encode(picture(91)), ["另一个句子"]),
        ],
        "valid",
    )
    checkup = check_stores([train, valid], tools)
    (leak,) = checkup.leaks
    assert (leak.same.in_first, leak.same.in_second) == (1, 1)
    assert (leak.near.in_first, leak.near.in_second) == (2, 2)
    assert (leak.captions.in_first, leak.captions.in_second) == (2, 2)
    assert leak.near.second_share == 0.5 and leak.near.first_share == 2 / 50
    assert sorted(leak.near.links.tolist()) == [[0, 3], [1, 4]]
    found = finding(checkup, "leaked-pictures")
    assert found is not None and found.grade == "error" and not checkup.should_train
    captions = finding(checkup, "leaked-captions")
    assert captions is not None and captions.grade == "warning"


def test_a_likeness_below_its_limit_warns_where_equal_pixels_would_stop(
    make_store: MakeStore, picture: Picture, encode: Encode, tools: Tools
) -> None:
    train = make_store([(f"{n}.png", encode(picture(n)), [f"训练的第{n}句话"]) for n in range(60)])
    near = [("0.png", encode(picture(0), "JPEG", quality=60), ["甲句"])]
    same = [("0.png", encode(picture(0)), ["甲句"])]
    others = [(f"{n}.png", encode(picture(100 + n)), [f"验证的第{n}句话"]) for n in range(1, 30)]
    likeness = finding(check_stores([train, make_store(near + others)], tools), "leaked-pictures")
    equality = finding(check_stores([train, make_store(same + others)], tools), "leaked-pictures")
    assert likeness is not None and likeness.grade == "warning"  # 1 of 30 near: below 5 %
    assert equality is not None and equality.grade == "error"  # 1 of 30 the same: above 1 %


def test_blank_copies_in_two_stores_are_a_leak_though_near_to_nothing(
    make_store: MakeStore, picture: Picture, encode: Encode, tools: Tools
) -> None:
    blank = encode(Image.new("RGB", (60, 60), "white"))
    stores = [
        make_store([("空.png", blank, ["空白一"]), (f"{n}.png", encode(picture(n)), ["一句"])])
        for n in (1, 2)
    ]
    (leak,) = check_stores(stores, tools).leaks
    assert (leak.same.in_first, leak.near.in_first, leak.near.in_second) == (1, 1, 1)


def test_label_data_is_warned_of_before_the_loss_gets_stuck(
    make_store: MakeStore, picture: Picture, encode: Encode, tools: Tools
) -> None:
    """Captions that are class names, as users of Chinese-CLIP trained on in vain (issue #298)."""
    rows = [(f"{n}.png", encode(picture(n)), ["鸟" if n < 30 else "鱼"]) for n in range(40)]
    reader = make_store(rows)
    checkup = check_stores([reader], tools, CheckupOptions(batch_size=16))
    negatives = checkup.stores[0].negatives
    assert negatives is not None
    sharing = comb(30, 2) + comb(10, 2)
    assert negatives.wanted.false_negatives == pytest.approx(sharing * comb(16, 2) / comb(40, 2))
    assert [outlook.rows_share for outlook in negatives.masked] == [0.0] * len(negatives.masked)
    found = finding(checkup, "false-negatives")
    assert found is not None and found.grade == "error" and "loss.duplicates=mask" in found.advice
    labels = finding(checkup, "labels")
    assert labels is not None and labels.grade == "warning" and "鸟 ×30，鱼 ×10" in labels.measured
    masking = check_stores([reader], tools, CheckupOptions(batch_size=16, duplicates="mask"))
    assert finding(masking, "false-negatives") is None and masking.should_train


def test_masking_leaves_what_goes_by_other_ids_and_other_spellings(
    make_store: MakeStore, picture: Picture, encode: Encode, tools: Tools
) -> None:
    rows = [(f"{n}.png", encode(picture(n // 2)), [f"第{n}句说的是图片"]) for n in range(20)]
    negatives = check_stores([make_store(rows)], tools, CheckupOptions(batch_size=10)).stores[0].negatives
    assert negatives is not None
    assert negatives.wanted.false_negatives == pytest.approx(10 * comb(10, 2) / comb(20, 2))
    masked = next(found for found in negatives.masked if found.batch_size == 10)
    assert masked == negatives.wanted  # the twins have ids of their own, so nothing is masked


def test_truncated_empty_unknown_and_latin_captions_are_graded(
    make_store: MakeStore, picture: Picture, encode: Encode, tools: Tools
) -> None:
    captions = ["很长的句子" * 20] * 6 + ["龇𠮷"] * 2 + ["\ufffd"] + ["a cat"]
    rows = [(f"{n}.png", encode(picture(n)), [caption]) for n, caption in enumerate(captions)]
    checkup = check_stores([make_store(rows)], tools)
    grades = {found.code: found.grade for found in checkup.findings}
    assert grades["truncated"] == "error"  # 6 of 10 > 0.5
    assert grades["empty"] == "error"  # 1 of 10 > 0.01
    assert grades["unknown"] == "warning"  # 4 of 6 * 50 + 4 + 0 + 2 pieces: above a tenth of 0.1
    assert grades["languages"] == "note"
    truncated = finding(checkup, "truncated")
    assert truncated is not None and "102" in truncated.advice  # 100 pieces and two special ones


def test_a_store_without_pairs_is_only_to_search(
    make_store: MakeStore, picture: Picture, encode: Encode, tools: Tools
) -> None:
    checkup = check_stores([make_store([("一.png", encode(picture(1)), ["只有一对"])])], tools)
    assert not checkup.should_train and checkup.stores[0].negatives is None
    assert finding(checkup, "no-pairs") is not None


def test_a_store_is_named_once(clean: StoreReader, tools: Tools) -> None:
    for readers in ([], [clean, clean]):
        with pytest.raises(RecipeError, match="twice"):
            check_stores(readers, tools)


def test_a_damaged_record_is_reported_with_the_others_examined(clean: StoreReader, tools: Tools) -> None:
    whole = [clean.image(index) for index in range(clean.image_count)]

    class Damaged(StoreReader):
        """As if the bytes of one record had changed on the disk."""

        def image(self, index: int):  # type: ignore[no-untyped-def]
            if index == 7:
                raise StoreError("the record of picture 7 is damaged: its checksum is wrong")
            return whole[index]

    with Damaged(clean.path) as reader:
        checkup = check_stores([reader], tools)
    (problem,) = checkup.stores[0].sketch.problems
    assert (problem.kind, problem.index) == ("record", 7)
    assert checkup.stores[0].pictures.decoded == 39 and not checkup.should_train


def test_memory_holds_sketches_and_not_pictures(
    make_store: MakeStore, picture: Picture, encode: Encode, tools: Tools
) -> None:
    """Twice as many pictures of 600 KB must cost bytes, not megabytes."""
    noise = np.random.default_rng(0).integers(0, 256, (450, 450, 3), dtype=np.uint8)
    files = [encode(Image.fromarray(np.roll(noise, shift)), "BMP") for shift in range(24)]
    peaks = []
    for count in (12, 24):
        reader = make_store([(f"{n}.png", files[n], [f"第{n}句"]) for n in range(count)])
        scan_stores([reader], tools, context_length=52)  # what is loaded once is loaded now
        tracemalloc.start()
        scan_stores([reader], tools, context_length=52)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 100_000 < len(files[0])


def test_a_few_thousand_rows(make_store: MakeStore, picture: Picture, encode: Encode, tools: Tools) -> None:
    rows = [
        (f"{n}.png", encode(picture(n).resize((24, 18))), [f"编号{n}的图片画着风景", f"编号{n % 1000}的照片"])
        for n in range(3000)
    ]
    checkup = check_stores([make_store(rows)], tools)
    store = checkup.stores[0]
    assert (store.pictures.decoded, store.captions.count) == (3000, 6000)
    assert store.pictures.tiny == 3000
    assert store.same_captions.extra == 2000 and len(store.same_captions.sizes) == 1000
    assert store.same_pixels.extra == 0 and store.near.extra == 0
    negatives = store.negatives
    assert negatives is not None
    # Pictures: 3000 twins of captions; the second caption of each is shared by three pictures.
    assert negatives.wanted.false_negatives == pytest.approx(
        (3000 + 1000 * comb(3, 2)) * comb(256, 2) / comb(6000, 2)
    )
