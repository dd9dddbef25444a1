"""cn_clip's own way of counting and its files, byte for byte, so that its published rows can be met.

It differs from ours in what it does where there is room: a query whose list of correct items is empty is a
miss, not left out; pictures that no caption names are no queries; equal scores stand in the gallery's order,
for or against the model; only the first ten items of a query are known. It takes numbers as ids and needs at
least ten items in the gallery.

    {split}_predictions.jsonl      {"text_id": …, "image_ids": [10]}     in the order of the captions
    {split}_tr_predictions.jsonl   {"image_id": …, "text_ids": [10]}     in the order of its LMDB: ids as text
    {split}_texts.tr.jsonl         {"image_id": …, "text_ids": [all]}    in the order of first mention
    output.json, output_tr.json    {"success": true, "score": …, "scoreJson": {…}}
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnclip.artifacts import atomic_file
from cnclip.errors import CnclipError, SourceError
from cnclip.evaluation.embed import EmbeddingTable
from cnclip.evaluation.submission import DEPTH, FIELDS, Direction, first_items, official_id, write_items
from cnclip.stores.reader import StoreReader

KS = (1, 5, 10)
OUTPUTS: dict[Direction, str] = {"t2i": "output.json", "i2t": "output_tr.json"}
JSON_NAMES: dict[Direction, str] = {"t2i": "text_to_image", "i2t": "image_to_text"}
_COLUMN = {"caption": "--text-id-column", "picture": "--image-id-column"}
Reference = Mapping[int, Sequence[int]]


@dataclass(frozen=True)
class OfficialScore:
    """Shares of queries with a correct item among the first 1, 5 and 10: 0 to 1.

    Attributes:
        hits: 1, 5, 10 -> share.
        queries: the denominator, queries without a correct item included.
        empty: how many of them have none.
    """

    hits: dict[int, float]
    queries: int
    empty: int

    @property
    def mean_recall(self) -> float:
        """Mean of the three, 0 to 1, summed in cn_clip's order."""
        return (self.hits[1] + self.hits[5] + self.hits[10]) / 3.0

    def to_json(self) -> dict[str, Any]:
        """Content of output.json, percent."""
        mean_recall = self.mean_recall * 100
        return {
            "success": True,
            "score": mean_recall,
            "scoreJson": {
                "score": mean_recall,
                "mean_recall": mean_recall,
                **{f"r{k}": share * 100 for k, share in self.hits.items()},
            },
        }


def text_reference(store: StoreReader) -> dict[int, list[int]]:
    """Caption id -> ids of its correct pictures, in the order of the captions.

    Raises:
        SourceError: an id that is no whole number.
    """
    texts = (store.text(index) for index in range(store.text_count))
    return {
        whole_number(text.text_id, "caption"): [whole_number(one, "picture") for one in text.image_ids]
        for text in texts
    }


def image_reference(texts: Reference) -> dict[int, list[int]]:
    """The same turned round: picture id -> ids of its captions, in the order of first mention."""
    turned: dict[int, list[int]] = {}
    for text_id, image_ids in texts.items():
        for image_id in image_ids:
            turned.setdefault(image_id, []).append(text_id)
    return turned


def score_predictions(reference: Reference, predictions: Mapping[int, Sequence[int]]) -> OfficialScore:
    """Count as cn_clip does.

    Args:
        reference: query -> its correct items, perhaps none.
        predictions: query -> its first ten items.

    Raises:
        SourceError: a query without predictions, not exactly ten of them, or one twice; no queries.
    """
    if not reference:
        raise SourceError("no queries, so there is nothing to count")
    missing = [query for query in reference if query not in predictions]
    if missing:
        raise SourceError(f"{len(missing)} queries have no predictions, such as {missing[0]}")
    for query, items in predictions.items():
        if len(items) != DEPTH or len(set(items)) != DEPTH:
            raise SourceError(
                f"query {query} has {len(set(items))} different predictions, cn_clip wants exactly {DEPTH}",
                fix="leave out --protocol cn_clip: a gallery of fewer items needs none of its files",
            )
    hits = {
        k: sum(not set(items).isdisjoint(predictions[query][:k]) for query, items in reference.items())
        / len(reference)
        for k in KS
    }
    return OfficialScore(hits, len(reference), sum(not items for items in reference.values()))


