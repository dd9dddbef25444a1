"""What both measuring commands need: the opened model, its fingerprints and times, the reports."""

from __future__ import annotations

import inspect
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnclip.artifacts import atomic_file, write_json
from cnclip.checkpoints import Precision
from cnclip.errors import SourceError
from cnclip.evaluation.cache import EmbeddingFacts, Kind, cached_embeddings, tower_fingerprint
from cnclip.evaluation.embed import EmbeddingTable, embed_images, embed_texts
from cnclip.evaluation.report import versions
from cnclip.images.transform import ImageTransform
from cnclip.model import ChineseClip
from cnclip.stores.reader import StoreReader
from cnclip.tables import Table, markdown_table
from cnclip.text.wordpiece import CONTEXT_LENGTH
from cnclip.zoo import load_from_name


@dataclass(frozen=True)
class Subject:
    """The model that is measured.

    Attributes:
        name: as the user gave it.
        model: in eval mode, on its device.
        transform: its preprocessing.
        towers: "image" and "text" -> sha256 of that tower's weights.
        seconds: what was done -> how long it took; filled by `timed`.
        precision: of the weights and the arithmetic.
    """

    name: str
    model: ChineseClip
    transform: ImageTransform
    towers: dict[Kind, str]
    seconds: dict[str, float] = field(default_factory=dict)
    precision: Precision = "fp32"

    @property
    def short_name(self) -> str:
        """The last part of a path, a model's name as it is."""
        return Path(self.name).name

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Note how long the block took."""
        start = time.perf_counter()
        yield
        self.seconds[what] = round(time.perf_counter() - start, 3)

    def account(self, data: dict[str, str | None]) -> dict[str, Any]:
        """The `run` part of results.json."""
        return {
            "checkpoint": {
                "name": self.name,
                "image_tower": self.towers["image"],
                "text_tower": self.towers["text"],
            },
            "data": data,
            "preprocessing": self.transform.fingerprint,
            "precision": self.precision,
            "device": str(next(self.model.parameters()).device),
            "versions": versions(),
            "seconds": self.seconds,
        }


def open_subject(checkpoint: str, device: str, precision: Precision = "fp32") -> Subject:
    """Load a model by name, folder or file, its weights in a precision.

    Raises:
        UnknownNameError: no such model or device.
        CheckpointError: the model cannot be read.
    """
    start = time.perf_counter()
    chosen = None if device == "auto" else device
    model, transform = load_from_name(checkpoint, device=chosen, precision=precision)
    towers: dict[Kind, str] = {kind: tower_fingerprint(model, kind) for kind in ("image", "text")}
    model.pack_for_inference()
    seconds = {"load": round(time.perf_counter() - start, 3)}
    return Subject(checkpoint, model, transform, towers, seconds, precision)


def store_embeddings(
    subject: Subject, store: StoreReader, folder: Path | None, *, batch_size: int, workers: int
) -> tuple[EmbeddingTable, EmbeddingTable]:
    """Embeddings of a store's pictures and of its captions, taken from `folder` where they are the same.

    Args:
        subject: the model.
        store: pictures and captions.
        folder: where embeddings are kept; None keeps none.
        batch_size: pictures per forward pass; captions go four times as many.
        workers: threads that decode pictures.
    """
    images = image_embeddings(
        subject, store, folder and folder / "images", batch_size=batch_size, workers=workers
    )
    return images, text_embeddings(subject, store, folder and folder / "texts", batch_size=4 * batch_size)


def image_embeddings(
    subject: Subject, store: StoreReader, folder: Path | None, *, batch_size: int, workers: int
) -> EmbeddingTable:
    """Embeddings of a store's pictures, taken from `folder` where they are the same; see store_embeddings."""

    def embed() -> EmbeddingTable:
        return embed_images(
            subject.model, store, transform=subject.transform, batch_size=batch_size, workers=workers
        )

    with subject.timed("images"):
        return cached_embeddings(folder, embedding_facts(subject, store, "image"), embed)


def text_embeddings(
    subject: Subject, store: StoreReader, folder: Path | None, *, batch_size: int
) -> EmbeddingTable:
    """Embeddings of a store's captions, taken from `folder` where they are the same; see store_embeddings."""

    def embed() -> EmbeddingTable:
        captions, ids = list(store.captions()), list(store.text_ids())
        return embed_texts(subject.model, captions, ids=ids, batch_size=batch_size)

    with subject.timed("texts"):
        return cached_embeddings(folder, embedding_facts(subject, store, "text"), embed)


def embedding_facts(subject: Subject, store: StoreReader, kind: Kind) -> EmbeddingFacts:
    """All that decides the embeddings of a store's pictures or captions."""
    text = f"normalize_caption, {CONTEXT_LENGTH} tokens"
    return EmbeddingFacts(
        kind=kind,
        tower=subject.towers[kind],
        preprocessing=subject.transform.fingerprint if kind == "image" else text,
        source=store.fingerprint,
        precision=subject.precision,
    )


def command_line(verb: str, function: Callable[..., int], values: Mapping[str, Any]) -> str:
    """The command line that makes the same report again.

    Args:
        verb: such as "eval zeroshot".
        function: the verb's; its parameters before `*` are words, the others options.
        values: its arguments by name.
    """
    words = ["cnclip", *verb.split()]
    for name, parameter in inspect.signature(function).parameters.items():
        value = values[name]
        said = str(value).lower() if isinstance(value, bool) else str(value)
        if parameter.kind is not parameter.KEYWORD_ONLY:
            words.append(said)
        elif value != parameter.default:
            words += [f"--{name.replace('_', '-')}", said]
    return shlex.join(words)


def read_queries(words: str) -> list[str]:
    """Queries parted by semicolons, or the lines of a file of that name.

    Raises:
        SourceError: the file is not UTF-8, or there is no query.
    """
    path = Path(words)
    text = words.replace("；", ";").replace(";", "\n")
    if len(words) < 1024 and path.is_file():
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise SourceError(
                f"cannot read the queries: {error}", where=words, fix="save it as UTF-8"
            ) from None
    else:
        _refuse_lost_files(text.splitlines())
    queries = [line.strip() for line in text.splitlines() if line.strip()]
    if not queries:
        raise SourceError(
            "no queries",
            where=words.strip() or None,
            fix='write --queries "红色的水果;下雨天" or a file of lines',
        )
    return queries


def _refuse_lost_files(queries: Sequence[str]) -> None:
    """A file's name that leads to none would be looked for in pictures, without a word.

    Raises:
        SourceError: a query ends in .txt.
    """
    for query in queries:
        if query.strip().lower().endswith(".txt"):
            raise SourceError(
                f"no such file of queries: {query.strip()}",
                fix="give one file of lines, or the queries themselves, parted by semicolons",
            )


def write_results(
    output: Path, title: str, results: dict[str, Any], *, lines: Sequence[str], tables: Sequence[Table]
) -> None:
    """Write results.json and report.md into a folder.

    Raises:
        ResourceError: disk full or no permission.
    """
    write_json(output / "results.json", results)
    parts = [f"# {title}", "\n".join(f"- {line}" for line in lines), *map(markdown_table, tables)]
    with atomic_file(output / "report.md") as temporary:
        temporary.write_text("\n\n".join(parts), encoding="utf-8", errors="replace")
