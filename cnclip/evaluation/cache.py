"""Embeddings as a finished folder that is used again only for the same model, preprocessing and data.

    FOLDER/embeddings.npy   float32 [N, D], unit rows
    FOLDER/ids.json         N names
    FOLDER/MANIFEST.json    sha256 of both, and the facts: tower, preprocessing, source, kind

The tower's fingerprint covers the weights that make these rows and nothing else: image rows stay good while
the text tower is trained, as in stage 1.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from cnclip.artifacts import MANIFEST_NAME, atomic_dir, read_json, read_manifest, verify_dir
from cnclip.errors import ArtifactError
from cnclip.evaluation.embed import EmbeddingTable
from cnclip.evaluation.rows import check_rows
from cnclip.model import ChineseClip

Kind = Literal["image", "text"]
MAPPED_BYTES = 1 << 28  # a table of 256 MiB and more is mapped from its file, not read into memory
_PREFIXES = {"image": ("visual.",), "text": ("bert.", "text_projection")}


@dataclass(frozen=True)
class EmbeddingFacts:
    """All that decides a table of embeddings.

    Attributes:
        kind: which tower made them.
        tower: `tower_fingerprint` of that tower.
        preprocessing: the image transform's fingerprint, or the text cleaning's name.
        source: fingerprint of the store they come from.
        precision: of the weights and the arithmetic, see checkpoints.Precision.
    """

    kind: Kind
    tower: str
    preprocessing: str
    source: str
    precision: str = "fp32"

    @property
    def short(self) -> str:
        """16 hexadecimal digits that stand for all of it: a name for the folder."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, str]:
        """The manifest's facts. fp32 goes without saying: tables from before the choice stay good."""
        facts: dict[str, str] = asdict(self)
        if self.precision == "fp32":
            del facts["precision"]
        return facts


def tower_fingerprint(model: ChineseClip, kind: Kind) -> str:
    """Sha256 over the names, types, shapes and bytes of one tower's weights, and its architecture."""
    architecture = model.architecture.to_dict()[kind]
    digest = hashlib.sha256(json.dumps(architecture, sort_keys=True).encode())
    for name, tensor in sorted(model.state_dict().items()):
        if name.startswith(_PREFIXES[kind]):
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
            flat = tensor.detach().cpu().contiguous().flatten()
            digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_embeddings(table: EmbeddingTable, folder: Path, facts: EmbeddingFacts) -> None:
    """Write a table as a finished folder, in place of an older one.

    Raises:
        ResourceError: disk full or no permission.
    """
    with atomic_dir(folder, facts=facts.to_dict(), replace=True) as temporary:
        np.save(temporary / "embeddings.npy", table.rows)
        (temporary / "ids.json").write_text(json.dumps(table.ids, ensure_ascii=False), encoding="utf-8")


def load_embeddings(folder: Path, facts: EmbeddingFacts) -> EmbeddingTable:
    """Read a table that was made by exactly these facts; rows of MAPPED_BYTES and more stay in their file.

    Raises:
        ArtifactError: damaged, or made by another model, preprocessing or source; it says which.
    """
    found = {"precision": "fp32", **verify_dir(folder).facts}
    for key, wanted in asdict(facts).items():
        if found.get(key) != wanted:
            raise ArtifactError(
                f"the embeddings were made with another {key}: {found.get(key)}, not {wanted}",
                where=str(folder),
                fix="remove the folder; it is made again",
            )
    file = folder / "embeddings.npy"
    mapped: Literal["r"] | None = "r" if file.stat().st_size >= MAPPED_BYTES else None
    rows = np.load(file, mmap_mode=mapped, allow_pickle=False)
    table = EmbeddingTable(ids=read_json(folder / "ids.json"), rows=rows)
    check_rows(table.rows, facts.kind, table.ids)
    return table


def cached_embeddings(
    folder: Path | None, facts: EmbeddingFacts, embed: Callable[[], EmbeddingTable]
) -> EmbeddingTable:
    """The table in `folder` if it was made by these facts, else a new one, which is saved there.

    Args:
        folder: None embeds without saving.
        facts: what the table must have been made by.
        embed: makes the table.

    Raises:
        ArtifactError: the folder has the right facts but its files differ from their sha256.
    """
    table = find_embeddings(folder, facts)
    if table is None:
        table = embed()
        if folder is not None:
            save_embeddings(table, folder, facts)
    return table


def find_embeddings(folder: Path | None, facts: EmbeddingFacts) -> EmbeddingTable | None:
    """The table in `folder` if it was made by these facts, else None.

    Raises:
        ArtifactError: the folder has the right facts but its files differ from their sha256.
    """
    if folder is None or not (folder / MANIFEST_NAME).is_file():
        return None
    if read_manifest(folder).facts != facts.to_dict():
        return None
    return load_embeddings(folder, facts)
