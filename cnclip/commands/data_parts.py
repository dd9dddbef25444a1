"""`cnclip data split`, `cnclip data dedup`: what is equal or near is told from what is not."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cnclip.artifacts import atomic_file
from cnclip.commands.data_bar import StepBar
from cnclip.commands.data_check import TOOLS
from cnclip.commands.data_options import part_names, shares_of
from cnclip.commands.data_rebuild import rebuild, refuse_existing
from cnclip.errors import RecipeError
from cnclip.stores.accounts import BuildReport
from cnclip.stores.derived import (
    DerivedSource,
    Likeness,
    find_repeats,
    group_lines,
    origin_of,
    sketch_stores,
    split_rows,
)
from cnclip.stores.doctor.near_hash import MAX_RADIUS
from cnclip.stores.reader import StoreReader

MOST_WORKERS = 16


def split(
    store: Path,
    target_prefix: Path,
    *,
    shares: str = "0.9,0.05,0.05",
    names: str | None = None,
    seed: int = 1,
    near: int = 6,
    workers: int = 0,
    shard_size: str = "4GB",
    overwrite: bool = False,
) -> int:
    """Part a store by pictures, so that nothing of one part is in another.

    Pictures that are equal, that are near (as `cnclip data check` finds them), or that share a caption go to
    the same part, with all of their captions. Every picture and every caption goes to exactly one part. The
    same store, shares, seed and near give the same parts. Captions of the same text under different pictures
    may come to stand in different parts: `cnclip data check` counts them.

    Examples:
        cnclip data split stores/all stores/muge --shares 0.9,0.05,0.05
        cnclip data split stores/all stores/muge --shares 0.8,0.2 --names train,test --seed 7

    Args:
        store: a folder made by `cnclip data build`.
        target_prefix: of the stores to make: stores/muge gives stores/muge-train and so on.
        shares: of the pictures, parted by commas; their sum is 1.
        names: of the parts; by default train,valid,test, or train,valid where there are two.
        seed: of the dealing out.
        near: bits of 64 in which the hashes of near pictures may differ, 1 to 12; 0 keeps only pictures of
            the same bytes or pixels together.
        workers: threads that decode; 0 takes as many as there are cores, at most 16.
        shard_size: of one file of a store, such as 512MB, 4GB or 10000images.
        overwrite: replace stores that are there.
    """
    numbers = shares_of(shares)
    parts = _names(names, len(numbers))
    _check_near(near)
    targets = [target_prefix.parent / f"{target_prefix.name}-{name}" for name in parts]
    refuse_existing(targets, [store], overwrite)
    with StoreReader(store) as reader, StepBar() as bar:
        pictures = sketch_stores([reader], TOOLS, workers=_threads(workers), progress=bar.of_total)
        bar.close()
        parted = split_rows(reader, pictures, numbers, seed=seed, near=near)
        print(
            f"{reader.image_count} pictures in {parted.groups} groups that stay together;"
            f" the largest has {parted.largest}"
        )
        _tell_crowded(parted.crowded)
        reports = []
        for name, target, share, choice in zip(parts, targets, numbers, parted.choices, strict=True):
            facts = {"kind": "split", **origin_of(reader), "part": name, "share": share}
            source = DerivedSource([reader], choice, {**facts, "shares": shares, "seed": seed, "near": near})
            reports.append(rebuild(source, target, shard_size, overwrite))
        print(_conservation(reader, reports))
    return 0


def dedup(
    store: Path,
    target: Path,
    *,
    near: int = 0,
    checkpoint: str | None = None,
    min_similarity: float = 0.98,
    batch_size: int = 64,
    device: str = "auto",
    workers: int = 0,
    shard_size: str = "4GB",
    overwrite: bool = False,
) -> int:
    """Make a store in which no picture is there twice; captions move to the picture that stays.

    Of pictures with the same bytes or the same pixels the largest file stays. With --near also pictures go
    that are near to one that stays: the picture with the most pixels, then the most bytes, then the smallest
    id. With --checkpoint those go that a model finds alike: crops, filters, other encodings. All groups are
    listed in TARGET.duplicates.jsonl, with the reason for each picture that went. Embeddings are kept in
    STORE.embeddings and used again.

    Examples:
        cnclip data dedup stores/photos stores/photos-once
        cnclip data dedup stores/photos stores/photos-once --near 6
        cnclip data dedup stores/photos stores/photos-once --checkpoint ViT-B-16 --min-similarity 0.97

    Args:
        store: a folder made by `cnclip data build`.
        target: the store to make.
        near: bits of 64 in which the hashes of near pictures may differ, 1 to 12; 0 takes only pictures of
            the same bytes or pixels.
        checkpoint: in place of --near: a model's name, folder or file.
        min_similarity: least cosine similarity of the embeddings of two pictures that are alike. It differs
            from model to model: begin near 1, and look at the list.
        batch_size: pictures per forward pass of the model.
        device: of the model: cpu, cuda, cuda:1 …; auto takes a GPU where there is one.
        workers: threads that decode; 0 takes as many as there are cores, at most 16.
        shard_size: of one file of the store, such as 512MB, 4GB or 10000images.
        overwrite: replace a store that is there.
    """
    _check_near(near)
    _check_similarity(checkpoint, min_similarity, near)
    refuse_existing([target], [store], overwrite)
    with StoreReader(store) as reader, StepBar() as bar:
        likeness: Likeness | None = None
        facts: dict[str, Any] = {"kind": "dedup", **origin_of(reader), "near": near}
        if checkpoint is not None:
            from cnclip.commands.data_scores import similar_pictures  # brings in torch

            likeness = similar_pictures(
                checkpoint, reader, min_similarity, batch_size=batch_size, device=device
            )
            facts |= {"checkpoint": Path(checkpoint).name, "min_similarity": min_similarity}
        pictures = sketch_stores([reader], TOOLS, workers=_threads(workers), progress=bar.of_total)
        bar.close()
        repeats = find_repeats(reader, pictures, near=near, likeness=likeness, progress=bar.of_total)
        bar.close()
        _tell_crowded(repeats.crowded)
        facts["removed"] = len(repeats.removed)
        listed = target.parent / f"{target.name}.duplicates.jsonl"
        with atomic_file(listed) as temporary:  # takes its name when the store has its own
            groups = _write_lines(temporary, group_lines(reader, pictures, repeats, likeness))
            report = rebuild(DerivedSource([reader], repeats.choice, facts), target, shard_size, overwrite)
        print(
            f"{reader.image_count} pictures read = {report.images} written + {len(repeats.removed)} removed"
            f" in {groups} groups, listed in {listed}"
        )
    return 0


def _names(text: str | None, count: int) -> list[str]:
    if text is None:
        return part_names(count)
    names = [name.strip() for name in text.split(",")]
    plain = all(name and not name.startswith(".") and not set(name) & set("/\\") for name in names)
    if len(names) != count or len(set(names)) < count or not plain:
        raise RecipeError(
            f"--names {text}: {count} shares want {count} different plain names", fix="--names train,test"
        )
    return names


def _check_near(near: int) -> None:
    if not 0 <= near <= MAX_RADIUS:
        raise RecipeError(f"near is {near}", fix=f"--near 0 to {MAX_RADIUS}")


def _check_similarity(checkpoint: str | None, min_similarity: float, near: int) -> None:
    if checkpoint is not None and near:
        raise RecipeError(
            "--near and --checkpoint both say what is alike", fix="run them one after the other"
        )
    if not 0 < min_similarity <= 1:
        raise RecipeError(f"min_similarity is {min_similarity:g}", fix="--min-similarity 0.98, at most 1")


def _conservation(reader: StoreReader, reports: Sequence[BuildReport]) -> str:
    pictures, captions = [r.images for r in reports], [r.texts for r in reports]
    assert sum(pictures) == reader.image_count and sum(captions) == reader.text_count
    return (
        f"pictures: {reader.image_count} = {' + '.join(map(str, pictures))};"
        f" captions: {reader.text_count} = {' + '.join(map(str, captions))}"
    )


def _write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    count = 0
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def _tell_crowded(crowded: int) -> None:
    if crowded:
        print(f"{crowded} comparisons of very many like pictures were left out: some near ones may be missed")


def _threads(workers: int) -> int:
    if workers < 0:
        raise RecipeError(f"workers is {workers}", fix="give a number from 0 up")
    return workers or min(MOST_WORKERS, os.cpu_count() or 1)
