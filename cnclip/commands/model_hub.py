"""`cnclip model download` and `push`: official weights from a hub, your own to the Hugging Face hub."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from cnclip.artifacts import MANIFEST_NAME, sha256_file, verify_dir, write_manifest
from cnclip.checkpoints.describe import describe_checkpoint, path_bytes
from cnclip.checkpoints.publish import TRAINER_FOLDER
from cnclip.commands.card import model_card
from cnclip.commands.model_parts import read_history, readable_bytes
from cnclip.errors import CheckpointError, UnknownNameError
from cnclip.finding import MODELS, find_checkpoint
from cnclip.hub import push_folder
from cnclip.hub.names import check_repository

CARD_FILE = "README.md"


def download(name: str, *, root: Path | None = None, modelscope: bool = False) -> int:
    """Fetch the weights of an official model, verified; what is here already is not fetched again.

    Prints where the file lies, its size and its sha256. HF_ENDPOINT names a mirror.

    Examples:
        cnclip model download ViT-B-16
        cnclip model download ViT-H-14 --root checkpoints
        cnclip model download RN50 --modelscope true

    Args:
        name: of an official model; `cnclip model list` shows them.
        root: folder to put the file into; without it the hub's own cache.
        modelscope: from ModelScope in place of the Hugging Face hub.
    """
    if name not in MODELS:
        raise UnknownNameError(
            f"{name!r} is no official model", fix=f"one of: {', '.join(MODELS)}; a path needs no download"
        )
    path = find_checkpoint(name, root, use_modelscope=modelscope)
    size = path.stat().st_size
    print(f"{path}\n{size:,} bytes ({readable_bytes(size)})\nsha256 {sha256_file(path)}")
    return 0


def push(
    folder: Path,
    repository: str,
    *,
    private: bool = False,
    license: str = "apache-2.0",
    message: str = "Upload with cnclip",
) -> int:
    """Upload a checkpoint folder to the Hugging Face hub, with a model card.

    The card is the folder's README.md; where there is none, one is made from the recipe, the metrics and
    results.json (`cnclip eval retrieval … --output` writes one; copy it into the folder). The training state
    stays here. The token is the one of `hf auth login`, or HF_TOKEN.

    Examples:
        cnclip model push checkpoints/emoji-stage2 me/emoji-clip --private true
        cnclip model push exports/emoji-hf me/emoji-clip-hf --license cc-by-4.0

    Args:
        folder: a checkpoint folder of ours, or a Hugging Face folder.
        repository: owner/name.
        private: make a repository that only you see, where it does not exist yet.
        license: the hub's word for the license of the weights.
        message: of the commit.
    """
    check_repository(repository, None)
    if not folder.is_dir():
        raise CheckpointError(
            "not a checkpoint folder", where=str(folder), fix="cnclip model convert makes one"
        )
    with tempfile.TemporaryDirectory(prefix=".push-", dir=folder.absolute().parent) as temporary:
        staged = stage_for_push(folder, Path(temporary) / folder.name, repository, license_name=license)
        print(f"uploading {readable_bytes(path_bytes(staged))} to {repository}", file=sys.stderr, flush=True)
        print(push_folder(staged, repository, private=private, message=message))
    return 0


def stage_for_push(folder: Path, target: Path, repository: str, *, license_name: str) -> Path:
    """A folder of what is uploaded: the checkpoint without training state, its card, a manifest of both.

    Args:
        folder: the checkpoint; its files are linked where the file system can, else copied.
        target: made here.
        repository: `owner/name`, for the card.
        license_name: for the card.

    Raises:
        CheckpointError: no checkpoint, or damaged.
        ArtifactError: a file differs from the manifest.
    """
    facts = verify_dir(folder).facts if (folder / MANIFEST_NAME).is_file() else {}
    card = model_card(
        describe_checkpoint(folder), read_history(folder), repository, license_name=license_name
    )
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder)
        left_out = name.parts[0] == TRAINER_FOLDER or any(part.startswith(".") for part in name.parts)
        if file.is_file() and not left_out and name.name != MANIFEST_NAME:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            _link(file, target / name)
    if not (target / CARD_FILE).exists():
        (target / CARD_FILE).write_text(card, encoding="utf-8")
    write_manifest(target, facts)
    return target


def _link(file: Path, target: Path) -> None:
    try:
        os.link(file, target)
    except OSError:
        shutil.copyfile(file, target)
