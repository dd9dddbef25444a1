"""The shape of a model as plain data, and the shapes that have a name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from cnclip.errors import RecipeError

Activation = Literal["quick_gelu", "gelu"]


@dataclass(frozen=True)
class VitArchitecture:
    """A vision transformer.

    Attributes:
        width: channels.
        layers: blocks.
        heads: attention heads; divides `width`.
        patch_size: pixels; divides `resolution`.
        resolution: pixels of the square input.
        activation: of the feed-forward layers; OpenAI's and all Chinese-CLIP towers use QuickGELU, those
            that open_clip trained on LAION the exact GELU.
    """

    width: int
    layers: int
    heads: int
    patch_size: int
    resolution: int
    activation: Activation = "quick_gelu"

    def __post_init__(self) -> None:
        _check_positive(self)
        if self.activation not in get_args(Activation):
            known = ", ".join(get_args(Activation))
            raise RecipeError(
                f"activation {self.activation!r} is none of {known}", where="VitArchitecture.activation"
            )
        _check_divides(self, "heads", "width")
        _check_divides(self, "patch_size", "resolution")


@dataclass(frozen=True)
class ResNetArchitecture:
    """A ModifiedResNet with attention pool.

    Attributes:
        layers: bottlenecks of each of the four stages.
        width: channels after the stem, even; 64 in RN50.
        heads: of the attention pool; divides 32·width.
        resolution: pixels of the square input, a multiple of 32.
    """

    layers: tuple[int, int, int, int]
    width: int
    heads: int
    resolution: int

    def __post_init__(self) -> None:
        _check_positive(self)
        if len(self.layers) != 4:
            raise RecipeError(f"a ResNet has four stages, not {len(self.layers)}", where="image.layers")
        if self.width % 2 or self.width * 32 % self.heads or self.resolution % 32:
            raise RecipeError(
                f"width {self.width} must be even, heads {self.heads} must divide 32·width, "
                f"resolution {self.resolution} must be a multiple of 32",
                where="image",
            )


@dataclass(frozen=True)
class FeatureArchitecture:
    """Ready-made image features in place of pictures; the tower is one projection.

    Attributes:
        width: length of a row.
    """

    width: int

    def __post_init__(self) -> None:
        _check_positive(self)


@dataclass(frozen=True)
class BertArchitecture:
    """A BERT encoder without pooler.

    Attributes:
        hidden: width.
        layers: blocks.
        heads: attention heads; divides `hidden`.
        intermediate: width of the feed-forward layer.
        vocab_size: rows of the word table.
        max_positions: the longest caption in tokens.
        type_vocab_size: rows of the token type table.
        dropout: probability on hidden states.
        attention_dropout: probability on attention weights.
    """

    hidden: int
    layers: int
    heads: int
    intermediate: int
    vocab_size: int = 21128
    max_positions: int = 512
    type_vocab_size: int = 2
    dropout: float = 0.1
    attention_dropout: float = 0.1

    def __post_init__(self) -> None:
        _check_positive(self)
        _check_divides(self, "heads", "hidden")
        for name in ("dropout", "attention_dropout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise RecipeError(f"{name} {getattr(self, name)} is not in [0, 1)", where=f"text.{name}")


ImageArchitecture: TypeAlias = VitArchitecture | ResNetArchitecture | FeatureArchitecture
IMAGE_KINDS: dict[str, type[ImageArchitecture]] = {
    "vit": VitArchitecture,
    "resnet": ResNetArchitecture,
    "features": FeatureArchitecture,
}


@dataclass(frozen=True)
class ClipArchitecture:
    """Both towers and the length of an embedding.

    Attributes:
        embed_dim: length of an embedding.
        image: the image tower.
        text: the text tower.
    """

    embed_dim: int
    image: ImageArchitecture
    text: BertArchitecture

    def __post_init__(self) -> None:
        if not _is_count(self.embed_dim):
            raise RecipeError(f"embed_dim {self.embed_dim!r} is not a positive number", where="embed_dim")

    def to_dict(self) -> dict[str, Any]:
        """The architecture as JSON values; the inverse of `from_dict`."""
        kind = next(name for name, cls in IMAGE_KINDS.items() if type(self.image) is cls)
        image = {"kind": kind, **dataclasses.asdict(self.image)}
        if "layers" in image and not isinstance(image["layers"], int):
            image["layers"] = list(image["layers"])
        return {"embed_dim": self.embed_dim, "image": image, "text": dataclasses.asdict(self.text)}

    @classmethod
    def from_dict(cls, value: Any) -> ClipArchitecture:
        """Read JSON values strictly: every key known, every number a number.

        Raises:
            RecipeError: anything missing, unknown or out of range.
        """
        if not isinstance(value, Mapping) or set(value) != {"embed_dim", "image", "text"}:
            raise RecipeError("an architecture has exactly the keys embed_dim, image, text")
        image = value["image"]
        kind = image.get("kind") if isinstance(image, Mapping) else None
        if not isinstance(kind, str) or kind not in IMAGE_KINDS:
            raise RecipeError(f"image.kind {kind!r} is none of {', '.join(IMAGE_KINDS)}", where="image.kind")
        fields = {key: part for key, part in image.items() if key != "kind"}
        if isinstance(fields.get("layers"), list):
            fields["layers"] = tuple(fields["layers"])
        return cls(
            embed_dim=value["embed_dim"],
            image=_read(IMAGE_KINDS[kind], fields, "image"),
            text=_read(BertArchitecture, value["text"], "text"),
        )


def differing_keys(one: ClipArchitecture, other: ClipArchitecture) -> list[tuple[str, Any, Any]]:
    """(key, value of one, value of the other) where they differ; None where one has no such key."""
    first, second = _flat(one.to_dict()), _flat(other.to_dict())
    keys = (key for key in {**first, **second} if first.get(key) != second.get(key))
    return [(key, first.get(key), second.get(key)) for key in keys]


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, part in value.items():
        flat.update(_flat(part, f"{prefix}{key}.") if isinstance(part, Mapping) else {prefix + key: part})
    return flat


def _read(cls: type[Any], fields: Any, section: str) -> Any:
    known = {field.name: field for field in dataclasses.fields(cls)}
    if not isinstance(fields, Mapping) or set(fields) - set(known):
        raise RecipeError(f"{section} may have only the keys {', '.join(known)}", where=section)
    needed = (name for name, field in known.items() if field.default is dataclasses.MISSING)
    missing = [name for name in needed if name not in fields]
    if missing:
        raise RecipeError(f"{section} lacks {', '.join(missing)}", where=section)
    return cls(**fields)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _check_positive(part: Any) -> None:
    """Every field but probabilities and words is a positive whole number, or four of them."""
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if field.type == "Activation":
            continue
        if field.type == "float":
            good = isinstance(value, int | float) and not isinstance(value, bool)
        elif field.type == "int":
            good = _is_count(value)
        else:
            good = isinstance(value, tuple) and all(_is_count(number) for number in value)
        if not good:
            place = f"{type(part).__name__}.{field.name}"
            raise RecipeError(f"{field.name} cannot be {value!r}", where=place)


def _check_divides(part: Any, divisor: str, number: str) -> None:
    if getattr(part, number) % getattr(part, divisor):
        raise RecipeError(
            f"{divisor} {getattr(part, divisor)} does not divide {number} {getattr(part, number)}",
            where=f"{type(part).__name__}.{divisor}",
        )


TEXT_ARCHITECTURES: dict[str, BertArchitecture] = {
    "RoBERTa-wwm-ext-base-chinese": BertArchitecture(hidden=768, layers=12, heads=12, intermediate=3072),
    "RoBERTa-wwm-ext-large-chinese": BertArchitecture(hidden=1024, layers=24, heads=16, intermediate=4096),
    "RBT3-chinese": BertArchitecture(hidden=768, layers=3, heads=12, intermediate=3072),
}
_BASE, _LARGE, _RBT3 = TEXT_ARCHITECTURES.values()
_TINY = BertArchitecture(hidden=64, layers=2, heads=4, intermediate=128)

ARCHITECTURES: dict[str, ClipArchitecture] = {
    "ViT-B-16": ClipArchitecture(512, VitArchitecture(768, 12, 12, 16, 224), _BASE),
    "ViT-B-32": ClipArchitecture(512, VitArchitecture(768, 12, 12, 32, 224), _BASE),
    "ViT-L-14": ClipArchitecture(768, VitArchitecture(1024, 24, 16, 14, 224), _BASE),
    "ViT-L-14-336": ClipArchitecture(768, VitArchitecture(1024, 24, 16, 14, 336), _BASE),
    "ViT-H-14": ClipArchitecture(1024, VitArchitecture(1280, 32, 16, 14, 224), _LARGE),
    "RN50": ClipArchitecture(1024, ResNetArchitecture((3, 4, 6, 3), 64, 32, 224), _RBT3),
    "tiny-ViT": ClipArchitecture(32, VitArchitecture(128, 2, 2, 8, 32), _TINY),
    "tiny-RN": ClipArchitecture(32, ResNetArchitecture((1, 1, 1, 1), 16, 8, 64), _TINY),
}
