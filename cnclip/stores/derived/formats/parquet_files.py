"""A store as Parquet files: a row for each picture that has captions; needs pyarrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cnclip.errors import ResourceError
from cnclip.stores.derived.formats.job import CaptionsOfPictures, ExportJob

_GROUP_BYTES = 64 << 20  # of pictures in a row group, which is what a reader holds in memory
_GROUP_ROWS = 1000


def write_parquet(job: ExportJob, folder: Path) -> None:
    """`train-00000-of-00002.parquet`, …: image {bytes, path}, image_id, captions, text_ids.

    The struct of bytes and path is what Hugging Face's datasets casts to its Image feature.

    Raises:
        ResourceError: pyarrow is not installed.
    """
    arrow, parquet = _pyarrow()
    picture = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    strings = arrow.list_(arrow.string())
    schema = arrow.schema(
        [("image", picture), ("image_id", arrow.string()), ("captions", strings), ("text_ids", strings)]
    )
    captions, files = CaptionsOfPictures(job.reader), _Files(job, folder, arrow, parquet, schema)
    try:
        for index in job.pictures():
            rows = captions.of(index)
            if not rows:
                continue  # a reader would call the row bad
            stored = job.reader.image(index)
            row = {
                "image": {"bytes": stored.image, "path": stored.image_id},
                "image_id": stored.image_id,
                "captions": [text.caption for _, text in rows],
                "text_ids": [text_id for text_id, _ in rows],
            }
            files.add(row, len(stored.image))
    finally:
        files.close()
    files.name_all()


class _Files:
    """Row groups into files of a bounded size."""

    def __init__(self, job: ExportJob, folder: Path, arrow: Any, parquet: Any, schema: Any) -> None:
        self._options = job.options
        self._folder = folder
        self._arrow = arrow
        self._parquet = parquet
        self._schema = schema
        self._writer: Any = None
        self._group: list[dict[str, Any]] = []
        self._files: list[Path] = []
        self._group_bytes = self._rows = self._bytes = 0

    def add(self, row: dict[str, Any], size: int) -> None:
        full = self._rows >= self._options.shard_images or self._bytes + size > self._options.shard_bytes
        if full and self._rows:
            self.close()
        self._group.append(row)
        self._rows += 1
        self._bytes += size
        self._group_bytes += size
        if self._group_bytes >= _GROUP_BYTES or len(self._group) >= _GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        """End the current file."""
        self._flush()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._rows = self._bytes = 0

    def name_all(self) -> None:
        """Give the files their names, which say how many there are; without rows there is one, empty."""
        if not self._files:
            self._open()
            self.close()
        for number, file in enumerate(self._files):
            name = f"{self._options.split}-{number:05d}-of-{len(self._files):05d}.parquet"
            file.rename(self._folder / name)

    def _flush(self) -> None:
        if not self._group:
            return
        if self._writer is None:
            self._open()
        self._writer.write_table(self._arrow.Table.from_pylist(self._group, self._schema))
        self._group, self._group_bytes = [], 0

    def _open(self) -> None:
        self._files.append(self._folder / f"{len(self._files)}.part")
        self._writer = self._parquet.ParquetWriter(self._files[-1], self._schema)


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ResourceError(
            "Parquet is written by pyarrow, which is not installed", fix='pip install "cnclip[parquet]"'
        ) from None
    return pyarrow, parquet
