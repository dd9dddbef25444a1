"""What the cards say: of a model, from its weights and its checkpoint; of a store, from its header."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from cnclip.artifacts import MANIFEST_NAME, read_manifest
from cnclip.checkpoints.detect import official_name_of
from cnclip.commands.evaluate_parts import Subject
from cnclip.commands.model_parts import read_history
from cnclip.errors import CnclipError, UnknownNameError
from cnclip.evaluation.benchmarks import SHIPPED, find_benchmark
from cnclip.evaluation.chapters.cards import DataFacts, ModelFacts
from cnclip.finding import MODELS
from cnclip.model import ChineseClip, ClipArchitecture
from cnclip.stores.reader import StoreReader
from cnclip.text.wordpiece import CONTEXT_LENGTH

_LICENCE_KEYS = ("licence", "license")


def model_facts(subject: Subject, run: dict[str, Any]) -> ModelFacts:
    """A model's card.

    Args:
        subject: the model.
        run: the `run` part of its results.json.
    """
    architecture = subject.model.architecture
    image, text = tower_parameters(architecture)
    return ModelFacts(
        run=run,
        architecture=architecture,
        known_as=official_name_of(architecture),
        image_parameters=image,
        text_parameters=text,
        pixels=subject.transform.image_size,
        context_length=CONTEXT_LENGTH,
        history=_history(subject.name),
    )


def tower_parameters(architecture: ClipArchitecture) -> tuple[int, int]:
    """How many numbers the image tower and the text tower have; the temperature belongs to neither.

    They are counted in a model without weights: one that is packed for inference hides some of its own.
    """
    with torch.device("meta"):
        model = ChineseClip(architecture)
    counts = {"image": 0, "text": 0}
    for name, parameter in model.named_parameters():
        if name != "logit_scale":
            counts["image" if name.startswith("visual.") else "text"] += parameter.numel()
    return counts["image"], counts["text"]


def data_facts(reader: StoreReader, licence: str) -> DataFacts:
    """A store's card.

    Args:
        reader: the store.
        licence: where the benchmark says one; else the manifest's is taken.
    """
    header = reader.header
    source = header.facts.get("source", {})
    parts = [str(source[key]) for key in ("kind", "file") if source.get(key)]
    parts += [part.path for part in header.parts]
    return DataFacts(
        path=reader.path,
        fingerprint=reader.fingerprint,
        images=header.images,
        texts=header.texts,
        pairs=header.pairs,
        unlabelled_texts=header.unlabelled_texts,
        unreferenced_images=header.unreferenced_images,
        image_bytes=header.image_bytes,
        source=", ".join(parts),
        licence=licence or _stated_licence(reader),
    )


def benchmark_licence(data: Path) -> str:
    """What a benchmark's file says of its licence; "" where `data` is no benchmark's name."""
    if data.exists() or len(data.parts) != 1 or not SHIPPED.is_dir():
        return ""
    try:
        return find_benchmark(str(data)).fetch.licence
    except UnknownNameError:
        return ""


def _stated_licence(reader: StoreReader) -> str:
    facts: dict[str, Any] = dict(reader.header.facts)
    if (reader.path / MANIFEST_NAME).is_file():
        facts |= read_manifest(reader.path).facts
    return next((str(facts[key]) for key in _LICENCE_KEYS if facts.get(key)), "")


def _history(name: str) -> dict[str, Any]:
    """What the checkpoint keeps of its training; nothing where it is no folder or file of this machine.

    A damaged record is no reason to give up a report whose weights are whole.
    """
    path = Path(name)
    if name in MODELS or not path.exists():
        return {}
    try:
        return read_history(path)
    except CnclipError:
        return {}
