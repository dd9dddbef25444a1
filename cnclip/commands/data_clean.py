"""`cnclip data clean STORE TARGET`: captions rewritten by the rules that were asked for, and no others."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from cnclip.artifacts import atomic_file
from cnclip.commands.data_bar import StepBar
from cnclip.commands.data_rebuild import rebuild, refuse_existing
from cnclip.errors import RecipeError
from cnclip.stores.derived import (
    CleanedSource,
    CleanPlan,
    Phrases,
    change_lines,
    find_boilerplate,
    is_empty,
    origin_of,
    plan_cleaning,
    read_phrases,
)
from cnclip.stores.raw.rows import shown
from cnclip.stores.reader import StoreReader
from cnclip.text.rewrite import (
    Boilerplate,
    Rewriter,
    Rewritten,
    Rule,
    half_width,
    phrase_cutter,
    simplifier,
    tidy_spaces,
    without_entities,
)

AUTO = "auto"


def clean(
    store: Path,
    target: Path,
    *,
    simplify: bool = False,
    full_width: bool = False,
    punctuation: bool = False,
    entities: bool = False,
    spaces: bool = False,
    boilerplate: str | None = None,
    drop_empty: bool = True,
    dry_run: bool = False,
    examples: int = 3,
    shard_size: str = "4GB",
    overwrite: bool = False,
) -> int:
    """Make a store with captions rewritten, by the rules that you ask for; none is on by itself.

    Every change is counted by rule, shown in examples, and listed in TARGET.changes.jsonl with the caption
    before and after. Where two captions of one picture become equal, the second is left out. Pictures and ids
    stay as they are. Cleaning a cleaned store by the same rules changes nothing. Begin with --dry-run true.

    Training cleans white space, zero-width characters and full-width letters by itself, on the way to the
    model; simplifying, HTML and boilerplate are only done here.

    Examples:
        cnclip data clean stores/web stores/web-clean --entities true --spaces true --dry-run true
        cnclip data clean stores/tw stores/tw-simplified --simplify true --full-width true
        cnclip data clean stores/shop stores/shop-clean --boilerplate auto

    Args:
        store: a folder made by `cnclip data build`.
        target: the store to make.
        simplify: traditional characters become simplified ones, by OpenCC (pip install "cnclip[clean]").
        full_width: full-width letters, digits and signs become half-width ones, ＡＢＣ１２３ becomes ABC123.
        punctuation: with --full-width true also ，！？：；（）～, the ordinary punctuation of Chinese.
        entities: HTML entities become their characters, and HTML tags go.
        spaces: a run of white space becomes one space; zero-width and control characters go.
        boilerplate: phrases to cut: a UTF-8 file with one on each line; or auto, which finds those of six
            characters and more with which many captions begin or end and which go on alike, and prints them.
        drop_empty: leave out a caption of which nothing is left; false keeps it as it was.
        dry_run: only count and show examples.
        examples: for each rule, at most.
        shard_size: of one file of the store, such as 512MB, 4GB or 10000images.
        overwrite: replace a store that is there.
    """
    rules = _rules(simplify, full_width, punctuation, entities, spaces)
    if not rules and boilerplate is None:
        raise RecipeError("no rule was asked for", fix="--simplify true, --entities true, --spaces true …")
    phrases = None if boilerplate in (None, AUTO) else read_phrases(Path(str(boilerplate)))
    if not dry_run:
        refuse_existing([target], [store], overwrite)
    with StoreReader(store) as reader, StepBar() as bar:
        cut = Boilerplate()
        if phrases is not None:  # as they are written, and as the other rules leave them in the captions
            cut = Boilerplate(anywhere=[*phrases, *(Rewriter(rules)(phrase).caption for phrase in phrases)])
        elif boilerplate == AUTO:
            cut = _found_boilerplate(reader, rules, drop_empty, bar)
        rewrite = _rewriter(rules, cut, drop_empty)
        plan = plan_cleaning(reader, rewrite, examples=examples, progress=bar.of_total)
        bar.close()
        _print_plan(reader, plan)
        if dry_run:
            print("dry run: nothing was written")
            return 0
        names = [*rules, *(["punctuation"] if punctuation else []), *(["boilerplate"] if cut else [])]
        facts = {"kind": "clean", **origin_of(reader), "rules": names, "changed": int(plan.changed.sum())}
        listed = target.parent / f"{target.name}.changes.jsonl"
        with atomic_file(listed) as temporary:  # takes its name when the store has its own
            with open(temporary, "w", encoding="utf-8") as file:
                for line in change_lines(reader, rewrite, plan):
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
            rebuild(CleanedSource(reader, rewrite, plan, facts), target, shard_size, overwrite)
        print(f"all changes: {listed}")
    return 0


def _rules(
    simplify: bool, full_width: bool, punctuation: bool, entities: bool, spaces: bool
) -> dict[str, Rule]:
    if punctuation and not full_width:
        raise RecipeError("--punctuation true says what full-width is to mean", fix="add --full-width true")
    rules: dict[str, Rule] = {}
    if entities:
        rules["entities"] = without_entities
    if full_width:
        rules["full-width"] = partial(half_width, punctuation=punctuation)
    if simplify:
        rules["simplify"] = simplifier()
    if spaces:
        rules["spaces"] = tidy_spaces
    return rules


def _rewriter(rules: dict[str, Rule], cut: Boilerplate, drop_empty: bool) -> Rewriter | _KeepsEmpty:
    rewriter = Rewriter({**rules, "boilerplate": phrase_cutter(cut)} if cut else rules)
    return rewriter if drop_empty else _KeepsEmpty(rewriter)


class _KeepsEmpty:
    """A rewriter that leaves a caption as it was where nothing of it would be left."""

    def __init__(self, rewriter: Rewriter) -> None:
        self._rewriter = rewriter

    def __call__(self, caption: str) -> Rewritten:
        found = self._rewriter(caption)
        return Rewritten(caption, ()) if found.rules and is_empty(found.caption) else found


def _found_boilerplate(
    reader: StoreReader, rules: dict[str, Rule], drop_empty: bool, bar: StepBar
) -> Boilerplate:
    def as_cut(phrases: Phrases) -> Boilerplate:
        return Boilerplate(
            starts=[phrase.text for phrase in phrases.starts], ends=[phrase.text for phrase in phrases.ends]
        )

    def without(phrases: Phrases) -> Callable[[int], str]:
        rewrite = _rewriter(rules, as_cut(phrases), drop_empty)

        def caption_at(index: int) -> str:
            caption = rewrite(reader.text(index).caption).caption
            return "" if is_empty(caption) else caption

        return caption_at

    found = find_boilerplate(without, reader.text_count, progress=bar.of_total)
    bar.close()
    for name, phrases in (("start", found.starts), ("end", found.ends)):
        for phrase in phrases:
            print(f"boilerplate at the {name} of {phrase.captions} captions: {shown(phrase.text)}")
    if not found.starts and not found.ends:
        print("no boilerplate was found")
    return as_cut(found)


def _print_plan(reader: StoreReader, plan: CleanPlan) -> None:
    """Counts by rule with examples, and the conservation of captions."""
    for rule, count in plan.rules.items():
        print(f"{rule}: {count} captions")
        for before, after in plan.examples[rule]:
            print(f"  {shown(before)}  →  {shown(after) or '(nothing)'}")
    empty, equal = int(plan.empty.sum()), int(plan.equal.sum())
    print(
        f"captions: {reader.text_count} read = {reader.text_count - plan.dropped} written"
        f" + {empty} dropped with nothing left + {equal} dropped as equal to another of their picture;"
        f" {int(plan.changed.sum())} changed"
    )
    if plan.unlinked:
        print(f"  links left out, where one picture of several has the caption already: {plan.unlinked}")
