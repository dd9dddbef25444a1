"""The families of names that weight files have, and how each becomes official names.

Official names are those of the cn_clip files without `module.`: `visual.*` as OpenAI's, `bert.*` as BERT's.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

_Rules = tuple[tuple[re.Pattern[str], str], ...]


@dataclass(frozen=True)
class Layout:
    """A family of names.

    Attributes:
        kind: what a file with such names is, for people.
        prefix: what the names of a bare tower lack; "" in most families.
        bare: first parts of the names that lack it.
        dropped: pattern of names that no tower uses -> why; tried first.
        renames: pattern -> replacement; all are applied, in this order.
        says_activation: whether such a file belongs to one activation of the image tower only.
    """

    kind: str
    dropped: _Rules
    renames: _Rules
    prefix: str = ""
    bare: tuple[str, ...] = ()
    says_activation: bool = True


def _rules(*pairs: tuple[str, str]) -> _Rules:
    return tuple((re.compile(pattern), text) for pattern, text in pairs)


_POSITION_IDS = (r"(^|\.)position_ids$", "a table that counts 0, 1, 2 …")
_BERT_DROPPED = _rules(
    (r"^bert\.pooler\.", "the pooler of BERT: the text feature is the [CLS] state itself"),
    (r"^cls\.", "the heads of BERT's pre-training"),
    (
        r"^classifier\.",
        "a classifier over BERT's pooler, the text projection of Taiyi: ours projects the [CLS] state itself",
    ),
    (r"^qa_outputs\.", "the head of question answering"),
    _POSITION_IDS,
)
_BERT_RENAMES = _rules(  # FlashAttention-1 and early TensorFlow spellings
    (r"\.attn\.Wqkv\.(weight|bias)$", r".attn.in_proj_\1"),
    (r"\.attention\.self\.out_proj\.", ".attention.output.dense."),
    (r"\.LayerNorm\.gamma$", ".LayerNorm.weight"),
    (r"\.LayerNorm\.beta$", ".LayerNorm.bias"),
)
_HF_RENAMES = _rules(  # "layrnorm" is how that library spells it
    (r"^text_model\.", "bert."),
    (r"^vision_model\.embeddings\.class_embedding$", "visual.class_embedding"),
    (r"^vision_model\.embeddings\.position_embedding\.weight$", "visual.positional_embedding"),
    (r"^vision_model\.embeddings\.patch_embedding\.", "visual.conv1."),
    (r"^vision_model\.pre_layrnorm\.", "visual.ln_pre."),
    (r"^vision_model\.post_layernorm\.", "visual.ln_post."),
    (r"^vision_model\.encoder\.layers\.", "visual.transformer.resblocks."),
    (r"^(visual\..*)\.self_attn\.", r"\1.attn."),
    (r"^(visual\..*)\.layer_norm([12])\.", r"\1.ln_\2."),
    (r"^(visual\..*)\.mlp\.fc1\.", r"\1.mlp.c_fc."),
    (r"^(visual\..*)\.mlp\.fc2\.", r"\1.mlp.c_proj."),
)
_CLIP_TEXT = (
    r"^(token_embedding|transformer|ln_final)\.|^(positional_embedding|text_projection|attn_mask)(\.|$)"
)
_CLIP_ATTRIBUTES = r"^(input_resolution|context_length|vocab_size)$"
_OPENAI_TEXT = "English text tower of OpenAI CLIP"

OFFICIAL = Layout("weight file", _BERT_DROPPED, _BERT_RENAMES)
BERT = Layout("weight file of a BERT", _BERT_DROPPED, _BERT_RENAMES)
BARE_BERT = Layout(
    "weight file of a BERT",
    _BERT_DROPPED,
    _BERT_RENAMES,
    prefix="bert.",
    bare=("embeddings", "encoder", "pooler"),
)
OPENAI = Layout(
    "weight file of OpenAI CLIP", _rules((_CLIP_TEXT, _OPENAI_TEXT), (_CLIP_ATTRIBUTES, _OPENAI_TEXT)), ()
)
OPEN_CLIP = Layout(
    "weight file of an English CLIP",
    _rules(
        (_CLIP_TEXT, "English text tower of OpenAI CLIP or open_clip"),
        (r"^text\.", "text tower of open_clip, of another vocabulary"),
        (r"^logit_bias$", "the bias of a sigmoid loss"),
    ),
    (),
    says_activation=False,
)
CHINESE_CLIP_HF = Layout(
    "weight file of a Hugging Face ChineseCLIPModel",
    _rules((r"^text_model\.pooler\.", _BERT_DROPPED[0][1]), _POSITION_IDS),
    (*_HF_RENAMES, *_BERT_RENAMES),
)
CLIP_HF = Layout(
    "weight file of a Hugging Face CLIPModel",
    _rules((r"^text_model\.|^text_projection\.", "English text tower of CLIP"), _POSITION_IDS),
    _HF_RENAMES,
    says_activation=False,
)
BARE_VISION_HF = Layout(
    "weight file of a Hugging Face CLIP image tower",
    _rules(_POSITION_IDS),
    _HF_RENAMES,
    prefix="vision_model.",
    bare=("embeddings", "encoder", "pre_layrnorm", "post_layernorm"),
    says_activation=False,
)


def find_layout(names: Collection[str]) -> Layout:
    """The family that a file's names belong to; OFFICIAL where nothing speaks for another one.

    Args:
        names: of all tensors in the file, without `module.`.
    """
    if "embeddings.word_embeddings.weight" in names:
        return BARE_BERT
    if "embeddings.patch_embedding.weight" in names:
        return BARE_VISION_HF
    if "text_model.embeddings.word_embeddings.weight" in names:
        return CHINESE_CLIP_HF
    if any(name.startswith(("text_model.", "vision_model.")) for name in names):
        return CLIP_HF
    if "token_embedding.weight" in names and {"input_resolution", "context_length"} & set(names):
        return OPENAI
    if "token_embedding.weight" in names or any(name.startswith("text.") for name in names):
        return OPEN_CLIP
    if "bert.embeddings.word_embeddings.weight" in names and "logit_scale" not in names:
        return BERT
    return OFFICIAL
