"""What is suspected of a test set, as plain numbers and ids, and as a list to be looked through."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cnclip.artifacts import atomic_file
from cnclip.evaluation.insight.suspect_pairs import Reason
from cnclip.evaluation.insight.suspect_recall import CountedRecall
from cnclip.evaluation.insight.twins import Twins

FILE_NAME = "suspects.jsonl"
IN_RESULTS = 100  # suspects, and pairs of pictures, that results.json tells


@dataclass(frozen=True)
class Suspect:
    """One pair.

    Attributes:
        text, image: numbers of the caption and of the picture.
        text_id, image_id: their ids.
        caption: as it stands in the store.
        reason: why it is suspected.
        strength: 0 to 1.
        because: id of the labelled picture that is the same, else of the caption that says so.
        cosine: similarity of the pair, -1 to 1.
        labelled: number of the caption's best correct picture.
        labelled_id: its id.
        labelled_cosine: its similarity.
    """

    text: int
    image: int
    text_id: str
    image_id: str
    caption: str
    reason: Reason
    strength: float
    because: str
    cosine: float
    labelled: int
    labelled_id: str
    labelled_cosine: float

    @property
    def margin(self) -> float:
        """How far the suspect stands before the labelled picture; below 0: behind it."""
        return self.cosine - self.labelled_cosine

    def to_json(self) -> dict[str, Any]:
        """A line of suspects.jsonl."""
        return {
            "text_id": self.text_id,
            "image_id": self.image_id,
            "reason": self.reason,
            "score": round(self.strength, 2),
            "because": self.because,
            "margin": round(self.margin, 4),
            "labelled_image_id": self.labelled_id,
            "caption": self.caption,
        }


class ReasonCount(NamedTuple):
    """Suspects of one reason, those that stand before the labelled picture, the captions concerned."""

    suspects: int
    before: int
    captions: int


@dataclass(frozen=True)
class SuspectFindings:
    """What is suspected of one test set, by one model.

    Attributes:
        suspects: strongest first, then those that stand farthest before the labelled picture.
        twins: pictures that are the same.
        recalls: as reported, then with more and more suspects counted as correct.
        pictures, queries: in the store: pictures, and captions with a correct picture.
        too_general: captions left out because more pictures share them than a label can tell apart.
        counts: reason -> what it gave.
        left_out: weakest suspects beyond MOST_SUSPECTS, which only the counts and recalls hold.
        shown_twins: ids of the pairs of pictures, as many as results.json tells.
    """

    suspects: tuple[Suspect, ...]
    twins: Twins
    recalls: tuple[CountedRecall, ...]
    pictures: int
    queries: int
    too_general: int
    counts: dict[Reason, ReasonCount]
    left_out: int
    shown_twins: tuple[tuple[str, str, str], ...]

    @property
    def sampled(self) -> bool:
        """Whether only a sample of the pictures was looked at."""
        return self.twins.compared < self.pictures

    def to_json(self) -> dict[str, Any]:
        """For results.json; all suspects are in suspects.jsonl."""
        return {
            "facts": False,
            "pictures": {
                "in_store": self.pictures,
                "compared": self.twins.compared,
                "decoded": self.twins.decoded,
                "least_cosine": None if not self.twins.decoded else round(self.twins.least_cosine, 4),
                "same": len(self.twins.pairs),
                "crowded_groups": self.twins.crowded,
                "pairs": [{"image_ids": [one, two], "reason": kind} for one, two, kind in self.shown_twins],
            },
            "captions": {"queries": self.queries, "too_general": self.too_general},
            "reasons": {
                reason: {"suspects": one.suspects, "before_labelled": one.before, "captions": one.captions}
                for reason, one in self.counts.items()
            },
            "recall": [one.to_json() for one in self.recalls],
            "suspects": [one.to_json() for one in self.suspects[:IN_RESULTS]],
            "left_out": self.left_out,
        }


def write_suspects(path: Path, suspects: Iterable[Suspect]) -> None:
    """Write a list to be looked through: one JSON object per line, the strongest first.

    Raises:
        ResourceError: disk full or no permission.
    """
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for one in suspects:
            file.write(json.dumps(one.to_json(), ensure_ascii=False) + "\n")
