"""Train, fine-tune, measure and use Chinese CLIP models.

    from cnclip import load_from_name, tokenize
    model, preprocess = load_from_name("ViT-B-16")
    model.encode_text(tokenize(["杰尼龟", "皮卡丘"]))

Importing this package loads nothing; each public name brings its part when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnclip.images.transform import image_transform
    from cnclip.model import ChineseClip
    from cnclip.text.tokenizer import tokenize
    from cnclip.zoo import available_models, load_from_name

__version__ = "0.1.0"

__all__ = [
    "ChineseClip",
    "__version__",
    "available_models",
    "image_transform",
    "load_from_name",
    "tokenize",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "ChineseClip":
        from cnclip.model import ChineseClip

        return ChineseClip
    if name == "tokenize":
        from cnclip.text.tokenizer import tokenize

        return tokenize
    if name == "image_transform":
        from cnclip.images.transform import image_transform

        return image_transform
    from cnclip.zoo import available_models, load_from_name

    return {"available_models": available_models, "load_from_name": load_from_name}[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
