"""The procedure that cnclip's preprocessing is measured against: BERT's tokenizer, torchvision on Pillow."""

from __future__ import annotations

import unicodedata

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cnclip.images.transform import IMAGE_MEAN, IMAGE_STD


def plain_transform(image: Image.Image, size: int) -> Tensor:
    """What torchvision's Resize, ToTensor and Normalize do to a Pillow image, copy by copy."""
    image = image.resize((size, size), Image.Resampling.BICUBIC).convert("RGB")
    pixels = torch.from_numpy(np.array(image, np.uint8, copy=True)).view(size, size, 3)
    scaled = pixels.permute(2, 0, 1).contiguous().to(torch.float32).div(255)
    normalized = scaled.clone()
    mean = torch.as_tensor(IMAGE_MEAN, dtype=torch.float32)
    std = torch.as_tensor(IMAGE_STD, dtype=torch.float32)
    if (std == 0).any():
        raise ValueError("a standard deviation is zero")
    return normalized.sub_(mean.view(-1, 1, 1)).div_(std.view(-1, 1, 1))


def plain_tokenize(tokenizer: PlainTokenizer, texts: list[str], context_length: int = 52) -> Tensor:
    """Ids of every text, then row after row into a tensor of zeros: int64 [N, context_length]."""
    rows = [[101, *tokenizer.ids(text)[: context_length - 2], 102] for text in texts]
    result = torch.zeros(len(rows), context_length, dtype=torch.long)
    for index, row in enumerate(rows):
        result[index, : len(row)] = torch.tensor(row)
    return result


class PlainTokenizer:
    """BERT's tokenizer in pure Python, one character at a time (Devlin et al. 2018)."""

    IDEOGRAPHS = (
        (0x4E00, 0x9FFF),
        (0x3400, 0x4DBF),
        (0x20000, 0x2A6DF),
        (0x2A700, 0x2B73F),
        (0x2B740, 0x2B81F),
        (0x2B820, 0x2CEAF),
        (0xF900, 0xFAFF),
        (0x2F800, 0x2FA1F),
    )

    def __init__(self, vocab: dict[str, int]) -> None:
        self.vocab = vocab

    def ids(self, text: str) -> list[int]:
        """Word-piece ids, without [CLS] and [SEP]."""
        pieces: list[str] = []
        for word in self.words(text):
            pieces.extend(self.pieces(word))
        return [self.vocab[piece] for piece in pieces]

    def words(self, text: str) -> list[str]:
        """Cleaned, lower case, without accents; ideographs and punctuation stand alone."""
        spaced = self.spaced_ideographs(self.cleaned(text))
        words: list[str] = []
        for word in spaced.split():
            decomposed = unicodedata.normalize("NFD", word.lower())
            words.extend(
                self.at_punctuation("".join(c for c in decomposed if unicodedata.category(c) != "Mn"))
            )
        return " ".join(words).split()

    def cleaned(self, text: str) -> str:
        kept: list[str] = []
        for character in text:
            code = ord(character)
            space = character in " \t\n\r" or unicodedata.category(character) == "Zs"
            if code in (0, 0xFFFD) or (not space and unicodedata.category(character) in ("Cc", "Cf")):
                continue
            kept.append(" " if space else character)
        return "".join(kept)

    def spaced_ideographs(self, text: str) -> str:
        spaced: list[str] = []
        for character in text:
            code = ord(character)
            if any(low <= code <= high for low, high in self.IDEOGRAPHS):
                spaced.extend((" ", character, " "))
            else:
                spaced.append(character)
        return "".join(spaced)

    def at_punctuation(self, word: str) -> list[str]:
        parts: list[list[str]] = []
        fresh = True
        for character in word:
            code = ord(character)
            ascii_mark = 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
            if ascii_mark or unicodedata.category(character).startswith("P"):
                parts.append([character])
                fresh = True
            elif fresh:
                parts.append([character])
                fresh = False
            else:
                parts[-1].append(character)
        return ["".join(part) for part in parts]

    def pieces(self, word: str) -> list[str]:
        """The longest piece of the vocabulary first, again and again; [UNK] where that fails."""
        if len(word) > 200:
            return ["[UNK]"]
        found: list[str] = []
        start = 0
        while start < len(word):
            end = len(word)
            while end > start:
                piece = word[start:end] if start == 0 else f"##{word[start:end]}"
                if piece in self.vocab:
                    break
                end -= 1
            if end == start:
                return ["[UNK]"]
            found.append(piece)
            start = end
        return found
