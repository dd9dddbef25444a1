"""Whether two models compute the same: features of one fixed random batch, side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cnclip.checkpoints.precision import Precision
from cnclip.errors import CheckpointError
from cnclip.model import ChineseClip, ClipArchitecture, FeatureArchitecture
from cnclip.text.wordpiece import CLS_ID, CONTEXT_LENGTH, PAD_ID

IMAGES, CAPTIONS = 2, 4
# Of weights that were rounded once: largest |difference| / largest |feature|, and smallest cosine.
LIMITS: dict[Precision, tuple[float, float]] = {
    "fp32": (1e-5, 0.99999),
    "fp16": (5e-3, 0.9999),
    "bf16": (5e-2, 0.999),
}


class Probe(NamedTuple):
    """A batch that depends on the architecture alone.

    Attributes:
        pixel_values: float32 [2, 3, R, R], or [2, width] for ready-made features.
        token_ids: int64 [4, T], [CLS] first, the second half of the captions padded.
    """

    pixel_values: Tensor
    token_ids: Tensor


class ProbeFeatures(NamedTuple):
    """Unnormalised features of a probe: float32 [2, D] and [4, D], on the CPU."""

    image: Tensor
    text: Tensor


@dataclass(frozen=True)
class Parity:
    """How far one side's features lie from the reference's.

    Attributes:
        side: "image" or "text".
        max_difference: largest |difference| of two numbers.
        relative_difference: that, divided by the reference's largest |number|.
        cosine: the smallest over the rows.
    """

    side: str
    max_difference: float
    relative_difference: float
    cosine: float

    def __str__(self) -> str:
        return (
            f"{self.side}: max |difference| {self.max_difference:.2e} "
            f"({self.relative_difference:.1e} relative), cosine {self.cosine:.7f}"
        )


def make_probe(architecture: ClipArchitecture) -> Probe:
    """The probe of an architecture, always the same."""
    generator = torch.Generator().manual_seed(52)
    image, text = architecture.image, architecture.text
    shape = (
        (image.width,) if isinstance(image, FeatureArchitecture) else (3, image.resolution, image.resolution)
    )
    pixel_values = torch.randn((IMAGES, *shape), generator=generator)
    length = min(CONTEXT_LENGTH, text.max_positions)
    token_ids = torch.randint(1, text.vocab_size, (CAPTIONS, length), generator=generator)
    token_ids[:, 0] = min(CLS_ID, text.vocab_size - 1)
    token_ids[CAPTIONS // 2 :, length // 2 :] = PAD_ID
    return Probe(pixel_values, token_ids)


@torch.inference_mode()
def probe_features(model: ChineseClip, probe: Probe) -> ProbeFeatures:
    """Features of the probe; the model is on the CPU and in evaluation mode."""
    image, text = model.encode_image(probe.pixel_values), model.encode_text(probe.token_ids)
    return ProbeFeatures(image.float(), text.float())


@torch.inference_mode()
def transformers_features(folder: Path, probe: Probe) -> ProbeFeatures | None:
    """What the transformers library computes from a Hugging Face folder; None where it is not installed.

    The towers are called one by one: what `get_text_features` returns changed from version to version.
    """
    try:
        from transformers import ChineseCLIPModel
    except ImportError:
        return None
    model: Any = ChineseCLIPModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    model.eval()
    image = model.visual_projection(model.vision_model(pixel_values=probe.pixel_values).pooler_output)
    mask = (probe.token_ids != PAD_ID).long()
    states = model.text_model(input_ids=probe.token_ids, attention_mask=mask).last_hidden_state
    return ProbeFeatures(image, model.text_projection(states[:, 0]))


def measure_parity(reference: ProbeFeatures, found: ProbeFeatures) -> tuple[Parity, Parity]:
    """Image and text side of two sets of features of one probe."""
    return _side("image", reference.image, found.image), _side("text", reference.text, found.text)


def check_parity(parities: Iterable[Parity], precision: Precision, *, where: str) -> None:
    """Refuse features that lie further apart than the rounding of the weights explains.

    Raises:
        CheckpointError: says which side and how far; NaN counts as too far.
    """
    relative, cosine = LIMITS[precision]
    for parity in parities:
        if not (parity.relative_difference <= relative and parity.cosine >= cosine):
            raise CheckpointError(
                f"what was written does not compute what was read; {parity}; "
                f"{precision} allows {relative:.0e} and {cosine}",
                where=where,
                fix="nothing was kept; try --dtype fp32, and report it if that fails too",
            )


def _side(side: str, reference: Tensor, found: Tensor) -> Parity:
    first, second = reference.double(), found.double()
    largest = (first - second).abs().max().item()
    cosine = torch.nn.functional.cosine_similarity(first, second, dim=-1).min().item()
    return Parity(side, largest, largest / max(first.abs().max().item(), 1e-30), cosine)
