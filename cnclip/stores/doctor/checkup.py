"""The whole examination: stores in, facts and graded findings out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cnclip.errors import RecipeError
from cnclip.stores.doctor.caption_facts import caption_facts
from cnclip.stores.doctor.captions import SPECIAL_PIECES
from cnclip.stores.doctor.findings import sorted_findings
from cnclip.stores.doctor.groups import Groups, NearPictures, find_near, groups_by_key
from cnclip.stores.doctor.judgement import judge
from cnclip.stores.doctor.leakage import find_leaks
from cnclip.stores.doctor.negatives import batch_outlook, count_mates, largest_batch
from cnclip.stores.doctor.outcome import FEW_ROWS, Checkup, CheckupOptions, Negatives, StoreCheckup
from cnclip.stores.doctor.picture_facts import picture_facts
from cnclip.stores.doctor.pictures import DECODED
from cnclip.stores.doctor.scan import Progress, StoreSketch, scan_stores
from cnclip.stores.doctor.tools import Tools
from cnclip.stores.reader import StoreReader

USUAL_BATCHES = (32, 64, 128, 256, 512, 1024, 4096, 16384, 32768)


def check_stores(
    readers: Sequence[StoreReader],
    tools: Tools,
    options: CheckupOptions | None = None,
    *,
    progress: Progress | None = None,
) -> Checkup:
    """Examine stores and compare them with each other.

    Args:
        readers: of different stores, such as train, valid and test.
        tools: how to look at pictures and captions.
        options: see CheckupOptions.
        progress: see scan_stores.

    Raises:
        RecipeError: no store, or one twice.
        ResourceError: a worker process was killed.
    """
    options = options or CheckupOptions()
    paths = [reader.path.resolve() for reader in readers]
    if not paths or len(set(paths)) < len(paths):
        raise RecipeError("a store is missing or given twice", fix="name each store once")
    sketches = scan_stores(
        readers, tools, context_length=options.context_length, workers=options.workers, progress=progress
    )
    pictures = np.concatenate([sketch.pictures for sketch in sketches])
    owners = np.repeat(np.arange(len(sketches)), [len(sketch.pictures) for sketch in sketches])
    near = find_near(pictures, owners, len(sketches), options.near)
    leaks = find_leaks(sketches, near)
    stores = [
        _examine(reader, sketch, _own_groups(near, owners == place), tools, options)
        for place, (reader, sketch) in enumerate(zip(readers, sketches, strict=True))
    ]
    return Checkup(options, stores, leaks, near.crowded, sorted_findings(judge(stores, leaks, options)))


def negatives_of(sketch: StoreSketch, batch_size: int) -> Negatives | None:
    """What to expect of batches of a store's pairs; None where there are no two pairs."""
    images, texts = sketch.pair_images, sketch.pair_texts
    usable = sketch.pictures["traits"][images] & DECODED != 0
    usable &= sketch.captions["read"][texts] == 1
    images, texts = images[usable], texts[usable]
    if len(images) < 2:
        return None
    mates = count_mates(sketch.captions["input_key"][texts], sketch.pictures["pixel_key"][images])
    unmasked = mates - count_mates(sketch.captions["raw_key"][texts], images)
    wanted = min(batch_size, len(mates))
    sizes = sorted({size for size in (*USUAL_BATCHES, wanted) if size <= len(mates)})
    return Negatives(
        pairs=len(mates),
        sharing=int((mates > 0).sum()),
        outlooks=[batch_outlook(mates, size) for size in sizes],
        masked=[batch_outlook(unmasked, size) for size in sizes],
        wanted=batch_outlook(mates, wanted),
        largest=largest_batch(mates, FEW_ROWS),
    )


def _examine(
    reader: StoreReader, sketch: StoreSketch, near: Groups, tools: Tools, options: CheckupOptions
) -> StoreCheckup:
    pictures, captions = sketch.pictures, sketch.captions
    decoded = pictures["traits"] & DECODED != 0
    return StoreCheckup(
        name=str(sketch.path),
        sketch=sketch,
        pictures=picture_facts(pictures),
        captions=caption_facts(
            captions,
            sketch.unknown,
            lambda index: tools.clean(reader.text(index).caption),
            context_length=options.context_length,
            most=options.most,
        ),
        same_bytes=groups_by_key(pictures["file_key"], decoded),
        same_pixels=groups_by_key(pictures["pixel_key"], decoded),
        near=near,
        same_captions=groups_by_key(captions["text_key"], captions["tokens"] > SPECIAL_PIECES),
        negatives=negatives_of(sketch, options.batch_size),
        unlabelled_captions=reader.header.unlabelled_texts,
        unused_pictures=reader.header.unreferenced_images,
    )


def _own_groups(near: NearPictures, own: npt.NDArray[np.bool_]) -> Groups:
    """The groups of one store's pictures among themselves."""
    labels = near.groups.labels[own]
    return groups_by_key(labels, labels >= 0)
