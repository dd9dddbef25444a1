"""`cnclip data check STORE [STORE …]`: examine stores before training."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from cnclip.artifacts import MANIFEST_NAME, atomic_dir, read_manifest
from cnclip.commands.data_bar import StepBar
from cnclip.config import parse_call
from cnclip.errors import ArtifactError
from cnclip.images.decode import open_image, to_rgb
from cnclip.stores.doctor import Checkup, CheckupOptions, Limits, Tools, check_stores, write_report
from cnclip.stores.doctor.report_files import PAGE_NAME
from cnclip.stores.doctor.tables import finding_lines, summary_tables, verdict
from cnclip.stores.reader import StoreReader
from cnclip.tables import text_table
from cnclip.text.normalize import normalize_caption
from cnclip.text.segment import segment_words
from cnclip.text.wordpiece import CONTEXT_LENGTH, UNK_ID, check_context_length, piece_ids

TOOLS = Tools(open_image, to_rgb, normalize_caption, piece_ids, segment_words, UNK_ID)
DO_NOT_TRAIN = 3
REPORT_KIND = "data check"


def check(
    stores: list[Path],
    *,
    output: Path | None = None,
    context_length: int = CONTEXT_LENGTH,
    batch_size: int = 256,
    duplicates: Literal["keep", "mask"] = "keep",
    near: int = 6,
    workers: int = 0,
    max_examples: int = 10,
    max_undecodable: float = 0.0,
    max_leakage: float = 0.01,
    max_near_leakage: float = 0.05,
    max_truncated: float = 0.5,
    max_unknown: float = 0.1,
    max_empty: float = 0.01,
    max_blank: float = 0.1,
    max_repeated: float = 0.5,
    max_false_negatives: float = 1.0,
) -> int:
    """Examine stores before training: every picture is decoded, every caption cut into tokens.

    Give train, valid and test together, and what they share is told. What is above its --max option is an
    error, above a tenth of it a warning, above nothing a note. The exit code is 0 where training may start
    and 3 where a finding is an error.

    With --output a folder is made: report.html (opens offline, with histograms and the strange pictures),
    report.json, and all groups and leaks as duplicates.jsonl and leaks.jsonl.

    Examples:
        cnclip data check stores/muge-train
        cnclip data check stores/muge-train stores/muge-valid stores/muge-test --output reports/muge-data
        cnclip data check stores/photos --context-length 64 --batch-size 1024 --max-truncated 0.2

    Args:
        stores: folders made by `cnclip data build`, one or several.
        output: folder for the report; one that was made by this command is replaced.
        context_length: most tokens of a caption that the model will get.
        batch_size: pairs of the global batch of the training to come.
        duplicates: loss.duplicates of that training, by which false negatives are judged.
        near: bits of 64 in which the hashes of near pictures may differ, 0 to 12.
        workers: processes that decode; 0 takes as many as there are cores, at most 16.
        max_examples: examples of each kind.
        max_undecodable: share of pictures and captions that cannot be read.
        max_leakage: share of a store's pictures that another store has too, with the same pixels.
        max_near_leakage: share of a store's pictures that are near to one of another store.
        max_truncated: share of captions longer than the context.
        max_unknown: share of [UNK] among the tokens.
        max_empty: share of captions with nothing left after cleaning.
        max_blank: share of pictures of nearly one colour.
        max_repeated: share of pictures that repeat another picture of their store.
        max_false_negatives: expected number of false negatives that a row of a batch has.
    """
    check_context_length(context_length)
    options = CheckupOptions(
        context_length=context_length,
        batch_size=batch_size,
        duplicates=duplicates,
        near=near,
        workers=workers or min(16, os.cpu_count() or 1),
        most=max_examples,
        limits=Limits(
            undecodable=max_undecodable,
            leakage=max_leakage,
            near_leakage=max_near_leakage,
            truncated=max_truncated,
            unknown=max_unknown,
            empty=max_empty,
            blank=max_blank,
            repeated=max_repeated,
            false_negatives=max_false_negatives,
        ),
    )
    if output is not None:
        _refuse_other_things(output)
    with ExitStack() as stack:
        readers = [stack.enter_context(StoreReader(store)) for store in stores]
        bar = stack.enter_context(StepBar())
        checkup = check_stores(readers, TOOLS, options, progress=bar.of_total)
        bar.close()
        _print(checkup)
        if output is not None:
            facts = {"kind": REPORT_KIND, "should_train": checkup.should_train}
            with atomic_dir(output, facts=facts, replace=output.exists()) as folder:
                write_report(folder, checkup, readers, TOOLS)
            print(f"report: {output / PAGE_NAME}")
    return 0 if checkup.should_train else DO_NOT_TRAIN


def _refuse_other_things(output: Path) -> None:
    """Only an earlier report is swapped out: a store or a model has a manifest too."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    kind = read_manifest(output).facts.get("kind") if (output / MANIFEST_NAME).is_file() else None
    if kind != REPORT_KIND:
        raise ArtifactError(
            "what is there is no report of this command", where=str(output), fix="choose another folder"
        )


def run_check(argv: list[str]) -> int:
    """`check` with its arguments from a command line; the words that belong to no option are the stores."""
    return check(**parse_call(check, _stores_as_one_word(argv), prog="cnclip data check"))


def _stores_as_one_word(argv: list[str]) -> list[str]:
    """`a b --near 3` -> `["a", "b"] --near 3`: the parser takes a list as one word."""
    stores: list[str] = []
    options: list[str] = []
    words = iter(argv)
    for word in words:
        if not word.startswith("-"):
            stores.append(word)
            continue
        options.append(word)
        if "=" not in word and word not in ("-h", "--help"):
            options.extend(value for value in [next(words, None)] if value is not None)
    return [*([json.dumps(stores, ensure_ascii=False)] if stores else []), *options]


def _print(checkup: Checkup) -> None:
    for table in summary_tables(checkup):
        print(text_table(table), end="\n\n")
    for line in finding_lines(checkup.findings):
        print(line)
    print(f"\n{verdict(checkup)}")
