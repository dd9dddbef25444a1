"""A store as WebDataset shards: numbered tars of `key.jpg`, `key.txt`, `key.json`."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

from cnclip.errors import RefusedError
from cnclip.stores.derived.formats.folder_files import one_line
from cnclip.stores.derived.formats.job import CaptionsOfPictures, ExportJob
from cnclip.stores.derived.formats.picture_names import picture_ending
from cnclip.stores.raw.folder import MAX_SIDECAR_BYTES
from cnclip.stores.raw.rows import shown

_BLOCK = 512


def write_webdataset(job: ExportJob, folder: Path) -> None:
    """`00000.tar`, `00001.tar`, …: a sample for each picture; the JSON holds the ids and all captions.

    Nothing in the archives tells the time or the user, so that the same store gives the same bytes.

    Raises:
        RefusedError: a picture whose captions are more than a reader takes (1 MiB).
    """
    reader, captions = job.reader, CaptionsOfPictures(job.reader)
    archive: tarfile.TarFile | None = None
    shard = in_shard = shard_bytes = 0
    try:
        for index in job.pictures():
            stored = reader.image(index)
            rows = captions.of(index)
            fields: dict[str, Any] = {"image_id": stored.image_id}
            if rows:
                fields["captions"] = [text.caption for _, text in rows]
                fields["text_ids"] = [text_id for text_id, _ in rows]
            told = json.dumps(fields, ensure_ascii=False).encode()
            lines = "".join(f"{one_line(text.caption)}\n" for _, text in rows).encode()
            if max(len(told), len(lines)) > MAX_SIDECAR_BYTES:
                raise RefusedError(
                    f"the captions of {shown(stored.image_id)} are over {MAX_SIDECAR_BYTES} bytes",
                    where=f"{reader.path} picture {index}",
                    fix="--to cn_clip, jsonl or parquet",
                )
            ending = picture_ending(stored.image)
            members = {ending if ending != "img" else "jpg": stored.image, "json": told}
            if rows:
                members["txt"] = lines
            size = sum(len(data) + 2 * _BLOCK for data in members.values())
            full = in_shard >= job.options.shard_images or shard_bytes + size > job.options.shard_bytes
            if archive is None or (full and in_shard):
                if archive is not None:
                    archive.close()
                    shard += 1
                archive = tarfile.open(folder / f"{shard:05d}.tar", "w", format=tarfile.USTAR_FORMAT)
                in_shard = shard_bytes = 0
            for name in sorted(members):
                _add(archive, f"{index:09d}.{name}", members[name])
            in_shard += 1
            shard_bytes += size
    finally:
        if archive is not None:
            archive.close()


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))
