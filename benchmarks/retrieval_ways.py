"""The ways of benchmarks/retrieval.py, each from embeddings in memory to ten items for each query and R@K.

Every way writes what it writes, reads it again and searches both directions; `search` is what comes after
the reading. R@K is counted from the ranks (ours) or from the ten items (all others).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import plain_retrieval
from benchmarks.plain_retrieval import IMAGE, TEXT, Rows
from cnclip.evaluation.cache import EmbeddingFacts, Kind, load_embeddings, save_embeddings
from cnclip.evaluation.embed import EmbeddingTable
from cnclip.evaluation.retrieval import RetrievalResult, recall_at_k, recall_with_top

TOP = 10
KS = (1, 5, 10)
Recall = dict[str, dict[str, float]]
Lists = npt.NDArray[np.int64]


@dataclass
class Steps:
    """Seconds of each step, by the clock that counts."""

    clock: Callable[[], float]

    def __post_init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = self.clock()

    def done(self, name: str) -> None:
        """The step that ends now."""
        now = self.clock()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now


Way = Callable[[Path, Rows, Rows, Lists, Steps], Recall | None]


def make_rows(folder: Path, queries: int, pictures: int, width: int, signal: float) -> None:
    """Random unit rows and each picture's query: images.npy, texts.npy, owners.npy.

    Args:
        folder: is made.
        queries, pictures: how many; picture n belongs to query n modulo `queries`.
        width: of the rows.
        signal: how much of its query's row is added to a picture; 0 is pure chance.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    texts = _unit(rng.standard_normal((queries, width), dtype=np.float32))
    owners = np.arange(pictures) % queries
    images = _unit(rng.standard_normal((pictures, width), dtype=np.float32))
    images = _unit(images + np.float32(signal) * texts[owners])
    for name, array in (("images", images), ("texts", texts), ("owners", owners)):
        np.save(folder / f"{name}.npy", array)
    plain_retrieval.write_reference(folder / "texts.jsonl", TEXT, IMAGE, _owned(owners, queries))
    plain_retrieval.write_reference(folder / "texts.tr.jsonl", IMAGE, TEXT, [[int(one)] for one in owners])


def measure(way: str, folder: Path, *, cpu_clock: bool) -> dict[str, Any]:
    """Run one way in this process: seconds, bytes written, memory above that of the rows, recall."""
    images, texts, owners = (np.load(folder / f"{name}.npy") for name in ("images", "texts", "owners"))
    work = folder / way.replace(" ", "-")
    work.mkdir(exist_ok=True)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _megabytes("VmRSS")
    steps = Steps(time.process_time if cpu_clock else time.perf_counter)
    started = time.perf_counter()
    recall = WAYS[way](work, images, texts, owners, steps)
    found: dict[str, Any] = {f"{name} s": round(max(value, 1e-6), 6) for name, value in steps.seconds.items()}
    found["total s"] = round(sum(steps.seconds.values()), 6)
    found["wall s"] = round(time.perf_counter() - started, 4)
    found["MB written"] = round(sum(f.stat().st_size for f in work.rglob("*") if f.is_file()) / 1e6, 1)
    found["peak MB"] = round(_megabytes("VmHWM") - before, 1)
    return found | ({"recall": recall} if recall else {})


def ours(work: Path, images: Rows, texts: Rows, owners: Lists, steps: Steps) -> Recall:
    """Cached embeddings, exact ranks of every pair and the ten best items, from one pass."""
    read_images, read_texts, pairs = _cached(work, images, texts, owners, steps)
    found = recall_with_top(read_images, read_texts, pairs, KS, top=TOP)
    steps.done("search")
    np.savez(work / "top.npz", images=found.images, texts=found.texts)
    steps.done("write")
    return _of_ranks(found.result)


def ours_ranks(work: Path, images: Rows, texts: Rows, owners: Lists, steps: Steps) -> Recall:
    """The same without the ten best items."""
    read_images, read_texts, pairs = _cached(work, images, texts, owners, steps)
    found = recall_at_k(read_images, read_texts, pairs, KS)
    steps.done("search")
    return _of_ranks(found)


def cn_clip(work: Path, images: Rows, texts: Rows, owners: Lists, steps: Steps) -> Recall:
    """JSON lines and a Python sort for each query, see plain_retrieval."""
    image_file, text_file = work / "imgs.img_feat.jsonl", work / "texts.txt_feat.jsonl"
    plain_retrieval.write_features(image_file, IMAGE, list(range(len(images))), images)
    plain_retrieval.write_features(text_file, TEXT, list(range(len(texts))), texts)
    steps.done("write")
    sides = {"t2i": (text_file, TEXT, image_file, IMAGE), "i2t": (image_file, IMAGE, text_file, TEXT)}
    references = {"t2i": work.parent / "texts.jsonl", "i2t": work.parent / "texts.tr.jsonl"}
    recall = {}
    for name, (query_file, query, gallery_file, gallery) in sides.items():
        predictions = work / f"{name}_predictions.jsonl"
        plain_retrieval.predict((query_file, query), (gallery_file, gallery), predictions)
        recall[name] = plain_retrieval.evaluate(references[name], predictions, query, gallery)
    steps.done("search")  # each direction reads the features anew
    return recall


