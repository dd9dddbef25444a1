"""The two measurements on rigged embeddings whose numbers can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from cnclip.errors import SourceError
from cnclip.evaluation.perturb.blind import Familiarity, blind_credit, brevity
from cnclip.evaluation.perturb.composition import ALL, Negative, make_negatives, measure_composition
from cnclip.evaluation.perturb.kinds import KINDS
from cnclip.evaluation.perturb.robustness import Measured, change_captions, measure_robustness
from cnclip.evaluation.rows import Indices, Rows
from cnclip.evaluation.statistics import FEWEST

THINGS = list("狗猫马牛羊鸡鸭鹅猪兔虎狼象熊猴鹿鱼虾蟹龟蛇鸟鹰燕")
CAPTIONS = [f"两只{thing}在黑色椅子上。" for thing in THINGS]
PAIRS = np.array([[place, place] for place in range(len(THINGS))], dtype=np.int64)

Embed = Callable[[Sequence[str]], Rows]


def unit(rows: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Rows:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def things_only(captions: Sequence[str]) -> Rows:
    """An embedding that reads nothing but the animal; one it does not find is all animals alike."""
    rows = [[float(thing in caption) for thing in THINGS] for caption in captions]
    return unit(np.array([row if any(row) else [1.0] * len(row) for row in rows]))


def perfect(captions: Sequence[str]) -> Rows:
    """An embedding that reads the animal, and is off by a little wherever the rest is not as it was."""
    rows = things_only(captions).astype(np.float64)
    ends = [[0.0 if caption in CAPTIONS else 0.5] for caption in captions]
    return unit(np.hstack([rows, np.array(ends)]))


def measured(embed: Embed, captions: Sequence[str] = tuple(CAPTIONS), pairs: Indices = PAIRS) -> Measured:
    rows = embed(captions)
    return Measured(captions, embed(CAPTIONS), rows, pairs)


def test_a_model_that_reads_the_animal_loses_nothing_by_another_numeral() -> None:
    found = measure_robustness(measured(things_only), ["digits"], things_only, samples=50)["digits"]
    assert found.captions == found.pictures == len(THINGS) >= FEWEST
    assert found.before == found.after == {"r1": 100, "r5": 100, "r10": 100, "mean_recall": 100}
    assert found.change is not None and found.change["r1"].value == 0
    assert found.verdict == "unsure"
    assert found.similarity == pytest.approx(1)
    assert found.mcnemar_p == 1


def test_a_model_that_loses_the_animal_loses_all_recall() -> None:
    def embed(captions: Sequence[str]) -> Rows:
        return things_only([caption if "两" in caption else "" for caption in captions])

    found = measure_robustness(measured(embed), ["digits"], embed, samples=50)["digits"]
    assert found.before is not None and found.after is not None and found.change is not None
    assert (found.before["r1"], found.after["r1"]) == (100, 0)  # all pictures tie: the worst rank
    assert (found.change["r1"].value, found.change["r1"].low, found.change["r1"].high) == (-100, -100, -100)
    assert found.verdict == "worse"
    assert found.examples[0].rank_after == len(THINGS)
    assert found.mcnemar_p < 1e-6


def test_a_kind_is_measured_on_the_captions_that_it_changes_only() -> None:
    captions = [*CAPTIONS, *(f"一群{thing}" for thing in THINGS)]
    pairs = np.array([[place % len(THINGS), place] for place in range(len(captions))], dtype=np.int64)
    asked: list[str] = []

    def embed(new: Sequence[str]) -> Rows:
        asked.extend(new)
        return things_only(new)

    store = Measured(captions, things_only(CAPTIONS), things_only(captions), pairs)
    found = measure_robustness(store, ["two"], embed, samples=20)["two"]
    assert found.captions == len(THINGS)
    assert asked == [caption.replace("两", "二") for caption in CAPTIONS]


def test_captions_without_a_picture_are_left_out_and_a_store_without_any_is_refused() -> None:
    changed = change_captions(CAPTIONS, np.array([1, 3]), ["digits"], seed=0)["digits"]
    assert changed.texts.tolist() == [1, 3]
    empty = Measured(CAPTIONS, things_only(CAPTIONS), things_only(CAPTIONS), np.zeros((0, 2), dtype=np.int64))
    with pytest.raises(SourceError, match="no caption has a picture"):
        measure_robustness(empty, ["digits"], things_only)
    with pytest.raises(SourceError, match="no caption has a picture"):
        measure_composition(empty, ["number"], things_only)


def test_limit_draws_the_same_captions_each_time() -> None:
    texts = np.arange(len(CAPTIONS))
    one, two = (change_captions(CAPTIONS, texts, ["digits"], seed=4, limit=5)["digits"] for _ in range(2))
    assert one.captions == two.captions and len(one.captions) == 5
    other = change_captions(CAPTIONS, texts, ["digits"], seed=5, limit=5)["digits"]
    assert other.captions != one.captions


def test_no_kind_but_those_that_apply_has_numbers() -> None:
    found = measure_robustness(measured(things_only), list(KINDS), things_only, samples=20)
    assert found["clause-order"].captions == 0 and found["clause-order"].change is None
    assert found["clause-order"].verdict == "too few"
    assert found["full-width"].captions == 0
    assert found["spaces"].same_tokens == found["spaces"].captions == len(CAPTIONS)


def test_a_perfect_model_prefers_every_true_caption() -> None:
    names = ["number", "up-down", "colour", "measure"]
    found = measure_composition(measured(perfect), names, perfect, samples=50)
    for name in names:
        accuracy = found[name].accuracy
        assert accuracy is not None and accuracy.value == 100
        assert found[name].verdict == "better"
        assert found[name].items == found[name].pictures == len(THINGS)
        assert found[name].margin > 0 and not found[name].failures
    assert found[ALL].items == 3 * len(THINGS)  # without the wrong measure words
    assert found[ALL].pictures == len(THINGS)


def test_a_model_that_reads_nouns_only_ties_and_ties_count_against_it() -> None:
    found = measure_composition(measured(things_only), ["number", "up-down"], things_only, samples=50)
    for name in ("number", "up-down"):
        assert found[name].accuracy is not None and found[name].accuracy.value == 0
        assert found[name].ties == len(THINGS)
        assert found[name].verdict == "worse"
        assert found[name].failures[0].true_score == pytest.approx(1)


def test_accuracy_is_the_share_of_true_captions_ahead() -> None:
    def embed(captions: Sequence[str]) -> Rows:
        return perfect([caption if is_read(caption) else CAPTIONS[animal(caption)] for caption in captions])

    found = measure_composition(measured(embed), ["number"], embed, samples=50)["number"]
    noticed = sum(place % 2 == 0 for place in range(len(THINGS)))
    assert found.accuracy is not None
    assert found.accuracy.value == pytest.approx(100 * noticed / len(THINGS))
    assert found.accuracy.low < found.accuracy.value < found.accuracy.high
    assert found.ties == len(THINGS) - noticed


def animal(caption: str) -> int:
    return next(place for place, thing in enumerate(THINGS) if thing in caption)


def is_read(caption: str) -> bool:
    """Every other animal's captions are read in full."""
    return animal(caption) % 2 == 0


