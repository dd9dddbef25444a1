"""Tell a model's shape from the shapes of its tensors."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from torch import Tensor

from cnclip.architecture import Activation
from cnclip.errors import CheckpointError, RecipeError
from cnclip.model import (
    ARCHITECTURES,
    BertArchitecture,
    ClipArchitecture,
    FeatureArchitecture,
    ImageArchitecture,
    ResNetArchitecture,
    VitArchitecture,
)
from cnclip.towers.resnet import TOTAL_STRIDE

HEAD_WIDTH = 64
OTHER_HEADS = {1280: 16}  # ViT-H-14 has heads of width 80
LISTED = 6  # names in an error


def detect_architecture(official: Mapping[str, Tensor], *, where: str) -> ClipArchitecture:
    """The architecture of a whole model.

    Heads leave no trace in the tensors: they are taken to be 64 wide, as in every official model but one.

    Raises:
        CheckpointError: a tower is missing, or its shape makes no sense.
    """
    image, embed_dim = detect_image(official, where=where)
    return ClipArchitecture(embed_dim=embed_dim, image=image, text=detect_text(official, where=where))


def detect_image(
    official: Mapping[str, Tensor],
    *,
    where: str,
    heads: int | None = None,
    activation: Activation = "quick_gelu",
) -> tuple[ImageArchitecture, int]:
    """The image tower and the length of its embeddings.

    Args:
        official: tensors under their official names.
        where: the file, for errors.
        heads: from a configuration beside the file; None = 64 wide, 80 in a tower 1280 wide.
        activation: of a vision transformer, which leaves no trace in the tensors.

    Raises:
        CheckpointError: no image tower, or its shape makes no sense.
    """
    image = detect_image_tower(official, where=where, heads=heads, activation=activation)
    embed_dim = detect_embed_dim(official)
    if embed_dim is None:
        raise CheckpointError("the image tower has no projection to embeddings", where=where)
    return image, embed_dim


def detect_image_tower(
    official: Mapping[str, Tensor],
    *,
    where: str,
    heads: int | None = None,
    activation: Activation = "quick_gelu",
) -> ImageArchitecture:
    """`detect_image` for a tower that need not have a projection.

    Raises:
        CheckpointError: no image tower, or its shape makes no sense.
    """
    try:
        if "visual.attnpool.c_proj.weight" in official:
            return _detect_resnet(official, heads)
        if "visual.conv1.weight" in official:
            return _detect_vit(official, heads, activation)
        if set(official) & {"visual.proj"} and sum(n.startswith("visual.") for n in official) == 1:
            return FeatureArchitecture(official["visual.proj"].shape[0])
    except (KeyError, IndexError, ValueError) as error:
        raise CheckpointError(f"the image tower makes no sense: {error}", where=where) from None
    except RecipeError as error:
        raise CheckpointError(f"the image tower makes no sense: {error.what}", where=where) from None
    unknown = [name for name in official if name.startswith("visual.")]
    if unknown:
        some = ", ".join(unknown[:LISTED]) + (" …" if len(unknown) > LISTED else "")
        raise CheckpointError(f"an image tower of an unknown kind: {some}", where=where)
    raise CheckpointError("no image tower in this file (no visual.* tensors)", where=where)


def detect_embed_dim(official: Mapping[str, Tensor]) -> int | None:
    """The length of the image tower's embeddings; None where it has no projection."""
    if "visual.attnpool.c_proj.weight" in official:
        return len(official["visual.attnpool.c_proj.weight"])
    projection = official.get("visual.proj")
    return None if projection is None or projection.ndim != 2 else projection.shape[1]


def detect_text(
    official: Mapping[str, Tensor],
    *,
    where: str,
    heads: int | None = None,
    dropout: float = 0.1,
    attention_dropout: float = 0.1,
) -> BertArchitecture:
    """The text tower.

    Args:
        official: tensors under their official names.
        where: the file, for errors.
        heads: from a configuration beside the file; None = 64 wide.
        dropout: likewise; BERT's own by default.
        attention_dropout: likewise.

    Raises:
        CheckpointError: no text tower, or its shape makes no sense.
    """
    if "bert.embeddings.word_embeddings.weight" not in official:
        raise CheckpointError("no text tower in this file (no bert.* tensors)", where=where)
    try:
        vocab_size, hidden = official["bert.embeddings.word_embeddings.weight"].shape
        return BertArchitecture(
            hidden=hidden,
            layers=_count(official, r"bert\.encoder\.layer\.(\d+)\."),
            heads=heads or _heads(hidden),
            intermediate=official["bert.encoder.layer.0.intermediate.dense.weight"].shape[0],
            vocab_size=vocab_size,
            max_positions=official["bert.embeddings.position_embeddings.weight"].shape[0],
            type_vocab_size=official["bert.embeddings.token_type_embeddings.weight"].shape[0],
            dropout=dropout,
            attention_dropout=attention_dropout,
        )
    except (KeyError, IndexError, ValueError) as error:
        raise CheckpointError(f"the text tower makes no sense: {error}", where=where) from None
    except RecipeError as error:
        raise CheckpointError(f"the text tower makes no sense: {error.what}", where=where) from None


def official_name_of(architecture: ClipArchitecture) -> str | None:
    """The name of an architecture that has one."""
    return next((name for name, known in ARCHITECTURES.items() if known == architecture), None)


def _detect_vit(official: Mapping[str, Tensor], heads: int | None, activation: Activation) -> VitArchitecture:
    width, _, patch_size, _ = official["visual.conv1.weight"].shape
    side = _side(official["visual.positional_embedding"].shape[0])
    return VitArchitecture(
        width=width,
        layers=_count(official, r"visual\.transformer\.resblocks\.(\d+)\."),
        heads=heads or _heads(width),
        patch_size=patch_size,
        resolution=side * patch_size,
        activation=activation,
    )


def _detect_resnet(official: Mapping[str, Tensor], heads: int | None) -> ResNetArchitecture:
    width = official["visual.conv3.weight"].shape[0]
    first, second, third, fourth = (_count(official, rf"visual\.layer{n}\.(\d+)\.") for n in (1, 2, 3, 4))
    side = _side(official["visual.attnpool.positional_embedding"].shape[0])
    return ResNetArchitecture(
        layers=(first, second, third, fourth),
        width=width,
        heads=heads or _heads(width * TOTAL_STRIDE),
        resolution=side * TOTAL_STRIDE,
    )


def _heads(width: int) -> int:
    if width in OTHER_HEADS:
        return OTHER_HEADS[width]
    if width % HEAD_WIDTH:
        raise ValueError(f"the number of heads of width {width} is not known; use a checkpoint folder")
    return width // HEAD_WIDTH


def _side(tokens: int) -> int:
    side = math.isqrt(tokens - 1)
    if side * side != tokens - 1:
        raise ValueError(f"{tokens - 1} positions are not a square")
    return side


def _count(official: Mapping[str, Tensor], pattern: str) -> int:
    """How many blocks there are; a gap in their numbers would make blocks without weights."""
    matches = (re.match(pattern, name) for name in official)
    numbers = {int(match.group(1)) for match in matches if match is not None}
    if numbers != set(range(len(numbers))):
        raise ValueError(f"blocks are numbered up to {max(numbers)}, and there are {len(numbers)}")
    if not numbers:
        raise ValueError("there are no blocks")
    return len(numbers)
