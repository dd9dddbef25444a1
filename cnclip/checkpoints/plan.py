"""What a conversion should give, whether it may, and which files besides the model go along."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cnclip.artifacts import MANIFEST_NAME, read_json, verify_dir
from cnclip.checkpoints.hugging_tokenizer import TOKENIZER_FILES
from cnclip.checkpoints.huggingface import CONFIG_FILE, read_table, weight_file
from cnclip.checkpoints.official import OfficialFacts, read_official_facts
from cnclip.checkpoints.opened import ARCHITECTURE_FILE
from cnclip.checkpoints.precision import Precision
from cnclip.checkpoints.publish import METRICS_FILE, TRAINER_FOLDER
from cnclip.checkpoints.to_huggingface import PREPROCESSOR_FILE
from cnclip.errors import ArtifactError, RecipeError
from cnclip.hub.archives import is_archive

Format = Literal["native", "cn_clip", "hf"]
FORMATS: dict[Format, str] = {
    "native": "checkpoint folder",
    "cn_clip": "cn_clip file",
    "hf": "Hugging Face folder",
}
HISTORY_FILES = ("recipe.yaml", METRICS_FILE, "results.json")
_TRAINER_STATE = f"{TRAINER_FOLDER}/state.json"
_PAPERS = re.compile(r"(readme|licen[cs]e|notice|copying)[^/]*", re.IGNORECASE)
_READ_BY_OTHERS = (*TOKENIZER_FILES, PREPROCESSOR_FILE, "special_tokens_map.json", "added_tokens.json")
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
            told = read_official_facts(source)
            official = told or OfficialFacts(name=source.stem)
            left = {"optimizer": (official.optimizer_bytes, _OPTIMIZER)} if official.optimizer_bytes else {}
            return cls(source, (), left, {**_kept_facts(told), **facts}, official)
        if (source / MANIFEST_NAME).is_file():
            facts = {**verify_dir(source).facts, **facts}  # what is copied is copied whole
        copied: list[str] = []
        left_out: dict[str, tuple[int, str]] = {}
        reasons = _Reasons(wanted, native=(source / ARCHITECTURE_FILE).is_file(), read=_weight_files(source))
        for path in sorted(path for path in source.rglob("*") if path.is_file()):
            name = path.relative_to(source).as_posix()
            why = reasons.to_leave(name)
            if why is None:
                copied.append(name)
            elif why:
                part = name.split("/")[0] if name.startswith(".") else name  # .git has thousands
                left_out[part] = (left_out.get(part, (0, why))[0] + path.stat().st_size, why)
        return cls(source, tuple(copied), left_out, facts, _official_facts(source, facts))


def _kept_facts(told: OfficialFacts | None) -> dict[str, Any]:
    """What a manifest keeps of a cn_clip file's facts."""
    if told is None:
        return {}
    values = {"name": told.name, "epoch": told.epoch, "step": told.step}
    return {key: value for key, value in values.items() if value}


def _official_facts(folder: Path, facts: Mapping[str, Any]) -> OfficialFacts:
    """What a cn_clip file says of a folder: from its manifest, else from what training wrote down."""
    name, epoch = facts.get("name"), facts.get("epoch")
    steps = (
        facts.get("step"),
        _number(folder / METRICS_FILE, "published_step"),
        _number(folder / _TRAINER_STATE, "step"),
    )
    return OfficialFacts(
        name=name if isinstance(name, str) and name else folder.name,
        epoch=epoch if type(epoch) is int else 0,
        step=next((step for step in steps if type(step) is int), 0),
    )


def _number(file: Path, key: str) -> Any:
    value = read_json(file) if file.is_file() else None
    return value.get(key) if isinstance(value, dict) else None


def _weight_files(folder: Path) -> frozenset[str]:
    """The files that the weights of a folder were read from."""
    name = weight_file(folder)
    if name is None:
        return frozenset()
    shards = read_table(folder / name).get("weight_map", {}) if name.endswith(".json") else {}
    return frozenset({name, *shards.values()})


@dataclass(frozen=True)
class _Reasons:
    """Why files of a folder do not go along.

    Attributes:
        wanted: of the conversion.
        native: the folder is one of ours.
        read: its weight files.
    """

    wanted: Wanted
    native: bool
    read: frozenset[str]

    def to_leave(self, name: str) -> str | None:
        """Why a file is not copied; None = it is; "" = what it says is written anew."""
        to = self.wanted.format
        no_place = f"a {FORMATS[to]} has no place for it"
        if name in self.read or name == (ARCHITECTURE_FILE if self.native else CONFIG_FILE):
            return ""
        if name == MANIFEST_NAME:
            return no_place if to == "cn_clip" else ""
        if name in HISTORY_FILES or _PAPERS.fullmatch(name):
            return no_place if to == "cn_clip" else None
        if name.startswith("."):
            return "records of git and of downloads"
        if not self.native:
            if name not in _READ_BY_OTHERS:
                return "the model does not need it"
            written = to == "hf" and name in (*TOKENIZER_FILES, PREPROCESSOR_FILE)
            return "" if written else "cnclip has its own tokenizer and picture settings"
        if name.startswith(f"{TRAINER_FOLDER}/"):
            return self._to_leave_training_state()
        return None if to == "native" else no_place

    def _to_leave_training_state(self) -> str | None:
        if self.wanted.strip:
            return "--strip"
        same_weights = self.wanted.precision == "fp32" and self.wanted.resolution is None
        if self.wanted.format == "native" and same_weights:
            return None
        return "training goes on only from the unchanged weights, in a checkpoint folder"


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
    if not (target.is_file() and is_archive(target) if wanted.format == "cn_clip" else model):
        raise ArtifactError(
            f"what is there is no {FORMATS[wanted.format]}", where=str(target), fix="choose another name"
        )