def write_official(
    folder: Path, split: str, store: StoreReader, images: EmbeddingTable, texts: EmbeddingTable
) -> dict[str, OfficialScore]:
    """Write cn_clip's files into a folder.

    Args:
        folder: where to.
        split: how their names begin.
        store: what is correct.
        images, texts: embeddings of the store, in its order.

    Returns:
        "text_to_image" and "image_to_text" -> score.

    Raises:
        SourceError: something that cn_clip's scripts refuse too; the output file of that direction says so,
            and the other one is written all the same.
        ResourceError: disk full or no permission.
    """
    forget_outputs(folder)
    try:
        reference = text_reference(store)
        turned = image_reference(reference)
    except CnclipError as error:
        write_failure(folder, error)
        raise
    order = lmdb_order(images.ids)
    sorted_images = EmbeddingTable([images.ids[place] for place in order], images.rows[order])
    _write_lines(folder / f"{split}_texts.tr.jsonl", "i2t", turned)
    sides: dict[Direction, tuple[Reference, EmbeddingTable, EmbeddingTable]] = {
        "t2i": (reference, texts, sorted_images),
        "i2t": (turned, sorted_images, texts),
    }
    scores: dict[str, OfficialScore] = {}
    failed: SourceError | None = None
    for direction, (answers, asked, gallery) in sides.items():
        path = folder / f"{split}_{'' if direction == 't2i' else 'tr_'}predictions.jsonl"
        try:
            score = score_predictions(answers, _predicted(path, direction, asked, gallery))
        except SourceError as error:
            failed = failed or error
            _write_value(folder / OUTPUTS[direction], _failure(error))
        else:
            scores[JSON_NAMES[direction]] = score
            _write_value(folder / OUTPUTS[direction], score.to_json())
    if failed is not None:
        raise failed
    return scores


def forget_outputs(folder: Path) -> None:
    """Remove the output files of an earlier run: a run that is killed leaves none that look like its own."""
    for name in OUTPUTS.values():
        (folder / name).unlink(missing_ok=True)


def write_failure(folder: Path, error: CnclipError) -> None:
    """Say in the output files that are not there yet that there is no score, and why.

    Raises:
        ResourceError: disk full or no permission.
    """
    for name in OUTPUTS.values():
        if not (folder / name).exists():
            _write_value(folder / name, _failure(error))


def lmdb_order(ids: Sequence[str]) -> list[int]:
    """Places of the pictures in the order of cn_clip's LMDB, whose keys are the ids as text."""
    return sorted(range(len(ids)), key=lambda place: ids[place].encode())


def whole_number(name: str, kind: str) -> int:
    """An id as a number.

    Raises:
        SourceError: it is none, or is written in an unusual way.
    """
    value = official_id(name)
    if isinstance(value, str):
        raise SourceError(
            f"{kind} id {name!r} is no whole number; cn_clip counts with whole numbers only",
            fix=f"cnclip data build TABLE STORE {_COLUMN[kind]} COLUMN takes ids from a column of whole"
            " numbers; or leave out --protocol cn_clip: ids of any kind are measured then",
        )
    return value


def _predicted(
    path: Path, direction: Direction, queries: EmbeddingTable, gallery: EmbeddingTable
) -> dict[int, list[int]]:
    """Write the predictions of one direction; query -> its first items."""
    items = first_items(queries.rows, gallery.rows)
    write_items(path, direction, queries.ids, gallery.ids, items)
    numbers = [int(name) for name in gallery.ids]
    return {
        int(name): [numbers[place] for place in places]
        for name, places in zip(queries.ids, items.tolist(), strict=True)
    }


def _failure(error: CnclipError) -> dict[str, Any]:
    return {"errorDetail": error.what, "errorMsg": error.what, "score": 0, "scoreJson": {}, "success": False}


def _write_lines(path: Path, direction: Direction, values: Reference) -> None:
    query_field, items_field = FIELDS[direction]
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(_lines(values, query_field, items_field))


def _lines(values: Reference, query_field: str, items_field: str) -> Iterator[str]:
    for query, items in values.items():
        yield json.dumps({query_field: query, items_field: list(items)}) + "\n"


def _write_value(path: Path, value: Mapping[str, Any]) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(value), encoding="utf-8")
