"""Random variation of captions."""

from __future__ import annotations

import random
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnclip.errors import RecipeError
from cnclip.text.clauses import find_borders, split_clauses
from cnclip.text.segment import segment_words
from cnclip.text.synonyms import Synonyms, group_synonyms
from cnclip.text.vary import CAPTION_POLICIES, CaptionPolicy, vary_caption
from cnclip.text.wordkinds import droppable

TITLES = [
    "夏季新款红色连衣裙女中长款显瘦雪纺裙",
    "韩版 宽松 显瘦 连衣裙 白色 外套",
    "新款 iPhone 14 Pro 手机壳 防摔",
    "ins网红同款学院风小白鞋女百搭平底",
    "纯棉四件套 1,000针 无甲醛，亲肤透气，不掉色",
]
SENTENCES = [
    "一个穿着红色衣服的男人正在海边的沙滩上奔跑。",
    "一位老人坐在长椅上看报纸，旁边有一只没有戴项圈的狗。",
    "兩個小孩在草地上踢足球，後面是一棵大樹！",
    "男人被狗追，女人在笑，孩子们在远处踢足球",
    "左边的女孩举着一把伞；右边的男孩拿着三个气球🎈。天空很蓝。",
]
ALL = TITLES + SENTENCES
EVERYTHING = CaptionPolicy(word_dropout=1.0, segment_shuffle=1.0)
WORDS = group_synonyms([["连衣裙", "裙子", "长裙"], ["男人", "男子"], ["云上猫", "飞猫"]])


def varied(caption: str, policy: CaptionPolicy, seed: int = 0, synonyms: Synonyms | None = None) -> str:
    return vary_caption(caption, np.random.default_rng(seed), policy, synonyms)


def results(caption: str, policy: CaptionPolicy, synonyms: Synonyms | None = None) -> set[str]:
    return {varied(caption, policy, seed, synonyms) for seed in range(60)}


@pytest.mark.parametrize("name", CAPTION_POLICIES)
def test_same_arguments_give_the_same_caption(name: str) -> None:
    policy = CAPTION_POLICIES[name]
    for caption in ALL:
        for seed in range(10):
            first = varied(caption, policy, seed, WORDS)
            random.seed(seed)
            np.random.seed(seed)
            assert varied(caption, policy, seed, WORDS) == first


