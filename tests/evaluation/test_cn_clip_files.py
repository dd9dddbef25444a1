"""cn_clip's count and files: lines worked out by hand, and what its scripts refuse."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest

from cnclip.errors import SourceError
from cnclip.evaluation.cn_clip_files import (
    image_reference,
    lmdb_order,
    score_predictions,
    text_reference,
    write_failure,
    write_official,
)
from cnclip.evaluation.embed import EmbeddingTable
from cnclip.stores.raw import read_source
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import build_store

IMAGE_IDS = ["3", "20", "100", "101", "102", "103", "104", "105", "106", "107", "108"]
# text 7: two answers; text 8: none; text 9: one
ANSWERS: dict[str, list[int]] = {"7": [3, 100], "8": [], "9": [20]}


def build(folder: Path, picture: bytes, answers: dict[str, list[int]], image_ids: list[str]) -> StoreReader:
    folder.mkdir()
    pictures = [f"{name}\t{base64.b64encode(picture).decode()}\n" for name in image_ids]
    (folder / "valid_imgs.tsv").write_text("".join(pictures), encoding="utf-8")
    lines = [
        json.dumps({"text_id": int(text), "text": f"第{text}句", "image_ids": images}, ensure_ascii=False)
        for text, images in answers.items()
    ]
    (folder / "valid_texts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    build_store(read_source(folder / "valid_texts.jsonl"), folder / "valid")
    return StoreReader(folder / "valid")


@pytest.fixture
def png(folder: Path) -> bytes:
    return (folder / "红圆.png").read_bytes()


@pytest.fixture
def official_store(tmp_path: Path, png: bytes) -> StoreReader:
    return build(tmp_path / "源", png, ANSWERS, IMAGE_IDS)


@pytest.fixture
def tables(official_store: StoreReader) -> tuple[EmbeddingTable, EmbeddingTable]:
    """Text 7 is nearest to picture 3, text 8 to 20, text 9 to 3 and then 20; all others are equally far."""
    ids = list(official_store.image_ids())
    rows = np.eye(12, dtype=np.float32)[: len(ids)]
    place = {name: number for number, name in enumerate(ids)}
    texts = np.zeros((3, 12), dtype=np.float32)
    texts[0, place["3"]] = texts[1, place["20"]] = 1
    texts[2, place["3"]], texts[2, place["20"]] = 0.8, 0.6
    return EmbeddingTable(ids, rows), EmbeddingTable(["7", "8", "9"], texts)


def test_files_worked_out_by_hand(
    official_store: StoreReader, tables: tuple[EmbeddingTable, EmbeddingTable], tmp_path: Path
) -> None:
    assert list(official_store.text_ids()) == ["7", "8", "9"]
    with pytest.raises(SourceError):  # three captions are too few to answer pictures with
        write_official(tmp_path, "valid", official_store, *tables)
    # ids as text stand in the order 100, 101, …, 108, 20, 3: of equal scores the first of them
    assert (tmp_path / "valid_predictions.jsonl").read_bytes() == (
        b'{"text_id": 7, "image_ids": [3, 100, 101, 102, 103, 104, 105, 106, 107, 108]}\n'
        b'{"text_id": 8, "image_ids": [20, 100, 101, 102, 103, 104, 105, 106, 107, 108]}\n'
        b'{"text_id": 9, "image_ids": [3, 20, 100, 101, 102, 103, 104, 105, 106, 107]}\n'
    )
    assert (tmp_path / "valid_texts.tr.jsonl").read_bytes() == (
        b'{"image_id": 3, "text_ids": [7]}\n{"image_id": 100, "text_ids": [7]}\n'
        b'{"image_id": 20, "text_ids": [9]}\n'
    )


def test_the_score_counts_a_query_without_answer_as_a_miss() -> None:
    predictions = {
        7: [3, 100, 101, 102, 103, 104, 105, 106, 107, 108],
        8: [20, 100, 101, 102, 103, 104, 105, 106, 107, 108],
        9: [3, 20, 100, 101, 102, 103, 104, 105, 106, 107],
    }
    reference = {int(text): images for text, images in ANSWERS.items()}
    score = score_predictions(reference, predictions)
    assert (score.queries, score.empty) == (3, 1)
    # R@1 = 1/3, R@5 = R@10 = 2/3
    assert json.dumps(score.to_json()) == (
        '{"success": true, "score": 55.55555555555555, "scoreJson": {"score": 55.55555555555555, '
        '"mean_recall": 55.55555555555555, "r1": 33.33333333333333, "r5": 66.66666666666666, '
        '"r10": 66.66666666666666}}'
    )


def test_references_follow_the_order_of_the_captions(official_store: StoreReader) -> None:
    reference = text_reference(official_store)
    assert reference == {7: [3, 100], 8: [], 9: [20]}
    assert list(image_reference({5: [2, 1], 6: [1]}).items()) == [(2, [5]), (1, [5, 6])]
    assert lmdb_order(["3", "20", "100"]) == [2, 1, 0]


def test_fewer_than_ten_captions_fail_in_cn_clips_form_and_spare_the_other_direction(
    official_store: StoreReader, tables: tuple[EmbeddingTable, EmbeddingTable], tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match="exactly 10"):
        write_official(tmp_path / "报告", "valid", official_store, *tables)
    value = json.loads((tmp_path / "报告" / "output_tr.json").read_text(encoding="utf-8"))
    assert list(value) == ["errorDetail", "errorMsg", "score", "scoreJson", "success"]
    assert (value["score"], value["scoreJson"], value["success"]) == (0, {}, False)
    assert "exactly 10" in value["errorMsg"] == value["errorDetail"]
    assert json.loads((tmp_path / "报告" / "output.json").read_text())["scoreJson"]["r1"] == 1 / 3 * 100


def test_both_scores_are_written_where_there_are_ten_of_each(tmp_path: Path, png: bytes) -> None:
    answers = {str(text): [int(IMAGE_IDS[text])] for text in range(11)}
    store = build(tmp_path / "源", png, answers, IMAGE_IDS)
    ids = list(store.image_ids())
    rows = np.eye(11, dtype=np.float32)
    texts = rows[[ids.index(str(images[0])) for images in answers.values()]]
    scores = write_official(
        tmp_path, "v", store, EmbeddingTable(ids, rows), EmbeddingTable(list(answers), texts)
    )
    assert {name: score.hits[1] for name, score in scores.items()} == {"text_to_image": 1, "image_to_text": 1}
    expected = (
        '{"success": true, "score": 100.0, "scoreJson": {"score": 100.0, "mean_recall": 100.0, "r1": 100.0, '
        '"r5": 100.0, "r10": 100.0}}'
    )
    assert (tmp_path / "output.json").read_text() == (tmp_path / "output_tr.json").read_text() == expected
    first = (tmp_path / "v_tr_predictions.jsonl").read_text().splitlines()[0]
    assert first == '{"image_id": 100, "text_ids": [2, 0, 1, 3, 4, 5, 6, 7, 8, 9]}'


def test_ids_that_are_no_whole_numbers_are_refused_with_a_remedy(tmp_path: Path, store: StoreReader) -> None:
    with pytest.raises(SourceError, match="no whole number") as raised:
        text_reference(store)
    assert "--protocol cn_clip" in str(raised.value.fix)
    assert "-id-column" in str(raised.value.fix) and "data build" in str(raised.value.fix)
    write_failure(tmp_path, raised.value)
    assert json.loads((tmp_path / "output.json").read_text())["success"] is False


def test_predictions_that_cn_clip_refuses_are_refused() -> None:
    ten = list(range(10))
    for predictions, message in (
        ({}, "no predictions"),
        ({1: ten[:9]}, "exactly 10"),
        ({1: [*ten[:9], 0]}, "exactly 10"),
    ):
        with pytest.raises(SourceError, match=message):
            score_predictions({1: [0]}, predictions)
    with pytest.raises(SourceError, match="no queries"):
        score_predictions({}, {})
