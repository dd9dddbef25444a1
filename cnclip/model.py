"""ChineseClip: an image tower and a Chinese text tower that meet in one space of embeddings."""

from __future__ import annotations

import math
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnclip.architecture import (
    ARCHITECTURES,
    TEXT_ARCHITECTURES,
    BertArchitecture,
    ClipArchitecture,
    FeatureArchitecture,
    ImageArchitecture,
    ResNetArchitecture,
    VitArchitecture,
)
from cnclip.errors import RecipeError
from cnclip.text.wordpiece import PAD_ID
from cnclip.towers.bert import BertTower, trim_padding
from cnclip.towers.features import FeatureProjection
from cnclip.towers.packed import can_pack, pack_linears
from cnclip.towers.resnet import ModifiedResNet
from cnclip.towers.vit import VisionTransformer

__all__ = [
    "ARCHITECTURES",
    "TEXT_ARCHITECTURES",
    "BertArchitecture",
    "ChineseClip",
    "ClipArchitecture",
    "FeatureArchitecture",
    "ImageArchitecture",
    "PairEmbeddings",
    "ResNetArchitecture",
    "VitArchitecture",
]

INITIAL_LOGIT_SCALE = math.log(1 / 0.07)  # Radford et al. 2021, section 2.5


class PairEmbeddings(NamedTuple):
    """What a forward pass gives to a loss.

    Attributes:
        image: float [B, D], unit rows; None where no image was given.
        text: float [B, D], unit rows; None where no text was given.
        logit_scale: float scalar, already exponentiated.
    """

    image: Tensor | None
    text: Tensor | None
    logit_scale: Tensor


