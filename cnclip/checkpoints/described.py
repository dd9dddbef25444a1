"""What a configuration beside the weights says of the towers; an error where the weights say otherwise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cnclip.errors import CheckpointError
from cnclip.model import BertArchitecture, ClipArchitecture, ImageArchitecture


@dataclass(frozen=True)
class DescribedTowers:
    """The shapes that a folder describes.

    Attributes:
        kind: what the folder is, for people.
        architecture: of a whole model; None where only a tower is described.
        image: of the image tower.
        text: of the text tower.
        embed_dim: length of the image tower's embeddings, or what it is meant to be where the folder has no
            projection.
    """

    kind: str
    architecture: ClipArchitecture | None = None
    image: ImageArchitecture | None = None
    text: BertArchitecture | None = None
    embed_dim: int | None = None


class Claim(NamedTuple):
    """A value in a configuration, and what it must be.

    Attributes:
        key: as in the file, with dots.
        value: what the file says.
        truth: what the tensors say, or what our towers compute.
        source: which of both.
    """

    key: str
    value: Any
    truth: Any
    source: str


def check_claims(claims: Iterable[Claim], *, file: Path) -> None:
    """Refuse a configuration that contradicts the weights beside it, or that asks for another computation.

    Raises:
        CheckpointError: every contradiction with its key and both values.
    """
    wrong = [
        f"{claim.key}: {file.name} {claim.value}, {claim.source} {claim.truth}"
        for claim in claims
        if claim.value != claim.truth
    ]
    if wrong:
        raise CheckpointError(
            "\n    ".join([f"{file.name} describes another model", *wrong]),
            where=str(file),
            fix="take the configuration that belongs to these weights",
        )
