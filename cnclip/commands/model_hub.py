"""`cnclip model download` and `push`: official weights from a hub, your own to the Hugging Face hub."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cnclip.artifacts import MANIFEST_NAME, sha256_file, verify_dir, write_manifest
from cnclip.checkpoints.describe import describe_checkpoint, path_bytes
from cnclip.checkpoints.publish import TRAINER_FOLDER
from cnclip.commands.card import model_card
from cnclip.commands.model_parts import hash_lines, read_history, readable_bytes
from cnclip.errors import CheckpointError, UnknownNameError
from cnclip.finding import MODELS, find_checkpoint, is_repository
from cnclip.hub import push_folder
from cnclip.hub.names import check_repository

CARD_FILE = "README.md"


def download(name: str, *, root: Path | None = None, modelscope: bool = False) -> int:
    """Fetch the weights of a model, verified; what is here already is not fetched again.

    Prints where they lie, and the size and sha256 of each file. HF_ENDPOINT names a mirror.

    Examples:
        cnclip model download ViT-B-16
        cnclip model download ViT-H-14 --root checkpoints
        cnclip model download RN50 --modelscope true
        cnclip model download hfl/chinese-macbert-base --root checkpoints

    Args:
        name: of an official model (`cnclip model list` shows them), or owner/name of a repository.
        root: folder to put the file into, or a repository's folder owner--name; without it the hub's cache.
        modelscope: from ModelScope in place of the Hugging Face hub.
    """
    if name not in MODELS and not is_repository(name):
        raise UnknownNameError(
            f"{name!r} is no official model, and not owner/name of a repository",
            fix=f"one of: {', '.join(MODELS)}; a path needs no download",
        )
    path = find_checkpoint(name, root, use_modelscope=modelscope)
    if path.is_dir():
        print("\n".join([str(path), *hash_lines(path)]))
        return 0
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
    with _beside(folder) as temporary:
        staged = stage_for_push(folder, temporary / "model", repository, license_name=license)
        print(f"uploading {readable_bytes(path_bytes(staged))} to {repository}", file=sys.stderr, flush=True)
        print(push_folder(staged, repository, private=private, message=message))
    return 0


def stage_for_push(folder: Path, target: Path, repository: str, *, license_name: str) -> Path:
    """A folder of what is uploaded: the checkpoint without training state, a new manifest, and its card.

    The card is not in the manifest: on the hub people edit it.

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
        left_out = left_out or name.as_posix() in (MANIFEST_NAME, CARD_FILE)
        if file.is_file() and not left_out:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            _link(file, target / name)
    write_manifest(target, facts)
    if (folder / CARD_FILE).is_file():
        _link(folder / CARD_FILE, target / CARD_FILE)
    else:
        (target / CARD_FILE).write_text(card, encoding="utf-8")
    return target


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """A temporary folder where files of `folder` can be linked, else one of the system's."""
    parent = folder.absolute().parent
    try:
        made = tempfile.TemporaryDirectory(prefix=".push-", dir=parent)
    except OSError:  # a shared disk that is read-only
        made = tempfile.TemporaryDirectory(prefix="push-")
    with made as temporary:
        yield Path(temporary)


def _link(file: Path, target: Path) -> None:
    """A hard link to the file itself: in the hub's cache `file` is a symbolic link, relative to its place."""
    try:
        os.link(file.resolve(), target)
    except OSError:
        shutil.copyfile(file, target)
