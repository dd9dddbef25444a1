"""Parquet and Arrow files, row by row in flat memory; the only module that needs pyarrow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnclip.errors import ResourceError, SourceError
from cnclip.stores.raw.file_splits import split_of
from cnclip.stores.raw.remote import RemoteFile
from cnclip.stores.raw.remote_stream import BLOCK_BYTES, RemoteStream
from cnclip.stores.raw.rows import BadRow, Report, shown
from cnclip.stores.raw.shards import Shard, find_shards, is_folder, shard_name

ARROW_SUFFIXES = (".parquet", ".arrow")
MAX_RATIO = 100  # bytes out of one compressed byte; pictures do not shrink
_FREE_BYTES = 32 << 20
_STREAM_BYTES = 1 << 20
_CACHES = ("cache-", "tmp")


@dataclass(frozen=True)
class ArrowRow:
    """A row.

    Attributes:
        where: `file:row`, rows counted from 1.
        id: `file/row` without the file's ending.
        fields: column -> value as plain Python.
    """

    where: str
    id: str
    fields: dict[str, Any]


class ArrowFile:
    """One file.

    Args:
        path: a .parquet file, or an .arrow file as datasets' save_to_disk writes it; may lie behind a URL.
        name: for messages and ids.
    """

    def __init__(self, path: Shard, name: str) -> None:
        self.path = path
        self.name = name
        self._is_parquet = path.name.endswith(".parquet")
        self._known_schema: Any = None

    def columns(self) -> list[str]:
        """Names of the columns.

        Raises:
            SourceError: not such a file.
        """
        return [str(name) for name in self._schema().names]

    def row_count(self) -> int:
        """Rows of a Parquet file by its footer; 0 where that needs reading."""
        with closing(self._parquet()) if self._is_parquet else nullcontext() as file:
            return int(file.metadata.num_rows) if file is not None else 0

    def rows(
        self, columns: list[str], *, paths_only: tuple[str, ...], batch_rows: int, report: Report
    ) -> Iterator[ArrowRow]:
        """All rows.

        Args:
            columns: to read.
            paths_only: those of them of which the bytes are not wanted, only the child `path`.
            batch_rows: rows in memory at a time.
            report: is told of rows that are no text, and of damage, which ends the file.

        Raises:
            LostSource: the network failed; that is no damage.
        """
        arrow = _pyarrow()
        stem = self.name.rpartition(".")[0]
        number = 0
        try:
            for batch in self._batches(columns, paths_only, batch_rows, report):
                for fields in _plain_rows(batch):
                    number += 1
                    where = f"{self.name}:{number}"
                    if isinstance(fields, str):
                        report(BadRow(where, "", fields))
                    else:
                        yield ArrowRow(where, f"{stem}/{number}", fields)
        except (arrow.ArrowException, OSError, ValueError, SourceError) as error:
            reason = error.what if isinstance(error, SourceError) else shown(str(error), 200)
            report(
                BadRow(f"{self.name}:{number}", "", f"damaged file: {reason}; the rows behind it are lost")
            )

    def _batches(
        self, columns: list[str], paths_only: tuple[str, ...], batch_rows: int, report: Report
    ) -> Iterator[Any]:
        lacking = [name for name in columns if name not in self.columns()]
        if lacking:
            raise SourceError(f"no column {lacking[0]}, which the first file has", where=str(self.path))
        if not self._is_parquet:
            yield from self._stream_batches(columns, paths_only, batch_rows)
            return
        with closing(self._parquet()) as file:
            yield from self._parquet_batches(file, columns, paths_only, batch_rows, report)

    def _parquet_batches(
        self, file: Any, columns: list[str], paths_only: tuple[str, ...], batch_rows: int, report: Report
    ) -> Iterator[Any]:
        names = [part for name in columns if (part := self._part(name, name in paths_only))]
        groups = [
            group
            for group in range(file.num_row_groups)
            if self._is_honest(file.metadata.row_group(group), group, report)
        ]
        yield from file.iter_batches(batch_rows, row_groups=groups, columns=names, use_threads=False)

    def _stream_batches(
        self, columns: list[str], paths_only: tuple[str, ...], batch_rows: int
    ) -> Iterator[Any]:
        arrow = _pyarrow()
        with self._mapped() as mapped, arrow.ipc.open_stream(mapped) as stream:
            for whole in stream:
                parts = {name: self._part(name, name in paths_only) for name in columns}
                batch = whole.select([name for name, part in parts.items() if part])
                for name, part in parts.items():
                    if part != name and part:
                        place = batch.schema.get_field_index(name)
                        path = arrow.StructArray.from_arrays([batch.column(place).field("path")], ["path"])
                        batch = batch.set_column(place, name, path)
                for start in range(0, batch.num_rows, batch_rows):
                    yield batch.slice(start, batch_rows)

    def _part(self, name: str, path_only: bool) -> str:
        """What to read of a column: all, its child `path`, or nothing ("") where it has only bytes."""
        if not path_only:
            return name
        types, kind = _pyarrow().types, self._schema().field(name).type
        if types.is_struct(kind):
            return f"{name}.path" if kind.get_field_index("path") >= 0 else ""
        return "" if types.is_binary(kind) or types.is_large_binary(kind) else name

    def _is_honest(self, group: Any, number: int, report: Report) -> bool:
        """Whether a row group does not swell too much; one that does is reported."""
        for place in range(group.num_columns):
            column = group.column(place)
            plain, packed = column.total_uncompressed_size, column.total_compressed_size
            if plain > MAX_RATIO * packed + _FREE_BYTES:
                detail = f"{packed} bytes swell to {plain}; row group {number} is left out"
                report(BadRow(f"{self.name}:row group {number}", "", f"a bomb: {detail}"))
                return False
        return True

    def _schema(self) -> Any:
        if self._known_schema is None:
            self._known_schema = self._read_schema()
        return self._known_schema

    def _read_schema(self) -> Any:
        if self._is_parquet:
            with closing(self._parquet()) as file:
                return file.schema_arrow
        arrow = _pyarrow()
        try:
            with self._mapped() as mapped, arrow.ipc.open_stream(mapped) as stream:
                return stream.schema
        except (arrow.ArrowException, OSError, ValueError) as error:
            raise self._unreadable(error) from None

    def _parquet(self) -> Any:
        arrow = _pyarrow()
        from pyarrow import parquet

        try:
            if isinstance(self.path, RemoteFile):
                handle = arrow.PythonFile(RemoteStream(self.path, read_ahead=False), mode="r")
                return parquet.ParquetFile(handle, buffer_size=BLOCK_BYTES, pre_buffer=False)
            return parquet.ParquetFile(self.path, buffer_size=_STREAM_BYTES, pre_buffer=False)
        except (arrow.ArrowException, OSError, ValueError) as error:
            raise self._unreadable(error) from None

    def _mapped(self) -> Any:
        if isinstance(self.path, RemoteFile):
            return _pyarrow().PythonFile(RemoteStream(self.path), mode="r")
        return _pyarrow().memory_map(str(self.path))

    def _unreadable(self, error: Exception) -> SourceError:
        return SourceError(
            f"not a whole file of this kind: {shown(str(error), 200)}",
            where=str(self.path),
            fix="download or copy it again",
        )


def arrow_files(place: Path | str, split: str | None) -> tuple[Path | str, list[ArrowFile]]:
    """(root, files) of a file, a folder, a name with braces or a URL.

    Raises:
        SourceError: none, or several splits and none was named.
        ResourceError: pyarrow, or the package of the URL, is not installed.
    """
    _pyarrow()
    root, found = find_shards(place, ARROW_SUFFIXES)
    files = [file for file in found if not file.name.startswith(_CACHES)]
    splits = sorted({name for file in files if (name := split_of(file))})
    if split is None and len(splits) > 1 and is_folder(place, ARROW_SUFFIXES):
        raise SourceError(
            "the folder holds several splits",
            where=str(root),
            fix=" or ".join(f"--split {name}" for name in splits),
        )
    if split is not None:
        files = [file for file in files if split_of(file) == split]
        if not files:
            raise SourceError(
                f"no split {split!r}",
                where=str(root),
                fix=" or ".join(f"--split {name}" for name in splits) or "leave --split out",
            )
    return root, [ArrowFile(file, shard_name(file, root)) for file in files]


def _plain_rows(batch: Any) -> Iterator[dict[str, Any] | str]:
    """The rows of a batch; a reason where one holds bytes that are no text."""
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        for row in range(batch.num_rows):
            try:
                yield batch.slice(row, 1).to_pylist()[0]
            except UnicodeDecodeError as error:
                yield f"not utf-8: byte {error.start + 1} of a cell is 0x{error.object[error.start]:02x}"


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.ipc
        import pyarrow.types
    except ImportError:
        raise ResourceError(
            "Parquet and Hugging Face datasets are read by pyarrow, which is not installed",
            fix='pip install "cnclip[parquet]"',
        ) from None
    return pyarrow
