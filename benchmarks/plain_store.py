"""What stores are measured against: Chinese-CLIP's LMDB by its own procedure, and tar shards as WebDataset's.

Chinese-CLIP keeps a pair as a pickled tuple and a picture as base64 text; its workers hand over floats. Tar
shards are read from front to back by the standard library, every worker its own. Both decode and resize with
Pillow, and tokenize one caption at a time.
"""

from __future__ import annotations

import base64
import io
import json
import pickle
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lmdb
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from benchmarks.plain_preprocess import PlainTokenizer, plain_tokenize, plain_transform
from benchmarks.store_source import SPLIT, read_source
from cnclip.text.wordpiece import vocabulary

Sample = tuple[Tensor, Tensor, int]
TAR_SHARDS = 8
_SEP = 102
_MAP_BYTES = 1 << 40


def build_lmdb(source: Path, target: Path) -> None:
    """Chinese-CLIP's two databases: pickled (image id, text id, text) by number, base64 text by image id."""
    target.mkdir(parents=True)
    pairs = lmdb.open(str(target / "pairs"), map_size=_MAP_BYTES)
    transaction, written = pairs.begin(write=True), 0
    with open(source / f"{SPLIT}_texts.jsonl", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line.strip())
            for image_id in row["image_ids"]:
                value = pickle.dumps((image_id, row["text_id"], row["text"]))
                transaction.put(str(written).encode(), value)
                written += 1
                if written % 5000 == 0:
                    transaction.commit()
                    transaction = pairs.begin(write=True)
    transaction.put(b"num_samples", str(written).encode())
    transaction.commit()
    pairs.close()
    images = lmdb.open(str(target / "imgs"), map_size=_MAP_BYTES)
    transaction, written = images.begin(write=True), 0
    with open(source / f"{SPLIT}_imgs.tsv", encoding="utf-8") as lines:
        for line in lines:
            image_id, text = line.strip().split("\t")
            transaction.put(image_id.encode(), text.encode())
            written += 1
            if written % 1000 == 0:
                transaction.commit()
                transaction = images.begin(write=True)
    transaction.put(b"num_images", str(written).encode())
    transaction.commit()
    images.close()


class LmdbDataset(Dataset[Sample]):
    """Samples of `build_lmdb`: the transactions live as long as the dataset."""

    def __init__(self, folder: Path, image_size: int) -> None:
        options: dict[str, Any] = {"readonly": True, "create": False, "lock": False}
        options |= {"readahead": False, "meminit": False}
        self.pairs: Any = lmdb.open(str(folder / "pairs"), **options).begin(buffers=True)
        self.images: Any = lmdb.open(str(folder / "imgs"), **options).begin(buffers=True)
        self.length = int(bytes(self.pairs.get(b"num_samples", b"0")).decode())
        self.image_size = image_size
        self.tokenizer = PlainTokenizer(vocabulary())

    def __len__(self) -> int:
        return self.length

    def raw(self, index: int) -> tuple[bytes, str]:
        """(picture file, caption), before anything is decoded."""
        image_id, _, caption = pickle.loads(self.pairs.get(str(index).encode()).tobytes())
        text = self.images.get(str(image_id).encode()).tobytes().decode("utf8", errors="ignore")
        return base64.urlsafe_b64decode(text), caption

    def __getitem__(self, index: int) -> Sample:
        return _sample(*self.raw(index), self.tokenizer, self.image_size)


def build_tar(source: Path, target: Path) -> None:
    """Tar shards as img2dataset writes them: NUMBER.jpg and NUMBER.txt one after the other."""
    target.mkdir(parents=True)
    shards = [tarfile.open(target / f"{shard:05d}.tar", "w") for shard in range(TAR_SHARDS)]
    for number, (name, data, caption) in enumerate(read_source(source)):
        shard = shards[number % TAR_SHARDS]
        for suffix, content in (("jpg", data), ("txt", caption.encode())):
            member = tarfile.TarInfo(f"{name:0>9}.{suffix}")
            member.size = len(content)
            shard.addfile(member, io.BytesIO(content))
    for shard in shards:
        shard.close()


def read_tars(shards: list[Path]) -> Iterator[tuple[bytes, str]]:
    """(picture file, caption) of every sample, in the order of the files."""
    for path in shards:
        with tarfile.open(path, "r|") as archive:
            key, image = "", b""
            for member in archive:
                file = archive.extractfile(member)
                assert file is not None
                name, _, suffix = member.name.partition(".")
                if suffix == "jpg":
                    key, image = name, file.read()
                elif name == key:
                    yield image, file.read().decode()


class TarDataset(IterableDataset[Sample]):
    """Samples of `build_tar`: a worker reads every n-th shard."""

    def __init__(self, folder: Path, image_size: int) -> None:
        self.shards = sorted(folder.glob("*.tar"))
        self.image_size = image_size
        self.tokenizer = PlainTokenizer(vocabulary())

    def __iter__(self) -> Iterator[Sample]:
        worker = get_worker_info()
        mine = self.shards if worker is None else self.shards[worker.id :: worker.num_workers]
        for image, caption in read_tars(mine):
            yield _sample(image, caption, self.tokenizer, self.image_size)


def plain_loader(dataset: Dataset[Sample], batch_size: int, workers: int) -> DataLoader[Sample]:
    """Batches: float32 [B, 3, S, S], int64 [B, 52], int64 [B]; pictures of an LMDB come in random order."""
    shuffled = not isinstance(dataset, IterableDataset)
    return DataLoader(
        dataset,
        batch_size=batch_size,
        num_workers=workers,
        shuffle=shuffled,
        generator=torch.Generator().manual_seed(1) if shuffled else None,
    )


def _sample(image: bytes, caption: str, tokenizer: PlainTokenizer, image_size: int) -> Sample:
    pixel_values = plain_transform(Image.open(io.BytesIO(image)), image_size)
    text = caption.lower().replace("“", '"').replace("”", '"')
    token_ids = plain_tokenize(tokenizer, [text])[0]
    return pixel_values, token_ids, token_ids.numpy().tolist().index(_SEP)
