"""Two things of a caption in each other's place: 猫在箱子上 -> 箱子在猫上; 狗追猫 -> 猫追狗."""

from __future__ import annotations

import re

import numpy as np

_POSTURES = "坐|站|躺|趴|睡|蹲|跪|放|停|挂|立|靠|卧|摆"
_PLACES = "上面|下面|里面|前面|后面|左边|右边|上方|下方|外面|身上|身后|上|下|里|前|后"
_NEAR = "[^在，。！!,;；、]"
_END = "(?P<end>[。.！!]?)"
_LOCATED = re.compile(
    rf"(?P<first>{_NEAR}{{1,10}}?)(?P<verb>(?:正?(?:{_POSTURES}))?在)"
    rf"(?P<second>{_NEAR}{{1,8}}?)(?P<place>的?(?:{_PLACES})){_END}"
)
_ACTS = (
    "追逐着?|追赶着?|追着|追|咬着?|抱着|看着|盯着|牵着|骑着|推着|背着|拉着|舔着?|跟着|扑向|亲吻着?|亲着?"
    "|搂着|抓着|驮着|踢|拥抱着?|闻着?"
)
_ACTING = re.compile(
    rf"(?P<first>{_NEAR}{{1,10}}?)(?P<verb>(?:正在|在|正)?(?:{_ACTS}))(?P<second>{_NEAR}{{1,8}}?){_END}"
)
# A noun with one of these is a clause, or the rest of a word.
_NO_NOUN = re.compile(
    "有|的.*的|正|被|把|给|和|是|不|没|过|了|来|去|得|着|们中|走|骑|跑|倒|周|偎|跳|玩|打|看|像|从|向|到|很|也"
)
_NO_NOUN_END = re.compile("[的里上下中前后手嘴]$")
_COUNT = re.compile(
    "^(?:[一两二三四五六七八九十几0-9]+[个只条位名头匹辆架艘张把顶件座棵朵台块支扇颗枚根瓶杯群对双])"
)
_ALIVE = re.compile(
    "(?:人|孩|男|女|狗|猫|马|牛|羊|鸟|鸡|鸭|猪|犬|兔|熊|象|狼|虎|妈|爸|者|员|生|童|婴儿|宝宝|孩儿"
    "|[孩男女妻儿兔狮猴鸽鸭胖汉]子)$"
)
_LIVING_POSTURE = re.compile("[坐站躺趴睡蹲跪靠卧立]")


def exchanged_places(caption: str, rng: np.random.Generator) -> str | None:
    """What is where the other way round: A 在 B 上 -> B 在 A 上, of a sentence that says nothing more."""
    del rng
    return _exchanged(caption, _LOCATED, alive=False)


def exchanged_actors(caption: str, rng: np.random.Generator) -> str | None:
    """Who does it to whom the other way round, of two living beings: 狗追猫 -> 猫追狗."""
    del rng
    return _exchanged(caption, _ACTING, alive=True)


def _exchanged(caption: str, sentence: re.Pattern[str], *, alive: bool) -> str | None:
    found = sentence.fullmatch(caption)
    if found is None:
        return None
    parts = found.groupdict()
    first, second = parts["first"], parts["second"]
    if _bare(first) == _bare(second) or not _is_noun(first) or not _is_noun(second):
        return None
    needed = alive or _LIVING_POSTURE.search(parts["verb"])  # no meadow sits on a dog
    if needed and not (_ALIVE.search(first) and _ALIVE.search(second)):
        return None
    return second + parts["verb"] + first + parts.get("place", "") + parts["end"]


def _bare(phrase: str) -> str:
    """A phrase without its number: 一只狗 and 两只狗 are the same thing."""
    return _COUNT.sub("", phrase)


def _is_noun(phrase: str) -> bool:
    return bool(_bare(phrase)) and not _NO_NOUN.search(phrase) and not _NO_NOUN_END.search(phrase)