def test_each_pair_of_picture_and_caption_is_an_item_once() -> None:
    captions = ["一只狗", "一只狗"]
    pairs = np.array([[0, 0], [0, 0], [1, 0], [1, 1]], dtype=np.int64)
    made, doubtful, _ = make_negatives(captions, pairs, ["number"], seed=0)["number"]
    assert [(one.image, one.text) for one in made] == [(0, 0), (1, 0), (1, 1)]
    assert isinstance(made[0], Negative) and doubtful == 0


def test_a_detail_that_the_tokenizer_cuts_off_is_no_item() -> None:
    long = "这道菜麻辣鲜香，" * 8
    captions = [f"{long}盘子里有两只虾", "盘子里有两只虾", *CAPTIONS]
    pairs = np.stack([np.arange(len(captions))] * 2, axis=1)
    made = make_negatives(captions, pairs, ["number"], seed=0)["number"]
    assert made.unread == 1 and [one.text for one in made.negatives] == list(range(1, len(captions)))
    store = Measured(captions, perfect(captions), perfect(captions), pairs)
    found = measure_composition(store, ["number"], perfect, samples=20)
    assert found["number"].unread == found[ALL].unread == 1
    assert found["number"].items == len(captions) - 1


def test_chance_is_the_mean_recall_of_a_random_order() -> None:
    found = measure_robustness(measured(things_only), ["digits"], things_only, samples=20)["digits"]
    assert found.chance == pytest.approx(100 * (1 + 5 + 10) / 3 / len(THINGS))


def test_blind_scores_by_hand() -> None:
    captions = ["黑狗在跑", "黑猫在跑", "黑狗在睡"]
    blind = Familiarity(captions, np.array([[0, 0], [1, 1], [2, 2]], dtype=np.int64))
    # ^黑 黑狗 狗在 在跑 跑$: each stands in the caption of another picture, too.
    assert blind.score("黑狗在跑", 0) == 1
    # 黑猫 and 猫在 stand in no other picture's.
    assert blind.score("黑猫在跑", 1) == pytest.approx(3 / 5)
    assert blind.score("紫狗", 0) == 0
    assert blind.score("", 0) == 0
    assert blind_credit([2, 1, 1], [1, 1, 2]).tolist() == [1, 0.5, 0]
    assert brevity("狗") > brevity("黑狗")


def test_a_clumsy_negative_is_seen_by_the_blind_score() -> None:
    found = measure_composition(measured(perfect), ["measure"], perfect, samples=20)["measure"]
    assert found.familiarity == 100
    assert found.unfamiliar == 0 and found.unfamiliar_accuracy is None
    assert found.brevity == 50