def numpy_partition(work: Path, images: Rows, texts: Rows, owners: Lists, steps: Steps) -> Recall:
    """One product of everything, argpartition along both axes."""
    images, texts = _through_files(work, images, texts, steps)
    similarity = texts @ images.T
    lists = []
    for axis in (1, 0):
        best = np.argpartition(similarity, -TOP, axis=axis)
        best = (best[:, -TOP:] if axis else best[-TOP:].T).copy()
        scores = (
            similarity[np.arange(len(best))[:, None], best]
            if axis
            else similarity[best, np.arange(len(best))[:, None]]
        )
        lists.append(np.take_along_axis(best, np.argsort(-scores, axis=1), axis=1))
    recall = _recall(lists[0], lists[1], owners)
    steps.done("search")
    return recall


def faiss_flat(work: Path, images: Rows, texts: Rows, owners: Lists, steps: Steps) -> Recall:
    """faiss.IndexFlatIP of either side, searched with the other."""
    import faiss  # type: ignore[import-not-found, import-untyped, unused-ignore]

    images, texts = _through_files(work, images, texts, steps)
    lists = []
    for queries, gallery in ((texts, images), (images, texts)):
        index = faiss.IndexFlatIP(gallery.shape[1])
        index.add(gallery)
        lists.append(index.search(queries, TOP)[1])
    recall = _recall(lists[0], lists[1], owners)
    steps.done("search")
    return recall


def matmul(work: Path, images: Rows, texts: Rows, owners: Lists, steps: Steps) -> None:
    """One numpy product and nothing else: the yardstick."""
    images, texts = _through_files(work, images, texts, steps)
    assert (texts @ images.T).shape == (len(texts), len(images))
    steps.done("search")


def matmul_reused(work: Path, images: Rows, texts: Rows, owners: Lists, steps: Steps) -> None:
    """The same into memory that was written to before, so that no page is new."""
    images, texts = _through_files(work, images, texts, steps)
    similarity = np.ones((len(texts), len(images)), dtype=np.float32)
    steps.done("read")
    np.matmul(texts, images.T, out=similarity)
    steps.done("search")


WAYS: dict[str, Way] = {
    "cn_clip": cn_clip,
    "ours": ours,
    "ours, R@K alone": ours_ranks,
    "numpy argpartition": numpy_partition,
    "faiss flat": faiss_flat,
    "matmul": matmul,
    "matmul, memory reused": matmul_reused,
}


def _cached(work: Path, images: Rows, texts: Rows, owners: Lists, steps: Steps) -> tuple[Rows, Rows, Lists]:
    """Both tables through the embedding cache, and the correct pairs."""
    sides: tuple[tuple[Kind, Rows], ...] = (("image", images), ("text", texts))
    facts = {kind: EmbeddingFacts(kind, "random", "none", "none") for kind, _ in sides}
    for kind, rows in sides:
        table = EmbeddingTable([str(number) for number in range(len(rows))], rows)
        save_embeddings(table, work / kind, facts[kind])
    steps.done("write")
    read = {kind: load_embeddings(work / kind, facts[kind]).rows for kind, _ in sides}
    steps.done("read")
    return read["image"], read["text"], np.stack([np.arange(len(owners)), owners], axis=1)


def _of_ranks(found: RetrievalResult) -> Recall:
    ways = (("t2i", found.t2i), ("i2t", found.i2t))
    return {name: {f"r{k}": way.recall[k] for k in KS} for name, way in ways}


def _through_files(work: Path, images: Rows, texts: Rows, steps: Steps) -> tuple[Rows, Rows]:
    for name, rows in (("images", images), ("texts", texts)):
        np.save(work / f"{name}.npy", rows)
    steps.done("write")
    read = np.load(work / "images.npy"), np.load(work / "texts.npy")
    steps.done("read")
    return read


def _recall(images_of_text: Lists, texts_of_image: Lists, owners: Lists) -> Recall:
    """From the ten items of each query."""
    queries = np.arange(len(images_of_text))[:, None]
    right = {"t2i": owners[images_of_text] == queries, "i2t": texts_of_image == owners[:, None]}
    return {
        name: {f"r{k}": float(100 * hit[:, :k].any(axis=1).mean()) for k in KS} for name, hit in right.items()
    }


def _owned(owners: Lists, queries: int) -> list[list[int]]:
    order = np.argsort(owners, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(owners, minlength=queries))[:-1])
    return [part.tolist() for part in parts]


def _unit(rows: Rows) -> Rows:
    unit: Rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def _megabytes(name: str) -> float:
    """VmRSS, the resident size now, or VmHWM, the largest so far."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(name)) / 1024