class ChineseClip(nn.Module):
    """A Chinese CLIP model (Yang et al. 2022) of any size.

    Parameters carry the official names, except that query, key and value are one linear layer
    (`attn.in_proj`, `attention.self.qkv`); files keep the official form.

    Args:
        architecture: the shape of both towers.
        seed: decides the initial weights; nothing else does. Under `torch.device("meta")` there are none.
    """

    visual: VisionTransformer | ModifiedResNet | FeatureProjection

    def __init__(self, architecture: ClipArchitecture, *, seed: int = 0) -> None:
        super().__init__()
        self.architecture = architecture
        text = architecture.text
        with torch.device("meta"):  # torch's own start would cost time and move the global generator
            self.visual = _build_image_tower(architecture.image, architecture.embed_dim)
            self.bert = BertTower(
                hidden=text.hidden,
                layers=text.layers,
                heads=text.heads,
                intermediate=text.intermediate,
                vocab_size=text.vocab_size,
                max_positions=text.max_positions,
                type_vocab_size=text.type_vocab_size,
                dropout=text.dropout,
                attention_dropout=text.attention_dropout,
            )
            self.text_projection = nn.Parameter(torch.empty(text.hidden, architecture.embed_dim))
            self.logit_scale = nn.Parameter(torch.empty(()))
        device = torch.get_default_device()
        if device.type != "meta":
            self.to_empty(device="cpu")
            self.init_weights(torch.Generator().manual_seed(seed))
            self.to(device)

    @property
    def dtype(self) -> torch.dtype:
        """The floating type of the weights."""
        return self.text_projection.dtype

    @torch.no_grad()
    def init_weights(self, generator: torch.Generator) -> None:
        """Give every parameter its official start; a pure function of the generator's state.

        Args:
            generator: on the device of the weights.
        """
        self.visual.init_weights(generator)
        self.bert.init_weights(generator)
        nn.init.normal_(self.text_projection, std=self.text_projection.shape[0] ** -0.5, generator=generator)
        self.logit_scale.fill_(INITIAL_LOGIT_SCALE)

    def encode_image(
        self, pixel_values: Tensor, *, patch_dropout: float = 0.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """Image features, not normalised.

        Args:
            pixel_values: float [B, 3, R, R], normalised pixels; [B, width] ready-made features where the
                architecture says so.
            patch_dropout: share of patches left out (FLIP), vision transformers only.
            generator: decides which patches; needed with `patch_dropout`.

        Returns:
            float [B, D].

        Raises:
            CnclipError: another picture size than the model's.
            RecipeError: patch dropout on a tower without patches.
        """
        pixel_values = pixel_values.to(self.dtype)
        features: Tensor
        if patch_dropout == 0.0:
            features = self.visual(pixel_values)
        elif isinstance(self.visual, VisionTransformer):
            features = self.visual(pixel_values, patch_dropout=patch_dropout, generator=generator)
        else:
            raise RecipeError("patch dropout needs a vision transformer", fix="set patch_dropout to 0")
        return features

    def encode_text(self, token_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Text features, not normalised.

        Args:
            token_ids: int64 [B, T], [CLS] first.
            attention_mask: bool [B, T], True on real tokens; None = whatever is not id 0.

        Returns:
            float [B, D].

        Raises:
            CnclipError: more tokens than the position table has rows.
        """
        mask: Tensor | None = token_ids != PAD_ID if attention_mask is None else attention_mask.bool()
        looked = mask is not None and _may_look_at(token_ids)
        if mask is not None and looked:
            token_ids, mask = trim_padding(token_ids, mask)
        features: Tensor = self.bert(token_ids, mask, skip_padding=looked) @ self.text_projection
        return features

    def get_similarity(self, image: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """Scaled cosine similarity of every picture with every text.

        Args:
            image: as for `encode_image`, N pictures.
            text: token ids int64 [M, T].

        Returns:
            logits_per_image [N, M] and logits_per_text [M, N].
        """
        images, texts = unit_rows(self.encode_image(image)), unit_rows(self.encode_text(text))
        logits_per_image = self.logit_scale.exp() * images @ texts.T
        return logits_per_image, logits_per_image.T

    def forward(
        self,
        pixel_values: Tensor | None = None,
        token_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_embeddings: Tensor | None = None,
        *,
        patch_dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> PairEmbeddings:
        """Embeddings of the sides that are given.

        Args:
            pixel_values: as for `encode_image`.
            token_ids: int64 [B, T].
            attention_mask: bool [B, T].
            image_embeddings: float [B, D], cached unit rows that stand in for the image tower.
            patch_dropout: as for `encode_image`.
            generator: as for `encode_image`.
        """
        assert pixel_values is None or image_embeddings is None, "pictures or their embeddings, not both"
        if pixel_values is not None:
            features = self.encode_image(pixel_values, patch_dropout=patch_dropout, generator=generator)
            image_embeddings = unit_rows(features)
        text = None if token_ids is None else unit_rows(self.encode_text(token_ids, attention_mask))
        return PairEmbeddings(image=image_embeddings, text=text, logit_scale=self.logit_scale.exp())

    def pack_for_inference(self) -> Self:
        """Bring the weights into the layout that the CPU multiplies fastest, in place.

        Features stay equal up to rounding; the model can no longer be trained, saved, copied or moved. On
        other devices, and in types that the CPU's library does not know, nothing changes.

        Returns:
            the model itself.
        """
        self.eval().requires_grad_(False)
        if can_pack(self.dtype, self.text_projection.device):
            pack_linears(self)
        return self

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute the blocks of both transformers in the backward pass; a ResNet tower stays as it is."""
        if isinstance(self.visual, VisionTransformer):
            self.visual.transformer.activation_checkpointing = enable
        self.bert.encoder.activation_checkpointing = enable


def unit_rows(features: Tensor) -> Tensor:
    """Features [B, D] -> embeddings of length 1, float32 at least."""
    precise = features.float() if features.dtype in (torch.float16, torch.bfloat16) else features
    return F.normalize(precise, dim=-1)


def _build_image_tower(
    image: ImageArchitecture, embed_dim: int
) -> VisionTransformer | ModifiedResNet | FeatureProjection:
    if isinstance(image, VitArchitecture):
        return VisionTransformer(
            width=image.width,
            layers=image.layers,
            heads=image.heads,
            patch_size=image.patch_size,
            resolution=image.resolution,
            embed_dim=embed_dim,
            activation=image.activation,
        )
    if isinstance(image, ResNetArchitecture):
        return ModifiedResNet(
            layers=image.layers,
            width=image.width,
            heads=image.heads,
            resolution=image.resolution,
            embed_dim=embed_dim,
        )
    return FeatureProjection(width=image.width, embed_dim=embed_dim)


def _may_look_at(token_ids: Tensor) -> bool:
    """Whether reading values costs nothing: a training step on an accelerator must not wait for its queue."""
    if torch.compiler.is_compiling():
        return False
    return token_ids.device.type == "cpu" or not torch.is_grad_enabled()
