"""`cnclip data export STORE TARGET --to FORMAT`: a store as files that other programs read."""

from __future__ import annotations

from pathlib import Path

from cnclip.commands.data_bar import StepBar
from cnclip.commands.data_options import shard_limits
from cnclip.stores.derived.formats import ExportFormat, ExportOptions, compare, export_store
from cnclip.stores.derived.formats.export import WITH_SPLITS
from cnclip.stores.raw import SourceKind, SourceOptions, read_source
from cnclip.stores.reader import StoreReader
from cnclip.training.stop import StopRequest

_KINDS: dict[ExportFormat, SourceKind] = {
    "cn_clip": "cn_clip",
    "lmdb": "lmdb",
    "folder": "folder",
    "webdataset": "webdataset",
    "parquet": "parquet",
    "jsonl": "table",
}


def export(
    store: Path,
    target: Path,
    *,
    to: ExportFormat,
    split: str = "train",
    shard_size: str = "1GB",
    check: bool = True,
    overwrite: bool = False,
) -> int:
    """Write a store as files of another format; then read them back and say what differs, if anything.

    cn_clip: {split}_imgs.tsv and {split}_texts.jsonl as Chinese-CLIP has them. lmdb: its LMDB. webdataset:
    numbered tars of key.jpg, key.txt, key.json. parquet: image, image_id, captions, text_ids, as Hugging
    Face's datasets read them (pip install "cnclip[parquet]"). jsonl: images/ and metadata.jsonl. folder:
    pictures, each with a .txt of its captions. Picture bytes stay as they are. The target appears when all is
    done; a folder that was made by this command gets a further split added.

    A caption of several pictures stands with each of them in the formats that have no such thing, with the
    ids that `cnclip data build --text-rows pairs` gives; captions without pictures are left out there.

    Examples:
        cnclip data export stores/muge-train datasets/muge --to cn_clip
        cnclip data export stores/muge-valid datasets/muge --to cn_clip --split valid
        cnclip data export stores/photos shards/photos --to webdataset --shard-size 500MB

    Args:
        store: a folder made by `cnclip data build`.
        target: the folder to make.
        to: the format.
        split: name of the split, in cn_clip, lmdb and parquet.
        shard_size: of one tar or Parquet file, such as 500MB or 10000images.
        check: read the files back and compare them with the store.
        overwrite: replace what this command made there before: the split, or all of it.
    """
    shard_bytes, shard_images = shard_limits(shard_size)
    options = ExportOptions(split=split, shard_bytes=shard_bytes, shard_images=shard_images or 10_000)
    with StoreReader(store) as reader, StepBar() as bar:
        with StopRequest() as stop:
            export_store(
                reader,
                target,
                to,
                options=options,
                overwrite=overwrite,
                progress=bar.of_total,
                should_stop=lambda: stop.asked,
            )
        bar.close()
        counts = f"{reader.image_count} pictures, {reader.text_count} captions, {reader.pair_count} pairs"
        print(f"{target}: {counts}")
        kind = _KINDS[to]
        words = f"--kind {kind}" + (f" --split {split}" if to in WITH_SPLITS else "")
        if check:
            reading = SourceOptions(split=split if to in WITH_SPLITS else None)
            found = compare(reader, read_source(target, kind, options=reading), progress=bar.of_total)
            bar.close()
            if found.same:
                print(f"  read back: the same; a build has the fingerprint {reader.fingerprint[:16]}")
            for line in found.lines():
                print(f"  read back: {line}")
        print(f"next: cnclip data build {target} STORE {words}")
    return 0
