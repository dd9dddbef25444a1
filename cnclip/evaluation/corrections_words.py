"""What the score corrections do, and when their numbers are fair to report, in Chinese and English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from cnclip.evaluation.chapters.blocks import Words
from cnclip.evaluation.corrections import Correction

NAMES: Mapping[Correction, Words] = {
    "dual_softmax": Words("双向 softmax", "dual softmax"),
    "csls": Words("CSLS", "CSLS"),
    "qb_norm": Words("QB-Norm", "QB-Norm"),
}

MEANINGS: Mapping[Correction, Words] = {
    "dual_softmax": Words(
        "每个分数乘上它在全部查询中对这一项的 softmax 份额：谁都像的一项，份额被摊薄（Cheng 等，2021）。",
        "Each score is multiplied by its share in a softmax over all queries for that item: an item that is"
        " near to every query has little to give to each (Cheng et al., 2021).",
    ),
    "csls": Words(
        "每个分数减去这一项与离它最近的几条查询的平均相似度：谁都像的一项，扣得多（Conneau 等，2018）。",
        "From each score, the item's mean similarity to the queries nearest to it is taken away: an"
        " item that is near to every query loses most (Conneau et al., 2018).",
    ),
    "qb_norm": Words(
        "用一批训练查询量出每一项有多“谁都像”，再据此压低它；只改那些第一名曾被训练查询找到过的查询"
        "（Bogolin 等，2022，动态反向 softmax）。",
        "A bank of training queries tells how near each item is to everything, and its scores are"
        " lowered by that, for those queries alone whose first item some bank query found as well"
        " (Bogolin et al., 2022, dynamic inverted softmax).",
    ),
}

TRANSDUCTIVE = Words(
    "慎用：它同时看了全部测试查询。真实的搜索一次只来一条查询，做不到；公开发表的普通成绩也没有这样做，"
    "两者不能相比。写进论文或榜单时，必须注明，并同时给出不校正的数字。",
    "Take care: it looks at all test queries at once. A search engine gets one query at a time and"
    " cannot do that, and published plain numbers did not, so the two must not be compared. Where it"
    " is reported, say so, and give the plain number beside it.",
)
FAIR = Words(
    "可以报告：只用了训练集的查询，每条测试查询各算各的，搜索服务也做得到。仍要注明用了校正和查询库；"
    "查询库里不能有测试集的文本和图片。",
    "Fair to report: only training queries are used and each test query stands for itself, so a"
    " search engine can do the same. Still say that scores were corrected and by which bank; it must"
    " hold no caption and no picture of the test set.",
)
HARMS = Words(
    "校正的前提是每一项大致同样常被需要。如果少数图片本来就是许多查询的正确答案（热门商品、类别名），"
    "校正会压低它们，成绩反而下降；没有枢纽（hub）时，它也没有什么可改的。",
    "Corrections suppose that every item is wanted about equally often. Where a few pictures are"
    " right for many queries (popular goods, class names), they push these down and do harm; and where"
    " there are no hubs, there is nothing to correct.",
)


def warning(name: Correction, over: Literal["test", "bank"]) -> Words:
    """When the number of a correction is fair to report.

    Args:
        name: of the correction.
        over: whose queries its sums and means were taken over.
    """
    shown = NAMES[name]
    said = TRANSDUCTIVE if over == "test" and name != "qb_norm" else FAIR
    return Words(f"{shown.zh}：{said.zh}", f"{shown.en}: {said.en}")
