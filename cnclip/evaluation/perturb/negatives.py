"""Hard negatives of a caption, by kind: as near to it as can be, but false of its picture.

In the manner of SugarCrepe (Hsieh et al., 2023, section 3): one thing is replaced, exchanged or added, and
the sentence stays a good one, so that only the picture tells the two apart. A wrong measure word makes a bad
sentence on purpose; it is marked, and stays out of the mean.
"""

from __future__ import annotations

from dataclasses import dataclass

from cnclip.evaluation.perturb import amounts, attributes, colours, exchange, negation, places
from cnclip.evaluation.perturb.kinds import Change, caption_generator

ATTEMPTS = 4


@dataclass(frozen=True)
class NegativeKind:
    """One way to make a caption false.

    Attributes:
        shown: Chinese and English name.
        change: (caption, random generator) -> false caption, or None where it does not apply.
        fluency: whether it makes a bad sentence instead, which says nothing about the picture.
    """

    shown: str
    change: Change
    fluency: bool = False


NEGATIVES: dict[str, NegativeKind] = {
    "colour": NegativeKind("换颜色 colour", colours.other_colour),
    "colour-swap": NegativeKind("颜色对调 colours exchanged", colours.exchanged_colours),
    "number": NegativeKind("换数量 number", amounts.other_number),
    "attribute": NegativeKind("反属性 attribute", attributes.opposite_attribute),
    "person": NegativeKind("换人物 person", attributes.other_person),
    "left-right": NegativeKind("左↔右 left, right", places.other_side),
    "up-down": NegativeKind("上↔下 on, under", places.other_height),
    "front-back": NegativeKind("前↔后 before, behind", places.other_front),
    "in-out": NegativeKind("里↔外 in, out", places.other_inside),
    "place-swap": NegativeKind("甲在乙上→乙在甲上 places exchanged", exchange.exchanged_places),
    "actor-swap": NegativeKind("甲追乙→乙追甲 actors exchanged", exchange.exchanged_actors),
    "negation": NegativeKind("增删否定 negation", negation.negated),
    "measure": NegativeKind("错量词（通顺度）measure word (fluency)", amounts.wrong_measure, fluency=True),
}


def make_negative(name: str, caption: str, siblings: list[str], seed: int) -> tuple[str | None, bool]:
    """A false caption for the picture of a caption.

    Args:
        name: of NEGATIVES.
        caption: true of the picture.
        siblings: all captions of the picture: what one of them says is not taken for false.
        seed: of the choices.

    Returns:
        The false caption, or None; and whether one was made but given up since it may be true.
    """
    kind = NEGATIVES[name]
    rng = caption_generator(seed, name, caption)
    doubtful = False
    for _ in range(ATTEMPTS):
        changed = kind.change(caption, rng)
        if changed is None or changed == caption:
            break
        if not _may_be_true(caption, changed, siblings):
            return changed, False
        doubtful = True
    return None, doubtful


def _may_be_true(caption: str, changed: str, siblings: list[str]) -> bool:
    """Whether another caption of the picture is the false one, or has what was put into it."""
    start = next(
        (place for place, pair in enumerate(zip(caption, changed, strict=False)) if pair[0] != pair[1]),
        min(len(caption), len(changed)),
    )
    end = 0
    while end < min(len(caption), len(changed)) - start and caption[-1 - end] == changed[-1 - end]:
        end += 1
    inserted = changed[start : len(changed) - end]
    context = changed[max(0, start - 1) : len(changed) - end + 1]
    others = [sibling for sibling in siblings if sibling != caption]
    return any(
        sibling == changed or (len(context) > len(inserted) and inserted and context in sibling)
        for sibling in others
    )
