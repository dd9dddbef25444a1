"""What a conversion should give, whether it may, and which files besides the model go along."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cnclip.artifacts import MANIFEST_NAME, read_json, read_manifest, verify_dir
from cnclip.checkpoints.huggingface import CONFIG_FILE
from cnclip.checkpoints.official import OfficialFacts, read_official_facts
from cnclip.checkpoints.opened import ARCHITECTURE_FILE, MODEL_FILE
from cnclip.checkpoints.precision import Precision
from cnclip.checkpoints.publish import METRICS_FILE, TRAINER_FOLDER
from cnclip.errors import ArtifactError, RecipeError

Format = Literal["native", "cn_clip", "hf"]
FORMATS: dict[Format, str] = {
    "native": "checkpoint folder",
    "cn_clip": "cn_clip file",
    "hf": "Hugging Face folder",
}
HISTORY_FILES = ("recipe.yaml", METRICS_FILE, "results.json")
_OPTIMIZER = "cn_clip's training state, which only cn_clip can go on from"
_FILE_ENDINGS = (".pt", ".pth", ".bin")


@dataclass(frozen=True)
class Wanted:
    """What a conversion should give.

    Attributes:
        format: of the target.
        precision: of the weights in it: fp32, fp16 or bf16.
        resolution: pixels; None = the source's.
        strip: leave the training state out of a checkpoint folder.
        replace: swap out what is there already.
    """

    format: Format = "native"
    precision: Precision = "fp32"
    resolution: int | None = None
    strip: bool = False
    replace: bool = False


@dataclass(frozen=True)
class Extras:
    """What goes into the target besides the model.

    Attributes:
        source: the folder or file that is converted.
        copied: relative names of its files that go along.
        left_out: file or part that does not -> (bytes, reason).
        facts: for the target's manifest.
        official: for a cn_clip file.
    """

    source: Path
    copied: tuple[str, ...]
    left_out: dict[str, tuple[int, str]]
    facts: dict[str, Any]
    official: OfficialFacts

    @classmethod
    def of(cls, source: Path, wanted: Wanted) -> Extras:
        """Look through a source.

        Raises:
            ArtifactError: a file of the folder differs from its manifest.
        """
        facts: dict[str, Any] = {"kind": f"cnclip {FORMATS[wanted.format]}", "converted_from": source.name}
        if source.is_file():
            official = read_official_facts(source) or OfficialFacts(name=source.stem)
            left = {"optimizer": (official.optimizer_bytes, _OPTIMIZER)} if official.optimizer_bytes else {}
            return cls(source, (), left, facts, official)
        names = [path.relative_to(source).as_posix() for path in sorted(source.rglob("*")) if path.is_file()]
        native = (source / ARCHITECTURE_FILE).is_file()
        if native:
            verify_dir(source)  # what is copied is copied whole
            facts = {**read_manifest(source).facts, **facts}
        copied: list[str] = []
        left_out: dict[str, tuple[int, str]] = {}
        for name in names:
            why = _reason_to_leave(name, wanted, native=native)
            if why is None:
                copied.append(name)
            elif why:
                left_out[name] = ((source / name).stat().st_size, why)
        metrics = read_json(source / METRICS_FILE) if METRICS_FILE in names else {}
        step = metrics.get("published_step") if isinstance(metrics, dict) else None
        official = OfficialFacts(name=source.name, step=step if type(step) is int else 0)
        return cls(source, tuple(copied), left_out, facts, official)


def _reason_to_leave(name: str, wanted: Wanted, *, native: bool) -> str | None:
    """Why a file of a folder is not copied; None = it is; "" = it is written anew."""
    if wanted.format != "cn_clip" and name in HISTORY_FILES:
        return None
    if not native or name in (MODEL_FILE, ARCHITECTURE_FILE, MANIFEST_NAME):
        return ""
    if name.startswith(f"{TRAINER_FOLDER}/"):
        if wanted.strip:
            return "--strip"
        if wanted.format == "native" and wanted.precision == "fp32" and wanted.resolution is None:
            return None
        return "training goes on only from the unchanged weights, in a checkpoint folder"
    return None if wanted.format == "native" else f"a {FORMATS[wanted.format]} has no place for it"


def check_target(target: Path, wanted: Wanted) -> None:
    """Refuse a target before any work is done.

    Raises:
        RecipeError: name or type do not fit the format.
        ArtifactError: something is there already, and `replace` is False or it is no checkpoint.
    """
    if wanted.format == "cn_clip" and target.suffix not in _FILE_ENDINGS:
        raise RecipeError(f"a cn_clip file ends in {', '.join(_FILE_ENDINGS)}", where=str(target))
    if wanted.format == "cn_clip" and wanted.precision not in ("fp32", "fp16"):
        raise RecipeError(f"cn_clip reads fp32 and fp16, not {wanted.precision}", where="--dtype")
    if wanted.format != "cn_clip" and target.suffix in (*_FILE_ENDINGS, ".safetensors"):
        raise RecipeError(
            f"a {FORMATS[wanted.format]} is a folder, and this is a file's name",
            where=str(target),
            fix=f"choose {target.with_suffix('')}, or --to cn_clip",
        )
    if not target.exists():
        return
    if not wanted.replace:
        raise ArtifactError(
            "the target exists already", where=str(target), fix="choose another name, or add --replace true"
        )
    model = any((target / name).is_file() for name in (ARCHITECTURE_FILE, CONFIG_FILE))
    if target.is_file() != (wanted.format == "cn_clip") or (target.is_dir() and not model):
        raise ArtifactError(
            f"what is there is no {FORMATS[wanted.format]}", where=str(target), fix="choose another name"
        )
