"""Left and right of a caption, exchanged: what a mirrored picture needs.

Exchanged are 左 and 右 wherever they are a direction (左边, 右手, 从左到右, 左撇子: a mirrored left hand is
a right hand), 顺时针 and 逆时针, and the English words left and right (also -most, -ward, -hand) in lower
case, capitals or with a capital. East and west stay: a mirrored map is wrong whatever its caption says.
Kept are words in which 左 and 右 are no direction: pairs (左右 "about", 左右手), idioms (左顾右盼, 座右铭),
politics (右派), names (左宗棠, 左权县, 阿拉善左旗), medicines (左氧氟沙星), and "all right", "right now".

What it cannot know: people of the surname 左, places and brands that are not listed; whether 左翼 is a wing
(assumed) or politics; "left" as the past of leave, "right" as correct; and everything that is written *in
the picture*, which a mirror makes unreadable. That is why no picture is mirrored unless the user asks for it.
"""

from __future__ import annotations

import re

from cnclip.text.segment import segment_words

# Long enough to mean the same wherever they stand; each is kept with either side in it.
_PHRASES = (
    "座右铭 座右銘 无出其右 無出其右 左顾右盼 左顧右盼 左邻右舍 左鄰右舍 左邻右里 左思右想 左拥右抱 左擁右抱 "
    "左膀右臂 左支右绌 左支右吾 左冲右突 左躲右闪 左摇右摆 左摇右晃 左右逢源 忽左忽右 时左时右 一左一右 "
    "旁门左道 左道旁门 虚左以待 稳操左券 意见相左 左宗棠 左丘明 左光斗 左良玉 左冷禅 左小青 左氏春秋 王右军 "
    "于右任 左权县 左权将军 左云县 右玉县 左贡县 左营区 崇左市 右江区 左家庄 左家塘 左安门 右安门 府右街 "
    "塞纳河左岸 塞纳左岸 巴黎左岸 左岸咖啡 土默特左旗 阿拉善左旗 巴林左旗 苏尼特左旗 新巴尔虎左旗 "
    "科尔沁左翼 喀喇沁左翼 左翼作家 左翼文学 左翼文化 左翼运动 右翼分子 右翼势力 极右翼 极右派 左轮手枪 "
    "左轮枪 左旋肉碱 左旋多巴 左氧氟沙星 左炔诺孕酮 左甲状腺素 左乙拉西坦 左西替利嗪 右美沙芬 右布洛芬"
)
# Short: kept only where they are a whole word for jieba (左派 is not one in 左派出所).
_WORDS = "左派 右派 极左 极右 反右 左传 左慈 左权 左云 右玉 左贡 左营 崇左 右江 陇右 相左 左近"

_SIDES = {"左": "右", "右": "左"}
_TURNS = {"顺时针": "逆时针", "逆时针": "顺时针", "順時針": "逆時針", "逆時針": "順時針"}
_ENGLISH = {
    "left": "right",
    "Left": "Right",
    "LEFT": "RIGHT",
    "right": "left",
    "Right": "Left",
    "RIGHT": "LEFT",
}

_LETTER = "[A-Za-z0-9_]"
_NO_DIRECTION = r"all (?:left|right)|(?:left|right) (?:now|away|angles?|angled|triangles?)"
_FINDER = re.compile(
    rf"(?<!{_LETTER})(?:(?i:{_NO_DIRECTION})(?!{_LETTER})"
    rf"|(?P<english>{'|'.join(_ENGLISH)})(?=(?i:most|wards?|hand|handed)?(?!{_LETTER})))"
    r"|(?P<han>[㐀-鿿]+)"
)
_ANY = re.compile("[左右]|" + "|".join((*_TURNS, *_ENGLISH)))
_TURN = re.compile("|".join(_TURNS))
_KEPT = re.compile("|".join(("[左右]{2,}", *(re.sub("[左右]", "[左右]", one) for one in _PHRASES.split()))))
_KEPT_WORDS = frozenset(_WORDS.split())


def swap_sides(caption: str) -> str:
    """Exchange left and right in a caption; doing it twice gives the caption back.

    Args:
        caption: any string; only the words of this module's docstring change.

    Raises:
        ResourceError: jieba is not installed; only met by captions with 左 or 右.
    """
    return _FINDER.sub(_swapped, caption) if _ANY.search(caption) else caption


def has_sides(caption: str) -> bool:
    """True where `swap_sides` would change something: a caption that a mirror image contradicts."""
    return swap_sides(caption) != caption


def _swapped(found: re.Match[str]) -> str:
    if found["english"]:
        return _ENGLISH[found["english"]]
    run = found["han"]
    if not run:
        return found[0]
    if "左" in run or "右" in run:
        run = _swapped_run(run)
    return _TURN.sub(lambda turn: _TURNS[turn[0]], run)


def _swapped_run(run: str) -> str:
    """Chinese characters without a gap, 左 and 右 exchanged.

    What is kept must not depend on which side the run names now, or a second exchange would not undo the
    first: words are sought in the run with every side made 左, and again with every side made 右.
    """
    kept = {place for found in _KEPT.finditer(run) for place in range(*found.span())}
    one_turn = _TURN.sub(lambda turn: max(turn[0], _TURNS[turn[0]]), run)
    for one, other in _SIDES.items():
        place = 0
        for word in segment_words(one_turn.replace(one, other)):
            if word in _KEPT_WORDS:
                kept.update(range(place, place + len(word)))
            place += len(word)
    return "".join(one if place in kept else _SIDES.get(one, one) for place, one in enumerate(run))