def test_another_process_gives_the_same_captions() -> None:
    code = (
        "import sys, numpy as np\n"
        "from cnclip.text.vary import CAPTION_POLICIES, vary_caption\n"
        "assert 'torch' not in sys.modules\n"
        "for seed, caption in enumerate(sys.argv[1:]):\n"
        "    made = vary_caption(caption, np.random.default_rng(seed), CAPTION_POLICIES['strong'])\n"
        "    sys.stdout.buffer.write(made.encode() + b'\\n')\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code, *ALL], capture_output=True, check=True)
    expected = [varied(caption, CAPTION_POLICIES["strong"], seed) for seed, caption in enumerate(ALL)]
    assert done.stdout.decode().splitlines() == expected
    assert done.stderr == b""


def test_no_policy_changes_and_draws_nothing() -> None:
    rng = np.random.default_rng(3)
    assert vary_caption(ALL[0], rng, CAPTION_POLICIES["none"], WORDS) is ALL[0]
    assert rng.random() == np.random.default_rng(3).random()


def test_a_policy_that_never_fires_gives_the_caption_back() -> None:
    never = CaptionPolicy(word_dropout=1e-12)
    for caption in [*ALL, "", " ", "，", "  a  b ，", "，，红色", "Nike红鞋Air"]:
        assert varied(caption, never) == caption


def test_one_switch_does_not_shift_the_others() -> None:
    for caption in ALL:
        lost = varied(caption, CaptionPolicy(word_dropout=0.4), 5)
        both = varied(caption, CaptionPolicy(word_dropout=0.4, segment_shuffle=1.0), 5)
        assert sorted(lost) == sorted(both)


def test_what_would_change_the_meaning_is_never_lost() -> None:
    """Worked by hand, with every word lost that may be."""
    cases = {
        "一个穿着红色衣服的男人正在海边的沙滩上奔跑。": "一个穿着红色衣服海边沙滩上。",
        "一位老人坐在长椅上看报纸，旁边有一只没有戴项圈的狗。": "一位老人长椅上，旁边有一只没有戴项圈的狗。",
        "男人被狗追": "男人被狗追",
        "左边的女孩举着一把伞": "左边的女孩一把伞",
        "夏季新款红色连衣裙": "红色连衣裙",
        "紅色的車沒有輪子": "紅色的車沒有輪子",
        "开心的孩子们向左边跑": "孩子们向左边跑",
    }
    for caption, expected in cases.items():
        assert varied(caption, CaptionPolicy(word_dropout=1.0)) == expected


@pytest.mark.parametrize("caption", ALL)
def test_facts_survive_the_strongest_dropout(caption: str) -> None:
    facts = "[红白蓝黑]|没有.*|无甲醛|不掉色|[一二两兩三四]|[0-9]+|[A-Za-z]+|左边|右边|上|後面|被"
    found = re.findall(facts, caption)
    for seed in range(20):
        made = varied(caption, CaptionPolicy(word_dropout=0.9), seed)
        assert re.findall(facts, made) == found
        assert len(made) >= 2


def test_a_caption_of_words_that_may_all_go_keeps_one() -> None:
    for caption in ("奔跑", "猫", "宽松显瘦连衣裙", "美丽的风景", "宽松 显瘦 连衣裙"):
        for made in results(caption, EVERYTHING):
            assert made.strip()


def test_dropout_takes_the_share_that_it_says() -> None:
    words = segment_words("宽松显瘦连衣裙美丽风景") * 200
    assert all(droppable(words))
    left = len(segment_words(varied("".join(words), CaptionPolicy(word_dropout=0.25))))
    assert left == pytest.approx(0.75 * len(words), rel=0.06)


def test_clauses_change_places_as_a_whole_and_within_their_sentence() -> None:
    shuffle = CaptionPolicy(segment_shuffle=1.0)
    assert results("男人在跑，女人在笑，孩子睡觉。天很蓝。", shuffle) == {
        f"{one}，{two}，{three}。天很蓝。"
        for one, two, three in [
            ("男人在跑", "女人在笑", "孩子睡觉"),
            ("男人在跑", "孩子睡觉", "女人在笑"),
            ("女人在笑", "男人在跑", "孩子睡觉"),
            ("女人在笑", "孩子睡觉", "男人在跑"),
            ("孩子睡觉", "男人在跑", "女人在笑"),
            ("孩子睡觉", "女人在笑", "男人在跑"),
        ]
    }


def test_keywords_change_places_but_a_colour_keeps_its_neighbours() -> None:
    shuffle = CaptionPolicy(segment_shuffle=1.0)
    assert results("红色 连衣裙 夏季", shuffle) == {"红色 连衣裙 夏季", "夏季 红色 连衣裙"}
    assert results("外套 黑色 裤子 白色", shuffle) == {"外套 黑色 裤子 白色"}
    assert results("新款 iPhone 14 Pro 手机壳 防摔", shuffle) == {
        "新款 iPhone 14 Pro 手机壳 防摔",
        "防摔 新款 iPhone 14 Pro 手机壳",
    }


@pytest.mark.parametrize(
    "caption",
    [
        "一个 男人 在 海边 奔跑",
        "价格1,000元",
        "一个女人拿着包，她穿着裙子",
        "他跑得快，但没有赢",
        "男人、女人和孩子",
        "a man, and his dog",
        "猫",
    ],
)
def test_what_hangs_together_is_not_shuffled(caption: str) -> None:
    assert results(caption, CaptionPolicy(segment_shuffle=1.0)) == {caption}


def test_borders_of_a_title() -> None:
    parts, gaps = split_clauses("纯棉四件套，亲肤透气, 无甲醛。1,000针！红色")
    assert parts == ["纯棉四件套", "亲肤透气", "无甲醛", "1,000针", "红色"]
    assert find_borders([segment_words(part) for part in parts], gaps) == ["open", "open", "wall", "wall"]


def test_words_change_places_only_when_asked() -> None:
    caption = "男人追赶女人"
    assert all(policy.word_shuffle == 0 for policy in CAPTION_POLICIES.values())
    made = results(caption, CaptionPolicy(word_shuffle=0.5))
    assert len(made) > 2 and {"".join(sorted(one)) for one in made} == {"".join(sorted(caption))}


def test_synonyms_replace_whole_words_only() -> None:
    always = CaptionPolicy(synonym_probability=1.0)
    assert results("红色连衣裙和男人", always, WORDS) == {"红色裙子和男子", "红色长裙和男子"}
    assert results("一只云上猫", always, WORDS) == {"一只飞猫"}  # jieba cuts it, the file does not
    assert results("红色连衣裙", always, None) == {"红色连衣裙"}
    assert results("红色连衣裙", CaptionPolicy(word_dropout=1e-12), WORDS) == {"红色连衣裙"}


def test_latin_words_do_not_grow_together() -> None:
    assert varied("Nike宽松Air", CaptionPolicy(word_dropout=1.0)) == "Nike Air"


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from([*"，。 ,!、的红不1aB猫🐢", "男人", "奔跑", "没有", "连衣裙", "\u3000", "14 "]),
        max_size=15,
    ),
    st.integers(0, 2**32 - 1),
    st.sampled_from([EVERYTHING, *CAPTION_POLICIES.values(), CaptionPolicy(1.0, 1.0, 1.0, 1.0)]),
)
def test_any_caption_varies_to_one_that_is_not_empty(
    pieces: list[str], seed: int, policy: CaptionPolicy
) -> None:
    caption = "".join(pieces)
    made = varied(caption, policy, seed, WORDS)
    assert made == varied(caption, policy, seed, WORDS)
    assert bool(made.strip()) == bool(caption.strip())
    assert bool(re.search(r"\w", made)) == bool(re.search(r"\w", caption))


@settings(max_examples=100, deadline=None)
@given(st.text(), st.integers(0, 2**32 - 1))
def test_any_string_is_accepted(caption: str, seed: int) -> None:
    made = varied(caption, EVERYTHING, seed)
    assert bool(made.strip()) == bool(caption.strip())


@pytest.mark.parametrize("field", ["word_dropout", "segment_shuffle", "synonym_probability", "word_shuffle"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability_is_refused(field: str, value: float) -> None:
    with pytest.raises(RecipeError, match=field):
        CaptionPolicy(**{field: value})
