"""Images: bytes to upright RGB pictures, pictures to tensors, and augmentation.

The names below come from their modules when first used, so that decoding alone loads no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnclip.images.decode import decode_image
    from cnclip.images.fast import fast_image_transform
    from cnclip.images.transform import image_transform, normalize_pixels

__all__ = ["decode_image", "fast_image_transform", "image_transform", "normalize_pixels"]


def __getattr__(name: str) -> Any:
    if name == "decode_image":
        from cnclip.images.decode import decode_image

        return decode_image
    if name == "fast_image_transform":
        from cnclip.images.fast import fast_image_transform

        return fast_image_transform
    if name in __all__:
        from cnclip.images import transform

        return getattr(transform, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
