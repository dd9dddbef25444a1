"""The opposite place: 左 and 右, 上 and 下, 前 and 后, 里 and 外."""

from __future__ import annotations

import re

import numpy as np

from cnclip.evaluation.perturb.words import replaced
from cnclip.text.sides import swap_sides

_ON = "桌|椅|凳|床|树|桥|楼|山|船|车|台|桌子|椅子|凳子|沙发|屋顶|石头|箱子|架子|柜子|栏杆|木板|滑板|伞"
_BEFORE = "门|窗|车|楼|房子|屋|树|墙|桌子|镜子|商店|建筑|建筑物|身|雕像|篱笆|栅栏|柜台"
_INSIDE = "屋|窗|车|房间|店|笼子|教室|房子|院子|屋子|帐篷|箱子|体育馆|栅栏|围栏|盒子|篮子|球场|泳池|水池|洞"

_UP_DOWN = re.compile(
    rf"(?<![上下天地])[上下](?=面|方|边(?!缘))|(?:{_ON})(?P<after>[上下])(?![山车去来升班课学衣午坡楼船])"
)
_FRONT_BACK = re.compile(
    rf"(?<![前后背])[前后](?=面|方|边(?!缘)|排|轮|腿|爪|座)|(?:{_BEFORE})(?P<after>[前后])(?![往进行来退])"
)
_IN_OUT = re.compile(
    rf"(?<![里外])[里外](?=面|边|头)|[内外](?=侧)|(?<=室)[内外]|(?:{_INSIDE})(?P<after>[里外内])(?![国套])"
)
_NO_PLACE = re.compile(
    "床上用品|床上[三四五六七]件|背后面|地下面|天下方|前方法|外面包|上面包|下面条|后面包|日后|之前|之后|以前|以后|后边缘"
)


def other_side(caption: str, rng: np.random.Generator) -> str | None:
    """Left and right exchanged wherever the caption names them.

    Raises:
        ResourceError: jieba is not installed.
    """
    del rng
    changed = swap_sides(caption)
    return changed if changed != caption else None


def other_height(caption: str, rng: np.random.Generator) -> str | None:
    """One 上 for 下 or the reverse: 桌子上 -> 桌子下."""
    return _opposite(caption, _UP_DOWN, {"上": "下", "下": "上"}, rng)


def other_front(caption: str, rng: np.random.Generator) -> str | None:
    """One 前 for 后 or the reverse: 门前 -> 门后."""
    return _opposite(caption, _FRONT_BACK, {"前": "后", "后": "前"}, rng)


def other_inside(caption: str, rng: np.random.Generator) -> str | None:
    """One 里 or 内 for 外 or the reverse: 屋里 -> 屋外."""
    outside = "里" if "内" not in caption else "内"
    return _opposite(caption, _IN_OUT, {"里": "外", "内": "外", "外": outside}, rng)


def _opposite(
    caption: str, finder: re.Pattern[str], table: dict[str, str], rng: np.random.Generator
) -> str | None:
    kept = [found.span() for found in _NO_PLACE.finditer(caption)]
    places = [found.start("after") if found["after"] else found.start() for found in finder.finditer(caption)]
    places = [place for place in places if not any(start <= place < end for start, end in kept)]
    if not places:
        return None
    place = places[int(rng.integers(len(places)))]
    return replaced(caption, place, place + 1, table[caption[place]])
