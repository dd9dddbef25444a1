"""Write the tokenizer as the files that other programs read: `vocab.txt`, `tokenizer.json`, settings."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from cnclip.artifacts import write_json
from cnclip.text.wordpiece import CLS_ID, PAD_ID, SEP_ID, UNK_ID, vocabulary

TOKENIZER_FILES = ("vocab.txt", "tokenizer.json", "tokenizer_config.json")
_SPECIAL = {"[PAD]": PAD_ID, "[UNK]": UNK_ID, "[CLS]": CLS_ID, "[SEP]": SEP_ID, "[MASK]": 103}
MAX_WORD_CHARACTERS = 100  # transformers' BertTokenizer sets it so, whatever the file says


def write_tokenizer(folder: Path, context_length: int) -> None:
    """Write the three files into a folder that the caller makes final.

    They give cn_clip's ids of plain captions. They do not clean (`normalize_caption`), they read the text
    "[SEP]" as the token, and a word of more than 100 characters is unknown to them.

    Args:
        folder: there already.
        context_length: most ids of a caption; programs that read `model_max_length` cut there.

    Raises:
        ArtifactError: our own vocabulary file is damaged.
        ResourceError: disk full, no permission.
    """
    vocabulary()  # checks the file's hash
    data = resources.files("cnclip.text").joinpath("vocab.txt").read_bytes()
    (folder / "vocab.txt").write_bytes(data)
    pieces = data.decode("utf-8").removesuffix("\n").split("\n")  # line 343 is U+2028: no splitlines()
    write_json(folder / "tokenizer.json", _tokenizer({piece: index for index, piece in enumerate(pieces)}))
    settings = {
        "tokenizer_class": "BertTokenizer",
        "model_max_length": context_length,
        "do_lower_case": True,
        "tokenize_chinese_chars": True,
        "strip_accents": None,
        **{f"{token.strip('[]').lower()}_token": token for token in _SPECIAL},
    }
    write_json(folder / "tokenizer_config.json", settings)


def _tokenizer(vocab: Mapping[str, int]) -> dict[str, Any]:
    """The `tokenizers` package's own form of BERT's word pieces, [CLS] before and [SEP] behind."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    single = [_special("[CLS]", 0), _text("A", 0), _special("[SEP]", 0)]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": index, "content": name, **flags} for name, index in _SPECIAL.items()],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": single,
            "pair": [*single, _text("B", 1), _special("[SEP]", 1)],
            "special_tokens": {
                name: {"id": name, "ids": [_SPECIAL[name]], "tokens": [name]} for name in ("[CLS]", "[SEP]")
            },
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": MAX_WORD_CHARACTERS,
            "vocab": dict(vocab),
        },
    }


def _special(token: str, kind: int) -> dict[str, Any]:
    return {"SpecialToken": {"id": token, "type_id": kind}}


def _text(sequence: str, kind: int) -> dict[str, Any]:
    return {"Sequence": {"id": sequence, "type_id": kind}}
