"""`cnclip eval robustness` and `cnclip eval composition`: captions rewritten, captions made false."""

from __future__ import annotations

from pathlib import Path

from cnclip.checkpoints import Precision
from cnclip.commands.eval_robustness_parts import (
    SuiteOptions,
    account_of,
    embedder,
    measured_store,
    place_names,
    print_suite,
    write_suite,
)
from cnclip.config import parse_call
from cnclip.evaluation.page import write_page
from cnclip.evaluation.perturb import composition_report as probe
from cnclip.evaluation.perturb import robustness_report as report
from cnclip.evaluation.perturb.composition import measure_composition
from cnclip.evaluation.perturb.kinds import KINDS, choose_names
from cnclip.evaluation.perturb.negatives import NEGATIVES
from cnclip.evaluation.perturb.robustness import measure_robustness
from cnclip.evaluation.processes import refuse_company
from cnclip.evaluation.statistics import SAMPLES
from cnclip.stores.reader import StoreReader


def robustness(
    checkpoint: str,
    data: Path,
    *,
    kinds: str = "all",
    seed: int = 0,
    limit: int = 0,
    bootstrap: int = SAMPLES,
    output: Path | None = None,
    precision: Precision = "fp32",
    batch_size: int = 64,
    workers: int = 2,
    device: str = "auto",
) -> int:
    """Write captions differently and measure the text-to-image recall that is lost, kind by kind.

    The kinds: traditional, simplified, full-width, half-width, digits (两→2), characters (2→两), two (两↔二),
    formal (两→贰), no-punctuation, more-punctuation, emoji, spaces, clause-order, synonym; particle (的得地),
    homophone and look-alike typos; word-order, truncation. Each is measured on the captions that it changes,
    before and after. Pictures and captions are embedded once and kept with --output; only changed captions
    are embedded anew. With --output it writes results.json, report.md and report.html (opens offline).

    Examples:
        cnclip eval robustness ViT-B-16 stores/muge-valid --output reports/robustness
        cnclip eval robustness --checkpoint ViT-B-16 --data stores/muge-valid --kinds traditional,homophone

    Args:
        checkpoint: a model's name, folder or file.
        data: a folder made by `cnclip data build`.
        kinds: names parted by commas.
        seed: of what is drawn: which character is mistyped, which word exchanged.
        limit: most captions of each kind; 0 takes all.
        bootstrap: samples of the intervals.
        output: folder for the report.
        precision: of weights and arithmetic.
        batch_size: pictures per forward pass.
        workers: threads that decode pictures.
        device: cpu, cuda, cuda:1 …; auto takes a GPU where there is one.
    """
    refuse_company("eval robustness")
    names = choose_names(kinds, list(KINDS), what="kind of change")
    options = SuiteOptions(seed, limit, bootstrap, output, precision, batch_size, workers, device)
    with StoreReader(data) as reader:
        subject, store = measured_store(checkpoint, reader, options)
        with subject.timed("changed captions"):
            results = measure_robustness(
                store, names, embedder(subject, options), seed=seed, limit=limit, samples=bootstrap
            )
        table, lines = report.robustness_table(results), report.robustness_lines(results)
        print_suite([table], lines)
        if output is not None:
            content = report.robustness_json(
                results,
                settings=options.settings(),
                run=account_of(subject, reader, "robustness", options, kinds),
            )
            title = f"中文鲁棒性报告 Robustness report: {subject.short_name}"
            tables = [table, report.example_table(results)]
            write_suite(output, title, content, lines, tables, report.robustness_chart(results))
    return 0


def composition(
    checkpoint: str,
    data: Path,
    *,
    kinds: str = "all",
    seed: int = 0,
    limit: int = 0,
    bootstrap: int = SAMPLES,
    output: Path | None = None,
    precision: Precision = "fp32",
    batch_size: int = 64,
    workers: int = 2,
    device: str = "auto",
) -> int:
    """Make captions false by one detail and count how often the true one still scores higher.

    The kinds, in the manner of SugarCrepe (Hsieh et al., 2023): colour, colour-swap, number, attribute,
    person, left-right, up-down, front-back, in-out, place-swap, actor-swap, negation; and measure, a wrong
    measure word, which tests Chinese and not the picture and stays out of the sum. Chance is 50 %, equal
    scores count against the model. Two blind scores that never see the picture are shown beside it: a kind
    that they can guess proves nothing. With --output it writes results.json, report.md, report.html and
    failures.html, the pictures that it gets wrong.

    Examples:
        cnclip eval composition ViT-B-16 stores/muge-valid --output reports/composition
        cnclip eval composition --checkpoint ViT-B-16 --data stores/muge-valid --kinds colour,number,negation

    Args:
        checkpoint: a model's name, folder or file.
        data: a folder made by `cnclip data build`.
        kinds: names parted by commas.
        seed: of what is drawn: which colour, which number.
        limit: most captions of each kind; 0 takes all.
        bootstrap: samples of the intervals.
        output: folder for the report.
        precision: of weights and arithmetic.
        batch_size: pictures per forward pass.
        workers: threads that decode pictures.
        device: cpu, cuda, cuda:1 …; auto takes a GPU where there is one.
    """
    refuse_company("eval composition")
    names = choose_names(kinds, list(NEGATIVES), what="kind of false caption")
    options = SuiteOptions(seed, limit, bootstrap, output, precision, batch_size, workers, device)
    with StoreReader(data) as reader:
        subject, store = measured_store(checkpoint, reader, options)
        with subject.timed("false captions"):
            results = measure_composition(
                store, names, embedder(subject, options), seed=seed, limit=limit, samples=bootstrap
            )
        table, lines = probe.composition_table(results), probe.composition_lines(results)
        print_suite([table], lines)
        if output is not None:
            image_ids = list(reader.image_ids())
            run = account_of(subject, reader, "composition", options, kinds)
            content = probe.composition_json(results, image_ids, settings=options.settings(), run=run)
            title = f"组合理解报告 Composition report: {subject.short_name}"
            tables = [table, probe.failure_table(results, image_ids)]
            sections = probe.failure_sections(results, reader)
            if sections:
                lines.append("答错的图片 pictures of the failures: failures.html")
                write_page(output / "failures.html", f"{title}: failures", sections=sections)
            write_suite(output, title, content, lines, tables, probe.composition_chart(results))
    return 0


def run_robustness(argv: list[str]) -> int:
    """`robustness` with its arguments from a command line."""
    return robustness(**parse_call(robustness, place_names(argv), prog="cnclip eval robustness"))


def run_composition(argv: list[str]) -> int:
    """`composition` with its arguments from a command line."""
    return composition(**parse_call(composition, place_names(argv), prog="cnclip eval composition"))
