"""Every way to write a caption differently: name -> what it does, what it promises, what it needs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cnclip.errors import UnknownNameError, did_you_mean
from cnclip.evaluation.perturb import numerals, script, typos, wording

Change = Callable[[str, np.random.Generator], "str | None"]
Promise = Literal["same", "typo", "less"]

PROMISES: dict[Promise, str] = {
    "same": "意思不变 same meaning",
    "typo": "错字，读者看得懂 a slip that readers mend",
    "less": "信息变少或次序打乱 less is said, or out of order",
}


@dataclass(frozen=True)
class Kind:
    """One way to write a caption differently.

    Attributes:
        shown: Chinese and English name.
        promise: what becomes of the meaning.
        change: (caption, random generator) -> caption, or None where it does not apply. A pure function.
        needs_opencc: whether it can only be done by OpenCC.
    """

    shown: str
    promise: Promise
    change: Change
    needs_opencc: bool = False


KINDS: dict[str, Kind] = {
    "traditional": Kind("繁体 traditional", "same", script.traditional, needs_opencc=True),
    "simplified": Kind("简体 simplified", "same", script.simplified, needs_opencc=True),
    "full-width": Kind("全角 full width", "same", script.full_width),
    "half-width": Kind("半角标点 half width", "same", script.half_width_marks),
    "digits": Kind("两→2", "same", numerals.digits),
    "characters": Kind("2→两", "same", numerals.characters),
    "two": Kind("两↔二", "same", numerals.two),
    "formal": Kind("两→贰", "same", numerals.formal),
    "no-punctuation": Kind("去标点 no punctuation", "same", wording.without_punctuation),
    "more-punctuation": Kind("加标点 more punctuation", "same", wording.more_punctuation),
    "emoji": Kind("加表情 emoji", "same", wording.with_emoji),
    "spaces": Kind("词间空格 spaces", "same", wording.spaced),
    "clause-order": Kind("分句换位 clause order", "same", wording.clause_order),
    "synonym": Kind("同义词 synonym", "same", wording.with_synonym),
    "particle": Kind("的得地、在再 particle", "typo", typos.confused_particle),
    "homophone": Kind("同音字 homophone", "typo", typos.homophone),
    "look-alike": Kind("形近字 look-alike", "typo", typos.look_alike),
    "word-order": Kind("词序打乱 word order", "less", wording.word_order),
    "truncation": Kind("只剩前半 first half", "less", wording.truncated),
}


def choose_names(asked: str, known: Sequence[str], *, what: str) -> list[str]:
    """Names parted by commas, all of them for "all"; each once, in the order of the list.

    Raises:
        UnknownNameError: a name that is not in the list.
    """
    if asked == "all":
        return list(known)
    names = [name.strip() for name in asked.replace("，", ",").split(",") if name.strip()]
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            raise UnknownNameError(f"no {what} {name!r}", fix=f"{hint}all, or some of: {', '.join(known)}")
    if not names:
        raise UnknownNameError(f"no {what} is named", fix=f"all, or some of: {', '.join(known)}")
    return [name for name in known if name in names]


def why_skipped(kind: Kind) -> str | None:
    """The reason why a kind cannot be done here; None where it can."""
    if kind.needs_opencc and not script.has_opencc():
        return '没有安装 OpenCC，已跳过 skipped, OpenCC is missing: pip install "cnclip[clean]"'
    return None


def caption_generator(seed: int, name: str, caption: str) -> np.random.Generator:
    """The random generator of one caption and kind: it depends on nothing else, such as order or number."""
    key = hashlib.blake2b(f"{name}\0{caption}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return np.random.default_rng([seed, int.from_bytes(key, "big")])


def change_caption(kind: Kind, name: str, caption: str, seed: int) -> str | None:
    """One caption written differently, always the same for the same seed; None where nothing changes."""
    changed = kind.change(caption, caption_generator(seed, name, caption))
    return changed if changed != caption else None
