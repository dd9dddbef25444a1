"""How a store looks on disk: folder, header, keys, records with their checksums.

    STORE/
      header.json               format version, counts, shards or parts, content hash; written last
      shard-00000/data.mdb      LMDB: one sorted sequence of records, cut into files
      shard-00001/data.mdb      …
      pair_images.i64           five arrays of int64, see cnclip.stores.arrays
      pair_texts.i64
      caption_groups.i64
      image_starts.i64
      image_texts.i64
      arrays.crc                checksums of their blocks
      rejects.jsonl             the rows that were left out, if any
      MANIFEST.json             sizes and sha256 of all of them (cnclip.artifacts)

Keys: `i` + index -> picture; `j` + hash of a picture's id -> its index; `t` + index -> caption;
`u` + hash of a caption's id -> its index. User ids are never keys: any id of any length is allowed.

An index store has no shards: its header names other stores, its parts, whose rows follow each other; its
arrays are theirs, one after the other, with the numbers of its own rows.

Format 1 has only the two arrays of pairs, with one checksum each in the header; it is read, not written.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from cnclip.artifacts import write_json
from cnclip.stores.payload_sum import payload_sum

FORMAT_NAME, FORMAT_VERSION = "cnclip-store", 2
HEADER_NAME, DATA_NAME, REJECTS_NAME = "header.json", "data.mdb", "rejects.jsonl"
PAIR_IMAGES_NAME, PAIR_TEXTS_NAME = "pair_images.i64", "pair_texts.i64"
CAPTION_GROUPS_NAME = "caption_groups.i64"
IMAGE_STARTS_NAME, IMAGE_TEXTS_NAME = "image_starts.i64", "image_texts.i64"
ARRAYS_CRC_NAME = "arrays.crc"
PAIR_DTYPE = "<i8"
IMAGE, IMAGE_ID, TEXT, TEXT_ID = b"i", b"j", b"t", b"u"  # in this order, which is the order of the sequence

_INDEX = struct.Struct(">Q")
# crc of key, sizes, row | row bytes | payload bytes (top bit: summed, else crc) | payload's checksum
_RECORD, _SUMMED = struct.Struct("<IIQI"), 1 << 63
_POINTER = struct.Struct("<IQ")  # crc of key and index | index
_decode_json = json.JSONDecoder().raw_decode  # what json.loads ends in, without its looks for spaces
_OLD_FIELDS = ("pair_images_crc", "pair_texts_crc")
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
class ArraySeal:
    """What the header keeps of the arrays.

    Attributes:
        counts: name of each array -> number of its values.
        crc: CRC-32 of `arrays.crc`, which holds the checksums of their blocks.
    """

    counts: dict[str, int]
    crc: int


@dataclass(frozen=True)
class Part:
    """A store whose rows an index store lists.

    Attributes:
        path: of its folder, relative to the index store's, with `/`.
        fingerprint: of its content.
        images, texts, pairs: counts of its rows.
    """

    path: str
    fingerprint: str
    images: int
    texts: int
    pairs: int


@dataclass(frozen=True)
class StoreHeader:
    """What a store holds.

    Attributes:
        images, texts, pairs: counts of rows.
        unlabelled_texts: captions without pictures (queries of an unlabelled test split).
        unreferenced_images: pictures without captions.
        image_bytes: sum of the encoded pictures.
        fingerprint: hash of the content in order: ids, picture bytes, captions, links. Not of the form. An
            index store's is a hash of its parts' fingerprints: a merge that copies them has another one.
        shards: in key order; none in an index store.
        facts: how it was built: source, options, rows read, written, rejected, deduplicated.
        arrays: what `seal_arrays` returned; None in format 1.
        parts: of an index store, in the order of their rows.
        pair_images_crc, pair_texts_crc: format 1 only: CRC-32 of the two files of pairs.
    """

    images: int
    texts: int
    pairs: int
    unlabelled_texts: int
    unreferenced_images: int
    image_bytes: int
    fingerprint: str
    shards: tuple[Shard, ...]
    facts: dict[str, Any]
    arrays: ArraySeal | None = None
    parts: tuple[Part, ...] = ()
    pair_images_crc: int = 0
    pair_texts_crc: int = 0


def write_header(folder: Path, header: StoreHeader) -> None:
    """Write `header.json`; the builder does it after everything else."""
    assert header.arrays is not None, "seal_arrays makes them"
    fields = {name: value for name, value in asdict(header).items() if name not in _OLD_FIELDS}
    write_json(folder / HEADER_NAME, {"format": FORMAT_NAME, "version": FORMAT_VERSION, **fields})


def group_number(caption: str) -> int:
    """A stable signed 64-bit number of a string: equal captions have equal numbers, in every process."""
    digest = blake2b(caption.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def row_key(kind: bytes, index: int) -> bytes:
    """Key of the picture or caption number `index`; sorts by number."""
    return kind + _INDEX.pack(index)


def id_key(kind: bytes, identifier: str) -> bytes:
    """Key of an id of any length (128-bit hash; the record it leads to holds the id itself)."""
    return kind + blake2b(identifier.encode(), digest_size=16).digest()


def encode_record(key: bytes, row: dict[str, Any], payload: bytes = b"") -> bytes:
    """JSON row and raw payload behind a checksum that covers the key too."""
    text = json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()
    header = _RECORD.pack(0, len(text), len(payload) | _SUMMED, payload_sum(payload))[4:]
    return b"".join((struct.pack("<I", zlib.crc32(key + header + text)), header, text, payload))


def take_row(record: memoryview) -> bytes:
    """A copy of a record without its payload, for `decode_row`."""
    if len(record) < _RECORD.size:
        return b""
    return bytes(record[: _RECORD.size + _RECORD.unpack_from(record)[1]])


def take_record(record: memoryview) -> tuple[bytes, bytes]:
    """Copies of a record without its payload and of its payload."""
    head = take_row(record)
    return head, bytes(record[len(head) :])


def decode_row(key: bytes, head: bytes) -> dict[str, Any]:
    """The row of a record that was checked; its payload is not looked at.

    Args:
        key: of the record.
        head: see `take_row`.

    Raises:
        ValueError: the record is damaged or belongs to another key.
    """
    if len(head) < _RECORD.size:
        raise ValueError("too short")
    crc, row_bytes, _, _ = _RECORD.unpack_from(head)
    if len(head) != _RECORD.size + row_bytes:
        raise ValueError("its size is wrong")
    if zlib.crc32(head[4:], zlib.crc32(key)) != crc:
        raise ValueError("its checksum is wrong")
    row: dict[str, Any] = _decode_json(str(head[_RECORD.size :], "utf-8"))[0]
    return row


def check_payload(head: bytes, payload: bytes) -> None:
    """Compare the payload of a record with what its head, which `decode_row` accepted, says of it.

    Raises:
        ValueError: damaged.
    """
    _, _, payload_bytes, expected = _RECORD.unpack_from(head)
    if len(payload) != payload_bytes & ~_SUMMED:
        raise ValueError("its picture's size is wrong")
    checksum = payload_sum if payload_bytes & _SUMMED else zlib.crc32
    if checksum(payload) != expected:
        raise ValueError("its picture's checksum is wrong")


def encode_pointer(key: bytes, index: int) -> bytes:
    """Record of an id: the index it leads to."""
    packed = struct.pack("<Q", index)
    return struct.pack("<I", zlib.crc32(key + packed)) + packed


def decode_pointer(key: bytes, record: bytes) -> int:
    """The index that an id leads to.

    Raises:
        ValueError: damaged.
    """
    if len(record) != _POINTER.size:
        raise ValueError("its size is wrong")
    crc, index = _POINTER.unpack(record)
    if zlib.crc32(key + record[4:]) != crc:
        raise ValueError("its checksum is wrong")
    return int(index)
