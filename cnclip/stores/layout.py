"""How a store looks on disk: folder, header, keys, records with their checksums.

    STORE/
      header.json               format version, counts, shards, content hash; written last
      shard-00000/data.mdb      LMDB: one sorted sequence of records, cut into files
      shard-00001/data.mdb      …
      pair_images.i64           for each pair its picture's index, little-endian int64
      pair_texts.i64            for each pair its caption's index
      rejects.jsonl             the rows that were left out, if any
      MANIFEST.json             sizes and sha256 of all of them (cnclip.artifacts)

Keys: `i` + index -> picture; `j` + hash of a picture's id -> its index; `t` + index -> caption;
`u` + hash of a caption's id -> its index. User ids are never keys: any id of any length is allowed.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from cnclip.artifacts import read_json, sha256_file, verify_dir, write_json
from cnclip.errors import ArtifactError, StoreError

FORMAT_NAME, FORMAT_VERSION = "cnclip-store", 1
HEADER_NAME, DATA_NAME, REJECTS_NAME = "header.json", "data.mdb", "rejects.jsonl"
PAIR_IMAGES_NAME, PAIR_TEXTS_NAME = "pair_images.i64", "pair_texts.i64"
PAIR_DTYPE = "<i8"
IMAGE, IMAGE_ID, TEXT, TEXT_ID = b"i", b"j", b"t", b"u"  # in this order, which is the order of the sequence

_INDEX = struct.Struct(">Q")
_RECORD = struct.Struct("<IIQI")  # crc of key, sizes and row | row bytes | payload bytes | crc of the payload
_POINTER = struct.Struct("<IQ")  # crc of key and index | index
REBUILD = "build the store again with `cnclip data build`, or copy it again"


@dataclass(frozen=True)
class Shard:
    """One LMDB file of the sequence.

    Attributes:
        name: folder of the shard inside the store.
        bytes: size of its data.mdb.
        meta_bytes: length of LMDB's two meta pages at the start of the file.
        meta_crc: CRC-32 of them; whatever LMDB believes about the file stands there.
        first_key: hexadecimal; the shard holds the keys from here to the next shard's.
        records: number of them.
        images: number of pictures among them.
    """

    name: str
    bytes: int
    meta_bytes: int
    meta_crc: int
    first_key: str
    records: int
    images: int


@dataclass(frozen=True)
class StoreHeader:
    """What a store holds.

    Attributes:
        images, texts, pairs: counts of rows.
        unlabelled_texts: captions without pictures (queries of an unlabelled test split).
        unreferenced_images: pictures without captions.
        image_bytes: sum of the encoded pictures.
        fingerprint: sha256 of the content in order: ids, picture bytes, captions, links. Not of the form.
        pair_images_crc, pair_texts_crc: CRC-32 of the two files of pairs.
        shards: in key order.
        facts: how it was built: source, options, rows read, written, rejected, deduplicated.
    """

    images: int
    texts: int
    pairs: int
    unlabelled_texts: int
    unreferenced_images: int
    image_bytes: int
    fingerprint: str
    pair_images_crc: int
    pair_texts_crc: int
    shards: tuple[Shard, ...]
    facts: dict[str, Any]


def write_header(folder: Path, header: StoreHeader) -> None:
    """Write `header.json`; the builder does it after everything else."""
    write_json(folder / HEADER_NAME, {"format": FORMAT_NAME, "version": FORMAT_VERSION, **asdict(header)})


def open_header(path: Path) -> StoreHeader:
    """The header of a store whose files have the sizes that its manifest says; their content is not read.

    Raises:
        StoreError: no store, an unfinished or damaged one, another format.
    """
    if not path.is_dir():
        raise StoreError(f"no such store: {path}", where=str(path), fix="cnclip data build SOURCE STORE")
    if not (path / HEADER_NAME).exists():
        raise StoreError("the folder is no store: header.json is missing", where=str(path), fix=REBUILD)
    try:
        manifest = verify_dir(path, deep=False)
        header = _read_header(path)
        expected = manifest.files.get(HEADER_NAME)
        if expected is None or sha256_file(path / HEADER_NAME) != expected[1]:
            raise StoreError("header.json differs from its sha256", where=str(path), fix=REBUILD)
    except ArtifactError as error:
        raise StoreError(error.what, where=error.where, fix=REBUILD) from None
    return header


def row_key(kind: bytes, index: int) -> bytes:
    """Key of the picture or caption number `index`; sorts by number."""
    return kind + _INDEX.pack(index)


def id_key(kind: bytes, identifier: str) -> bytes:
    """Key of an id of any length (128-bit hash; the record it leads to holds the id itself)."""
    return kind + blake2b(identifier.encode(), digest_size=16).digest()


def encode_record(key: bytes, row: dict[str, Any], payload: bytes = b"") -> bytes:
    """JSON row and raw payload behind a checksum that covers the key too."""
    text = json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()
    header = _RECORD.pack(0, len(text), len(payload), zlib.crc32(payload))[4:]
    return b"".join((struct.pack("<I", zlib.crc32(key + header + text)), header, text, payload))


def without_payload(record: memoryview) -> memoryview:
    """The part of a record that `decode_row` looks at."""
    if len(record) < _RECORD.size:
        return record
    return record[: _RECORD.size + _RECORD.unpack_from(record)[1]]


def decode_row(key: bytes, record: memoryview) -> tuple[dict[str, Any], int]:
    """(row, where its payload starts) of a checked record; the payload is not touched and may be left out.

    Raises:
        ValueError: the record is damaged or belongs to another key.
    """
    if len(record) < _RECORD.size:
        raise ValueError("too short")
    crc, row_bytes, _, _ = _RECORD.unpack_from(record)
    start = _RECORD.size + row_bytes
    if start > len(record):
        raise ValueError("its size is wrong")
    if zlib.crc32(record[4:start], zlib.crc32(key)) != crc:
        raise ValueError("its checksum is wrong")
    row: dict[str, Any] = json.loads(bytes(record[_RECORD.size : start]))
    return row, start


def decode_payload(record: memoryview, start: int) -> bytes:
    """The payload of a record that `decode_row` accepted, checked.

    Raises:
        ValueError: damaged.
    """
    payload = bytes(record[start:])
    _, _, payload_bytes, crc = _RECORD.unpack_from(record)
    if len(payload) != payload_bytes:
        raise ValueError("its picture's size is wrong")
    if zlib.crc32(payload) != crc:
        raise ValueError("its picture's checksum is wrong")
    return payload


def encode_pointer(key: bytes, index: int) -> bytes:
    """Record of an id: the index it leads to."""
    packed = struct.pack("<Q", index)
    return struct.pack("<I", zlib.crc32(key + packed)) + packed


def decode_pointer(key: bytes, record: memoryview) -> int:
    """The index that an id leads to.

    Raises:
        ValueError: damaged.
    """
    if len(record) != _POINTER.size:
        raise ValueError("its size is wrong")
    crc, index = _POINTER.unpack(record)
    if zlib.crc32(key + bytes(record[4:])) != crc:
        raise ValueError("its checksum is wrong")
    return int(index)


def _read_header(folder: Path) -> StoreHeader:
    """Read `header.json`.

    Raises:
        ArtifactError: missing or not JSON.
        StoreError: another format, a newer version, missing fields.
    """
    where = folder / HEADER_NAME
    value = read_json(where)
    if not isinstance(value, dict) or value.pop("format", None) != FORMAT_NAME:
        raise StoreError("not the header of a store", where=str(where), fix=REBUILD)
    version = value.pop("version", None)
    if version != FORMAT_VERSION:
        raise StoreError(
            f"store format {version}; this cnclip reads {FORMAT_VERSION}",
            where=str(where),
            fix="upgrade cnclip",
        )
    try:
        value["shards"] = tuple(Shard(**shard) for shard in value["shards"])
        return StoreHeader(**value)
    except (KeyError, TypeError) as error:
        raise StoreError(f"the header is damaged: {error}", where=str(where), fix=REBUILD) from None
