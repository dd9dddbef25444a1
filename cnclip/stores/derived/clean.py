"""A store's captions rewritten: what changes, what is left out, and the new store's rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from cnclip.errors import SourceError
from cnclip.stores.derived.rows import Choice, DerivedSource, Mask, Places
from cnclip.stores.raw.rows import RawImage, RawText, Report, RowProblem, clean_caption
from cnclip.stores.reader import StoreReader

Rewrite = Callable[
    [str], tuple[str, tuple[str, ...]]
]  # caption -> the new one, and the rules that changed it
Progress = Callable[[str, int, int], None]
EMPTY, EQUAL = "empty", "equal"  # why a caption or a link is left out


@dataclass
class CleanPlan:
    """What a rewriting does to a store.

    Attributes:
        choice: the rows that are left; all pictures are.
        rules: rule -> captions that it changes.
        examples: rule -> the first captions that it changes, before and after.
        changed: bool [captions]: those that are not what they were.
        empty: bool [captions]: nothing is left of them.
        equal: bool [captions]: all of their pictures have the same caption already.
        unlinked: links that are left out of captions that stay.
    """

    choice: Choice
    rules: dict[str, int]
    examples: dict[str, list[tuple[str, str]]]
    changed: Mask
    empty: Mask
    equal: Mask
    unlinked: int

    @property
    def dropped(self) -> int:
        """Captions that are left out."""
        return int(self.empty.sum() + self.equal.sum())


def plan_cleaning(
    reader: StoreReader, rewrite: Rewrite, *, examples: int = 3, progress: Progress | None = None
) -> CleanPlan:
    """Rewrite every caption once and see what comes of it.

    A caption with nothing visible left is dropped. Where two captions of one picture become equal, the second
    loses its link to the picture, and with the last link it is dropped; captions that were equal before are
    left alone. Memory: some bytes a caption and a pair, no texts.

    Args:
        reader: of the store.
        rewrite: caption -> (new caption, rules that changed it); of a new caption it makes the same.
        examples: for each rule, at most.
        progress: called with (step, captions done, captions in all).

    Raises:
        SourceError: a rewritten caption that a store may not hold.
    """
    seen = _Seen(reader.text_count, examples)
    for index in range(reader.text_count):
        stored = reader.text(index)
        after, rules = rewrite(stored.caption)
        seen.add(index, stored.caption, after, rules)
        if rules and not seen.empty[index]:
            _check(after, stored.text_id, reader)
        if progress is not None:
            progress("captions rewritten", index + 1, reader.text_count)
    pair_texts = reader.pair_texts
    repeated = _made_equal(reader.pair_images, pair_texts, seen) & ~seen.empty[pair_texts]
    links = ~repeated & ~seen.empty[pair_texts]
    had = np.bincount(pair_texts, minlength=reader.text_count) > 0
    has = np.bincount(pair_texts[links], minlength=reader.text_count) > 0
    equal = had & ~has & ~seen.empty
    choice = Choice(np.arange(reader.image_count), ~seen.empty & ~equal, links)
    unlinked = int((repeated & ~equal[pair_texts]).sum())
    return CleanPlan(choice, seen.rules, seen.examples, seen.changed, seen.empty, equal, unlinked)


def change_lines(reader: StoreReader, rewrite: Rewrite, plan: CleanPlan) -> Iterator[dict[str, Any]]:
    """One object for each caption that changed or lost something.

    `after` is null where the caption is dropped, and `rules` then ends in `empty` or `equal`; `unlinked`
    lists pictures that have the same caption already.
    """
    links, pair_texts = plan.choice.links, reader.pair_texts
    assert links is not None
    touched = plan.changed | plan.empty
    touched[pair_texts[~links]] = True
    for index in np.flatnonzero(touched).tolist():
        stored = reader.text(index)
        after, rules = rewrite(stored.caption)
        line: dict[str, Any] = {"text_id": stored.text_id, "before": stored.caption, "after": after}
        line["rules"] = list(rules)
        first, end = np.searchsorted(pair_texts, [index, index + 1])
        if not plan.choice.texts[index]:
            line["after"] = None
            line["rules"].append(EMPTY if plan.empty[index] else EQUAL)
        elif not links[first:end].all():
            gone = np.flatnonzero(~links[first:end]).tolist()
            line["unlinked"] = [stored.image_ids[place] for place in gone]
        yield line


class CleanedSource:
    """The rows of a store as a plan leaves them, with their captions rewritten.

    Args:
        reader: of the store.
        rewrite: as the plan was made with.
        plan: see plan_cleaning.
        facts: what the new store's header says about where it comes from.
    """

    def __init__(
        self, reader: StoreReader, rewrite: Rewrite, plan: CleanPlan, facts: Mapping[str, Any]
    ) -> None:
        self._rows = DerivedSource([reader], plan.choice, facts)
        self._rewrite = rewrite
        self.root: Path = self._rows.root
        self.inputs: tuple[Path, ...] = self._rows.inputs
        self.facts = self._rows.facts

    @property
    def share_read(self) -> float | None:
        return self._rows.share_read

    def images(self, report: Report) -> Iterator[RawImage]:
        """All pictures."""
        return self._rows.images(report)

    def texts(self, report: Report) -> Iterator[RawText]:
        """The captions that are left."""
        for text in self._rows.texts(report):
            yield RawText(text.text_id, self._rewrite(text.caption)[0], text.image_ids, text.where)


def is_empty(caption: str) -> bool:
    """Whether a caption has nothing visible, so that no store takes it."""
    try:
        clean_caption(caption, "the caption")
    except RowProblem as problem:
        return str(problem).startswith("empty")
    return False


@dataclass
class _Seen:
    """What is remembered of the captions."""

    count: int
    most: int
    rules: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.before = np.zeros(self.count, dtype=np.uint64)
        self.after = np.zeros(self.count, dtype=np.uint64)
        self.changed = np.zeros(self.count, dtype=bool)
        self.empty = np.zeros(self.count, dtype=bool)

    def add(self, index: int, before: str, after: str, rules: tuple[str, ...]) -> None:
        self.before[index] = _key(before)
        self.after[index] = _key(after) if rules else self.before[index]
        self.changed[index] = bool(rules)
        self.empty[index] = bool(rules) and is_empty(after)
        for rule in rules:
            self.rules[rule] = self.rules.get(rule, 0) + 1
            shown = self.examples.setdefault(rule, [])
            if len(shown) < self.most and (before, after) not in shown:
                shown.append((before, after))


def _made_equal(pair_images: Places, pair_texts: Places, seen: _Seen) -> Mask:
    """bool [pairs]: whose caption is now, and was not before, that of an earlier pair of the same picture."""
    after = seen.after[pair_texts]
    order = np.lexsort((np.arange(len(after)), after, pair_images))
    images, keys = pair_images[order], after[order]
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = (images[1:] != images[:-1]) | (keys[1:] != keys[:-1])
    first = np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))
    before = seen.before[pair_texts][order]
    found = np.zeros(len(order), dtype=bool)
    found[order] = ~begins & (before != before[first])
    return found


def _check(caption: str, text_id: str, reader: StoreReader) -> None:
    try:
        clean_caption(caption, "the rewritten caption")
    except RowProblem as problem:
        raise SourceError(str(problem), where=f"{reader.path} caption {text_id}") from None


def _key(caption: str) -> int:
    return int.from_bytes(blake2b(caption.encode(), digest_size=8).digest(), "little")
