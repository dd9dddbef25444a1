"""A store as cn_clip's LMDB: `{split}/imgs` (id -> base64) and `{split}/pairs` (number -> pickle)."""

from __future__ import annotations

import base64
import pickle  # only written, for a format that is made of it; cnclip reads such files without pickle
from pathlib import Path

from cnclip.errors import RefusedError
from cnclip.stores.derived.formats.cn_clip_files import number_or_text
from cnclip.stores.derived.formats.job import ExportJob
from cnclip.stores.growing import GrowingMap
from cnclip.stores.raw.lmdb_splits import IMAGES, PAIRS
from cnclip.stores.raw.rows import shown

_PROTOCOL = 4  # what pickle.dumps of Python 3.8 to 3.13 writes by itself
_MOST_KEY_BYTES = 511
_IMAGES_COUNT, _PAIRS_COUNT = "num_images", "num_samples"


def write_cn_clip_lmdb(job: ExportJob, folder: Path) -> None:
    """Both halves of a split; a record for each pair. The map is as large as its content.

    Raises:
        RefusedError: an id that is too long for a key of LMDB, or is the name of the counter.
    """
    reader, root = job.reader, folder / job.options.split
    root.mkdir()
    with GrowingMap(root / IMAGES) as images:
        for index in job.pictures():
            stored = reader.image(index)
            key = stored.image_id.encode()
            if len(key) > _MOST_KEY_BYTES or stored.image_id == _IMAGES_COUNT:
                raise RefusedError(
                    f"the id {shown(stored.image_id)} cannot be a key of cn_clip's LMDB",
                    where=f"{reader.path} picture {index}",
                    fix="--to webdataset, parquet or jsonl",
                )
            images.put(key, base64.b64encode(stored.image))
        images.put(_IMAGES_COUNT.encode(), str(reader.image_count).encode())
        images.close()
    with GrowingMap(root / PAIRS) as pairs:
        number = 0
        for index in job.captions():
            text = reader.text(index)
            text_id = number_or_text(text.text_id)
            for image_id in text.image_ids:
                row = (number_or_text(image_id), text_id, text.caption)
                pairs.put(str(number).encode(), pickle.dumps(row, protocol=_PROTOCOL))
                number += 1
        pairs.put(_PAIRS_COUNT.encode(), str(number).encode())
        pairs.close()
