"""From a run's checkpoint to the folder that is used: the model without the training state."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from cnclip.artifacts import MANIFEST_NAME, atomic_dir, verify_dir, write_json
from cnclip.checkpoints.opened import MODEL_FILE
from cnclip.checkpoints.writing import write_safetensors

TRAINER_FOLDER = "trainer"
METRICS_FILE = "metrics.json"


def publish_checkpoint(
    source: Path, target: Path, *, metrics: dict[str, Any], prefixes: tuple[str, ...] | None = None
) -> None:
    """Copy a verified checkpoint, without its training state, to the name that users load.

    Args:
        source: a checkpoint folder of a run.
        target: the final name; a folder that is there is swapped out.
        metrics: written beside the model as `metrics.json`.
        prefixes: keep only tensors whose official names begin so, such as `("visual.",)`; None keeps all.

    Raises:
        ArtifactError: a file of the source differs from its manifest.
        ResourceError: disk full, no permission.
    """
    manifest = verify_dir(source)
    facts = {**manifest.facts, "published_from": source.name}
    with atomic_dir(target, facts=facts, replace=True) as temporary:
        for name in manifest.files:
            if name.startswith(TRAINER_FOLDER) or name in {MANIFEST_NAME, METRICS_FILE}:
                continue
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            if name == MODEL_FILE and prefixes is not None:
                tensors = load_file(source / name)
                kept = {key: tensor for key, tensor in tensors.items() if key.startswith(prefixes)}
                write_safetensors(kept, temporary / name)
            else:
                shutil.copyfile(source / name, temporary / name)
        write_json(temporary / METRICS_FILE, metrics)
