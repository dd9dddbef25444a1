"""What to do about a slice that is reliably worse."""

from __future__ import annotations

from collections.abc import Sequence

from cnclip.evaluation.chapters.blocks import Words
from cnclip.evaluation.insight.slices import SliceFindings

_COMPOSITION = ("colour", "counted", "number", "negation", "sides", "position", "man", "woman", "child")

_ADVICE: tuple[tuple[tuple[str, ...], Words], ...] = (
    (
        tuple(f"says/{key}" for key in _COMPOSITION),
        Words(
            "这些内容更差：{zh}。用 cnclip eval composition 看模型是否真的读懂它们；读不懂就在训练数据里多"
            "放只差这一处的图和描述。",
            "Worse by what they say: {en}. cnclip eval composition tells whether the model reads it at "
            "all; if not, train on pictures and captions that differ in just this.",
        ),
    ),
    (
        ("rarity/0", "rarity/1–4", "rarity/1"),
        Words(
            "含生僻词的查询更差：给训练数据补上这些词的描述，或者在查询时换成常用的同义词。",
            "Queries with rare words are worse: add training captions that hold them, or ask with common "
            "synonyms.",
        ),
    ),
    (
        ("length/0–5", "words/0–3"),
        Words(
            "很短的查询更差：话说得少，常有好几张图都对得上。先看测试集里的疑似漏标，再怪模型。",
            "Very short queries are worse: they say little, and several pictures may fit. Look at the "
            "suspects of the test set before you blame the model.",
        ),
    ),
    (
        ("form/cut", "length/≥51"),
        Words(
            "太长的描述会被截断：把要紧的话放在前面，或者改成一两个短句。",
            "Long captions are cut: put what matters first, or say it in one or two short sentences.",
        ),
    ),
    (
        ("form/traditional",),
        Words(
            "繁体字更差：查询前转成简体（cnclip data clean --simplify true），或者训练时放进繁体描述。",
            "Traditional characters are worse: simplify queries (cnclip data clean --simplify true), or "
            "train on traditional captions, too.",
        ),
    ),
    (
        ("form/unknown",),
        Words(
            "词表没有的字会变成 [UNK]，模型看不见它们：换一种写法。",
            "Characters that the vocabulary lacks become [UNK], which the model cannot tell apart: write "
            "them otherwise.",
        ),
    ),
    (
        ("form/emoji", "form/punctuation", "form/full-width"),
        Words(
            "表情、标点或全角字符更差：查询前去掉它们；cnclip eval robustness 量得出各损失多少。",
            "Emoji, marks or full-width characters are worse: take them out of queries; cnclip eval "
            "robustness measures what each costs.",
        ),
    ),
    (
        ("source/", "size/", "shape/"),
        Words(
            "某些图片（来源、大小或形状）更差：看几张，训练数据里有没有同样的图？长条图会被压成方形。",
            "Some pictures (by source, size or shape) are worse: look at a few, and whether the training "
            "data has any like them. Long ones are squashed to a square.",
        ),
    ),
)


def advice(found: Sequence[SliceFindings]) -> list[Words]:
    """One sentence or two for each sort of slice in which some model is reliably worse.

    Args:
        found: of one model or several.
    """
    worse = {
        one.name: one.shown
        for findings in found
        for direction in (findings.t2i, findings.i2t)
        for one in direction.slices
        if one.verdict == "worse"
    }
    texts = []
    for names, text in _ADVICE:
        shown = [one for name, one in worse.items() if _matches(name, names)]
        if shown:
            zh, en = "、".join(one.zh for one in shown), ", ".join(one.en for one in shown)
            texts.append(Words(text.zh.format(zh=zh), text.en.format(en=en)))
    return texts


def _matches(name: str, names: Sequence[str]) -> bool:
    """Whether a slice is one of those named; a name that ends in / stands for a family."""
    return name in names or f"{name.partition('/')[0]}/" in names
