"""What `eval robustness` and `eval composition` share: the measured store, their arguments, their reports."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnclip.checkpoints import Precision
from cnclip.commands.evaluate_parts import Subject, open_subject, store_embeddings, write_results
from cnclip.errors import RecipeError
from cnclip.evaluation.embed import embed_texts
from cnclip.evaluation.evaluate import store_positives
from cnclip.evaluation.perturb.bars import BarChart, write_bar_page
from cnclip.evaluation.perturb.robustness import Embed, Measured
from cnclip.evaluation.rows import Rows
from cnclip.stores.reader import StoreReader
from cnclip.tables import Table, text_table


@dataclass(frozen=True)
class SuiteOptions:
    """How a suite is run.

    Attributes:
        seed: of what is drawn, and of the bootstrap.
        limit: most captions of a kind; 0 takes all.
        bootstrap: samples of the intervals.
        output: folder of the report; None writes nothing.
        precision, batch_size, workers, device: of the embedding.
    """

    seed: int
    limit: int
    bootstrap: int
    output: Path | None
    precision: Precision
    batch_size: int
    workers: int
    device: str

    def settings(self) -> dict[str, int]:
        """The `settings` part of results.json."""
        return {"seed": self.seed, "limit": self.limit, "samples": self.bootstrap}


def place_names(argv: Sequence[str]) -> list[str]:
    """--checkpoint (or --model) and --data may stand anywhere; they become the first two words."""
    named: dict[str, str] = {}
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        key = {"--checkpoint": "checkpoint", "--model": "checkpoint", "--data": "data"}.get(name)
        if key is None:
            rest.append(word)
            continue
        given = value if equals else next(words, None)
        if given is None or key in named:
            raise RecipeError(f"{name} needs one value", fix="--checkpoint MODEL --data STORE")
        named[key] = given
    if "data" in named and "checkpoint" not in named and rest and not rest[0].startswith("-"):
        named["checkpoint"] = rest.pop(0)
    return [*(named[key] for key in ("checkpoint", "data") if key in named), *rest]


def measured_store(checkpoint: str, reader: StoreReader, options: SuiteOptions) -> tuple[Subject, Measured]:
    """The opened model, and the store's captions and embeddings, kept in the report's folder.

    Raises:
        RecipeError: a number of the options makes no sense.
        UnknownNameError, CheckpointError, StoreError, ImageError: what cannot be read.
    """
    if options.seed < 0 or options.limit < 0 or options.bootstrap < 1:
        raise RecipeError(
            f"seed {options.seed}, limit {options.limit}, bootstrap {options.bootstrap} make no sense",
            fix="--seed 0 --limit 0 --bootstrap 1000",
        )
    subject = open_subject(checkpoint, options.device, options.precision)
    folder = options.output and options.output / "embeddings"
    images, texts = store_embeddings(
        subject, reader, folder, batch_size=options.batch_size, workers=options.workers
    )
    positives = store_positives(reader)
    return subject, Measured(list(reader.captions()), images.rows, texts.rows, positives)


def embedder(subject: Subject, options: SuiteOptions) -> Embed:
    """Captions -> unit rows of the opened model."""

    def embed(captions: Sequence[str]) -> Rows:
        return embed_texts(subject.model, captions, batch_size=4 * options.batch_size).rows

    return embed


def print_suite(tables: Sequence[Table], lines: Sequence[str]) -> None:
    """Tables and sentences on stdout."""
    print("\n\n".join(map(text_table, tables)))
    print("\n".join(lines))


def account_of(
    subject: Subject, reader: StoreReader, verb: str, options: SuiteOptions, kinds: str
) -> dict[str, Any]:
    """The `run` part of results.json, with the command that makes the report again."""
    command = ["cnclip", "eval", verb, subject.name, str(reader.path), "--kinds", kinds]
    command += ["--seed", str(options.seed), "--limit", str(options.limit)]
    command += ["--bootstrap", str(options.bootstrap), "--output", str(options.output)]
    account = subject.account({"path": str(reader.path), "fingerprint": reader.fingerprint})
    return account | {"command": shlex.join(command)}


def write_suite(
    output: Path,
    title: str,
    content: Mapping[str, Any],
    lines: Sequence[str],
    tables: Sequence[Table],
    chart: BarChart,
) -> None:
    """Write results.json, report.md and report.html.

    Raises:
        ResourceError: disk full or no permission.
    """
    run = content["run"]
    facts = [f"模型 model: {run['checkpoint']['name']}", f"数据 data: {run['data']['path']}"]
    facts += [f"命令 command: {run['command']}", *lines]
    write_results(output, title, dict(content), lines=facts, tables=tables)
    write_bar_page(output / "report.html", title, lines=facts, charts=[chart], tables=tables)
    print(f"report: {output / 'report.html'}")
