"""Chinese-CLIP's own interface: change `import cn_clip.clip as clip` to `import cnclip.compat as clip`.

Every call of `cn_clip.clip` with its parameters, their order and their defaults. Token ids (without our
cleaning), pixels (resized before conversion to RGB) and weights (rounded to half precision) are its own, bit
for bit; features then agree to float32's last digits. Three things differ on purpose: models come in
evaluation mode; nothing is printed; files are read without running code from them. New programs use `cnclip`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from cnclip.checkpoints import load_image_tower, load_text_tower, resize_positions
from cnclip.checkpoints.fitting import fit
from cnclip.checkpoints.opened import open_checkpoint
from cnclip.checkpoints.precision import round_as_cn_clip, set_precision
from cnclip.errors import CheckpointError
from cnclip.images.transform import ImageTransform
from cnclip.images.transform import image_transform as _image_transform
from cnclip.model import ChineseClip
from cnclip.text.tokenizer import tokenize as _tokenize
from cnclip.text.wordpiece import CONTEXT_LENGTH, piece_ids, vocabulary
from cnclip.zoo import available_models, chosen_device
from cnclip.zoo import load_from_name as _load_from_name

__all__ = ["available_models", "image_transform", "load", "load_from_name", "tokenize"]

_CLOSED_UP = (
    *((f" {mark}", mark) for mark in ".?!,"),
    (" ' ", "'"),
    *((f" {ending}", ending) for ending in ("n't", "'m", "'s", "'ve", "'re")),
)
_POSITIONS, _LOGIT_SCALE = "visual.positional_embedding", "logit_scale"


def load_from_name(
    name: str | Path,
    device: str | torch.device | None = None,
    download_root: str | Path | None = None,
    vision_model_name: str | None = None,
    text_model_name: str | None = None,
    input_resolution: int | None = None,
    use_modelscope: bool = False,
) -> tuple[ChineseClip, ImageTransform]:
    """A model and the transform of its pictures, with the values that cn_clip's `load_from_name` gives.

    Args:
        name: one of `available_models()`, or the path of a file or folder.
        device: None = "cuda" where there is one, else "cpu".
        download_root: folder of the weight files; None = ~/.cache/clip, as ever.
        vision_model_name: needed for files no longer; checked where given.
        text_model_name: likewise.
        input_resolution: pixels a side; likewise, and another one than the file's stretches its positions.
        use_modelscope: download from ModelScope in place of the Hugging Face hub.

    Returns:
        the model in evaluation mode, float32 with the original's rounding on a CPU, float16 elsewhere; and
        `image_transform(resolution)`.

    Raises:
        CnclipError: as `cnclip.load_from_name`.
    """
    place = chosen_device(device)
    model, transform = _load_from_name(
        name,
        place,
        download_root or Path.home() / ".cache" / "clip",
        vision_model_name,
        text_model_name,
        input_resolution,
        use_modelscope,
        precision="cn_clip" if place.type == "cpu" else "fp16",
    )
    return model, image_transform(transform.image_size)


@torch.no_grad()
def load(
    model: ChineseClip,
    device: str | torch.device | None = None,
    clip_path: str | Path | None = None,
    bert_path: str | Path | None = None,
    use_flash_attention: bool = False,
) -> ChineseClip:
    """Start a model's towers from an OpenAI CLIP file and a Chinese BERT file, in place.

    The image tower and `logit_scale` come from the one, `bert.*` from the other; the projection of the text
    keeps its values. Positions of another resolution are stretched. Anything else that does not fit is an
    error, where cn_clip goes on without a word.

    Args:
        model: `ChineseClip(ARCHITECTURES["ViT-B-16"])`.
        device: None = "cuda" where there is one, else "cpu".
        clip_path: file with `visual.*` names, or a checkpoint folder; None = the image tower stays.
        bert_path: file with `bert.*` names, or a Hugging Face folder; None = the text tower stays.
        use_flash_attention: has no effect: attention always takes the fastest kernel there is, and files
            with its names are read like any other.

    Returns:
        the model, in evaluation mode, in the types that `load_from_name` gives.

    Raises:
        CheckpointError: a file is damaged, or does not fit the model.
    """
    place = chosen_device(device)
    if clip_path is not None:
        _load_image_tower(model, clip_path)
    if bert_path is not None:
        load_text_tower(model, bert_path, skip={"text_projection"})
    for name, parameter in model.named_parameters():
        parameter.data = round_as_cn_clip(name, parameter.data)
    if place.type != "cpu":
        set_precision(model, "fp16")
    return model.to(place).eval()


def tokenize(texts: str | Iterable[str], context_length: int = CONTEXT_LENGTH) -> Tensor:
    """cn_clip's token ids, int64 [N, context_length]; curly quotes are [UNK], as there.

    Raises:
        CnclipError: as `cnclip.tokenize`.
    """
    return _tokenize(texts, context_length, clean="cn_clip")


def image_transform(image_size: int = 224) -> ImageTransform:
    """cn_clip's transform, a callable Pillow image -> float32 [3, S, S]; give it the undecoded picture.

    Raises:
        CnclipError: as `cnclip.image_transform`.
    """
    return _image_transform(image_size, compat="cn_clip")


class FullTokenizer:
    """The tokenizer object of cn_clip, on the vocabulary of Chinese BERT; made ready when first used."""

    @cached_property
    def vocab(self) -> dict[str, int]:
        """Word piece -> id."""
        return dict(vocabulary())

    @cached_property
    def inv_vocab(self) -> dict[int, str]:
        """Id -> word piece."""
        return {token_id: piece for piece, token_id in self.vocab.items()}

    def vocab_size(self) -> int:
        """21128."""
        return len(self.vocab)

    def tokenize(self, text: str) -> list[str]:
        """Word pieces of a text, without [CLS] and [SEP], however long it is."""
        return self.convert_ids_to_tokens(piece_ids(text, "cn_clip"))

    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int]:
        """Ids of word pieces; KeyError where one is not in the vocabulary."""
        return [self.vocab[token] for token in tokens]

    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        """Word pieces of ids; KeyError where there is no such id."""
        return [self.inv_vocab[token_id] for token_id in ids]

    @staticmethod
    def convert_tokens_to_string(tokens: Sequence[str], clean_up_tokenization_spaces: bool = True) -> str:
        """Word pieces with spaces between, the parts of a word joined, English punctuation closed up."""
        text = " ".join(tokens).replace(" ##", "").strip()
        if not clean_up_tokenization_spaces:
            return text
        for spaced, closed in _CLOSED_UP:
            text = text.replace(spaced, closed)
        return text


_tokenizer = FullTokenizer()


def _load_image_tower(model: ChineseClip, path: str | Path) -> None:
    """`load_image_tower` with the original's additions: positions are stretched, logit_scale is taken."""
    tensors = open_checkpoint(path).tensors
    own = model.state_dict()
    found: dict[str, Tensor] = {}
    table, places = tensors.get(_POSITIONS), own.get(_POSITIONS)
    if table is not None and places is not None and _differ_in_length(table, places):
        try:
            found[_POSITIONS] = resize_positions(table, len(places), "cn_clip")
        except CheckpointError as error:
            raise CheckpointError(error.what, where=f"{path}: {_POSITIONS}") from None
    skip = set(found)
    if _LOGIT_SCALE in tensors:
        found[_LOGIT_SCALE] = tensors[_LOGIT_SCALE]
    fitted = fit(found, {name: own[name] for name in found}, where=Path(path))
    load_image_tower(model, path, skip=skip)
    for name, tensor in fitted.items():
        own[name].copy_(tensor)


def _differ_in_length(table: Tensor, other: Tensor) -> bool:
    return table.shape[1:] == other.shape[1:] and len(table) != len(other)
