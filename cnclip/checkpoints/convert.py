"""From any checkpoint to one of three formats; what was written is read back before it is kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnclip.artifacts import (
    atomic_dir,
    atomic_file,
    write_manifest,
)
from cnclip.checkpoints.account import LoadAccount
from cnclip.checkpoints.describe import path_bytes
from cnclip.checkpoints.detect import detect_architecture
from cnclip.checkpoints.fitting import check_finite
from cnclip.checkpoints.huggingface import CONFIG_FILE
from cnclip.checkpoints.native import load_checkpoint, load_with_account, write_model
from cnclip.checkpoints.official import check_official, write_official
from cnclip.checkpoints.opened import open_checkpoint
from cnclip.checkpoints.parity import (
    Parity,
    Probe,
    ProbeFeatures,
    check_parity,
    make_probe,
    measure_parity,
    probe_features,
    transformers_features,
)
from cnclip.checkpoints.plan import Extras, Format, Wanted, check_target
from cnclip.checkpoints.precision import Precision, set_precision
from cnclip.checkpoints.to_huggingface import check_hugging_face, write_hugging_face
from cnclip.errors import CheckpointError
from cnclip.model import ChineseClip, ClipArchitecture

_CHECKS: dict[Format, Callable[..., object]] = {"cn_clip": check_official, "hf": check_hugging_face}


@dataclass(frozen=True)
class Conversion:
    """What a conversion did.

    Attributes:
        account: what was read from where.
        parities: who read the target -> both sides' features against the source's.
        left_out: file or part of the source that the target has not -> (bytes, reason).
        untold: what the target's tensors do not tell (`text.heads is 4` …): the file says it beside them to
            cnclip, other programs must know it.
        source_bytes: size of the source.
        target_bytes: size of the target.
    """

    account: LoadAccount
    parities: dict[str, tuple[Parity, Parity]]
    left_out: dict[str, tuple[int, str]]
    untold: list[str]
    source_bytes: int
    target_bytes: int


def convert_checkpoint(
    source: Path, target: Path, wanted: Wanted, *, report: Callable[[str], None] = lambda _: None
) -> Conversion:
    """Write a checkpoint in another format; a failure leaves nothing under the target's name.

    Args:
        source: whatever `load_checkpoint` takes.
        target: a folder, for cn_clip a file.
        wanted: its format and type.
        report: gets a line before each long step.

    Raises:
        CheckpointError: the source cannot be read, the format cannot hold it, or what was written does not
            compute the same.
        ArtifactError: the target exists already, or is no checkpoint.
        RecipeError: the target's name does not fit the format.
        ResourceError: disk full, no permission.
    """
    check_target(target, wanted)
    source_bytes = path_bytes(source)  # with --replace the target may take the source's place
    report(f"reading {source}")
    model, account = load_with_account(source, resolution=wanted.resolution)
    architecture = model.architecture
    if wanted.format in _CHECKS:
        _CHECKS[wanted.format](architecture, where=str(target))
    probe = make_probe(architecture)
    reference = probe_features(model, probe)
    _set_precision(model, wanted.precision, source)
    extras = Extras.of(source, wanted)
    report(f"writing {target}")
    with _staged(target, wanted, extras.facts) as temporary:
        _write(model, temporary, extras, wanted)
        del model  # a large one fits only once
        report("reading it back")
        parities = _read_back(temporary, architecture, probe, reference)
        for reader, pair in parities.items():
            check_parity(pair, wanted.precision, where=f"{target}, read by {reader}")
    return Conversion(
        account=account,
        parities=parities,
        left_out=extras.left_out,
        untold=_untold(target, architecture) if wanted.format == "cn_clip" else [],
        source_bytes=source_bytes,
        target_bytes=path_bytes(target),
    )


def _set_precision(model: ChineseClip, precision: Precision, source: Path) -> None:
    set_precision(model, precision)
    try:
        check_finite(model.state_dict(), where=source)
    except CheckpointError as error:
        raise CheckpointError(
            f"a weight is larger than {precision} can hold", where=error.where, fix="--dtype bf16 or fp32"
        ) from None


@contextmanager
def _staged(target: Path, wanted: Wanted, facts: dict[str, Any]) -> Iterator[Path]:
    if wanted.format == "cn_clip":
        with atomic_file(target) as temporary:
            yield temporary
    else:
        with atomic_dir(target, facts=facts, replace=wanted.replace) as temporary:
            yield temporary


def _write(model: ChineseClip, place: Path, extras: Extras, wanted: Wanted) -> None:
    if wanted.format == "cn_clip":
        write_official(model, place, facts=extras.official)
        return
    for name in extras.copied:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(extras.source / name, place / name)
    if wanted.format == "hf":
        write_hugging_face(model, place)
        return
    write_model(model, place)
    write_manifest(place, extras.facts)  # reading it back asks for one


def _read_back(
    place: Path, architecture: ClipArchitecture, probe: Probe, reference: ProbeFeatures
) -> dict[str, tuple[Parity, Parity]]:
    ours = load_checkpoint(place, architecture=architecture)
    parities = {"cnclip": measure_parity(reference, probe_features(ours, probe))}
    del ours
    if (place / CONFIG_FILE).is_file():
        second_opinion = transformers_features(place, probe)
        if second_opinion is not None:
            parities["transformers"] = measure_parity(reference, second_opinion)
    return parities


def _untold(file: Path, architecture: ClipArchitecture) -> list[str]:
    """What a file's tensors do not tell of its architecture: heads of an unusual width, dropout."""
    true = architecture.to_dict()
    try:
        opened = open_checkpoint(file, shapes_only=True)
        told = detect_architecture(opened.tensors, where=str(file)).to_dict()
    except CheckpointError:
        told = {"image": {}, "text": {}}
    return [
        f"{tower}.{key} is {value}"
        for tower in ("image", "text")
        for key, value in true[tower].items()
        if told[tower].get(key) != value
    ]
