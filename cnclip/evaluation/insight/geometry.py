"""The shape of the embedding space: hubs both ways, and how pictures and captions lie to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cnclip.evaluation.examples import Picture
from cnclip.evaluation.insight.evidence import Evidence
from cnclip.evaluation.insight.hubness import Hub, Hubness, Victim, find_hubness
from cnclip.evaluation.insight.modality import Modality, find_modality
from cnclip.evaluation.insight.neighbours import Neighbours


@dataclass(frozen=True)
class HubPicture:
    """A picture that many captions find, and what some of them should have found.

    Attributes:
        hub: its counts; the queries are captions.
        image_id: its name.
        picture: itself, its first caption below it, with the mean score of the captions that found it.
        wanted: of some captions for which it is wrong, the best correct picture: the caption below it, with
            that picture's score.
    """

    hub: Hub
    image_id: str
    picture: Picture
    wanted: tuple[Picture, ...]


@dataclass(frozen=True)
class HubCaption:
    """A caption that many pictures find.

    Attributes:
        hub: its counts; the queries are pictures.
        text_id: its name.
        caption: as written.
    """

    hub: Hub
    text_id: str
    caption: str


@dataclass(frozen=True)
class GeometryFindings:
    """One model on one store.

    Attributes:
        pictures: how evenly captions find pictures.
        captions: how evenly pictures find captions.
        hub_pictures, hub_captions: the worst of both, by how often they are wrong.
        modality: gap, alignment, uniformity, dimension.
    """

    pictures: Hubness
    captions: Hubness
    hub_pictures: tuple[HubPicture, ...]
    hub_captions: tuple[HubCaption, ...]
    modality: Modality

    def to_json(self) -> dict[str, Any]:
        """For results.json, without the pictures' bytes."""
        pictures = [_named(one.hub, one.image_id, one.picture.label) for one in self.hub_pictures]
        captions = [_named(one.hub, one.text_id, one.caption) for one in self.hub_captions]
        return {
            "t2i_hubness": self.pictures.to_json() | {"hubs": pictures},
            "i2t_hubness": self.captions.to_json() | {"hubs": captions},
            "modality": self.modality.to_json(),
        }


def find_geometry(evidence: Evidence, neighbours: Neighbours) -> GeometryFindings:
    """Measure the space in which a model placed a store's pictures and captions.

    Args:
        evidence: embeddings, correct pairs, ranks.
        neighbours: of the same evidence.
    """
    result, store = evidence.result, evidence.store
    texts, images = np.flatnonzero(result.t2i.ranks), np.flatnonzero(result.i2t.ranks)
    pictures = find_hubness(neighbours.t2i, texts, len(evidence.images.rows))
    captions = find_hubness(neighbours.i2t, images, len(evidence.texts.rows))
    return GeometryFindings(
        pictures=pictures,
        captions=captions,
        hub_pictures=tuple(_hub_picture(evidence, hub) for hub in pictures.hubs),
        hub_captions=tuple(
            HubCaption(hub, evidence.texts.ids[hub.item], store.text(hub.item).caption)
            for hub in captions.hubs
        ),
        modality=find_modality(
            evidence.images.rows, evidence.texts.rows, evidence.positives, seed=evidence.draws.seed
        ),
    )


def _hub_picture(evidence: Evidence, hub: Hub) -> HubPicture:
    stored = evidence.store.image(hub.item)
    own = evidence.positives[evidence.positives[:, 0] == hub.item, 1]
    label = evidence.store.text(int(own[0])).caption if len(own) else stored.image_id
    picture = Picture(stored.image, label, hub.score, None)
    wanted = tuple(_wanted(evidence, victim) for victim in hub.victims)
    return HubPicture(hub, stored.image_id, picture, wanted)


def _wanted(evidence: Evidence, victim: Victim) -> Picture:
    """The best correct picture of a caption, the caption below it."""
    correct = np.unique(evidence.positives[evidence.positives[:, 1] == victim.query, 0])
    nearest = int(np.argmax(evidence.images.rows[correct] @ evidence.texts.rows[victim.query]))
    image = evidence.store.image(int(correct[nearest])).image
    caption = evidence.store.text(victim.query).caption
    return Picture(image, caption, float(evidence.result.t2i.scores[victim.query]), True)


def _named(hub: Hub, name: str, caption: str) -> dict[str, Any]:
    return {"id": name, "caption": caption, "count": hub.count, "right": hub.right, "before": hub.before}
