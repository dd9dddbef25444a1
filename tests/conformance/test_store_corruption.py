"""Wounds to every file of a finished store: never another row than before, never a crash, always a place."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cnclip.commands import main
from cnclip.errors import StoreError
from cnclip.stores.raw import read_source
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import BuildOptions, build_store

Forked = Callable[..., Any]
Tree = Callable[[Path], dict[str, str]]
Wound = Callable[[bytearray, random.Random], bytes]
PAGE = 4096
ROWS = 60
# what a reader may offer besides pictures, captions, pairs and ids
BY_NUMBER = {"pair_at": "pair_count", "texts_of": "image_count", "caption_group": "text_count"}


@pytest.fixture(scope="module", params=["one store", "index of two"])
def stores(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, cn_clip: Any) -> Path:
    """A folder with `store`: three shards and several pages of rows, or an index of the stores beside it."""
    folder = tmp_path_factory.mktemp("whole")
    many = [
        f'{{"text_id": "多{n}", "text": "第{n}句{"很长" * 20}", "image_ids": [{n}, {(n * 7 + 1) % ROWS}]}}'
        for n in range(ROWS)
    ]
    source = cn_clip(folder / "源", ROWS, texts=[line.encode() for line in many])
    build_store(read_source(source), folder / "all" / "store", options=BuildOptions(shard_images=20))
    if request.param == "index of two":
        (folder / "all" / "store").rename(folder / "all" / "one")
        (folder / "图").mkdir()
        (folder / "图" / "a.png").write_bytes((folder / "all" / "one" / "header.json").read_bytes())
        (folder / "图" / "a.txt").write_text("一只猫", encoding="utf-8")
        build_store(read_source(folder / "图"), folder / "all" / "two")
        words = [str(folder / "all" / name) for name in ("one", "two", "store")]
        assert main(["data", "merge", *words, "--index", "true"]) == 0
    return folder / "all"


def everything(path: Path) -> Iterator[tuple[str, Any]]:
    """All that a reader says of a store, step by step; an error ends one step, not the others."""
    with StoreReader(path) as reader:
        yield "fingerprint", reader.fingerprint
        for name in ("pair_images", "pair_texts"):
            yield _asked(name, lambda name=name: getattr(reader, name).tolist())
        for index in range(reader.image_count):
            yield _asked(f"picture {index}", lambda index=index: reader.image(index))
            yield _asked(f"id of picture {index}", lambda index=index: reader.image_id(index))
            name = str(index) if index < ROWS else "a.png"
            yield _asked(f"place of picture {index}", lambda name=name: reader.image_index(name))
        for index in range(reader.text_count):
            yield _asked(f"caption {index}", lambda index=index: reader.text(index))
            text_id = [str(index), f"多{index - ROWS}", "a.txt#1"][index // ROWS]
            yield _asked(f"place of caption {index}", lambda text_id=text_id: reader.text_index(text_id))
        for index in range(reader.pair_count):
            yield _asked(f"pair {index}", lambda index=index: reader.pair(index))
        for name, count in BY_NUMBER.items():
            for index in range(getattr(reader, count) if hasattr(reader, name) else 0):
                yield _asked(f"{name} {index}", lambda n=name, i=index: _plain(getattr(reader, n)(i)))


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def _asked(name: str, ask: Callable[[], Any]) -> tuple[str, Any]:
    try:
        return name, ask()
    except (StoreError, KeyError) as error:
        return name, error


def flip(data: bytearray, generator: random.Random) -> bytes:
    data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
    return bytes(data)


def cut(data: bytearray, generator: random.Random) -> bytes:
    return bytes(data[: generator.choice([0, 1, len(data) - 1, generator.randrange(len(data))])])


def grow(data: bytearray, generator: random.Random) -> bytes:
    return bytes(data) + generator.choice([b"\0", bytes(PAGE), bytes(data[-PAGE:])])


def zero_page(data: bytearray, generator: random.Random) -> bytes:
    start = generator.randrange(max(1, len(data) // PAGE)) * PAGE
    data[start : start + PAGE] = bytes(len(data[start : start + PAGE]))
    return bytes(data)


def swap_pages(data: bytearray, generator: random.Random) -> bytes:
    pages = [bytes(data[start : start + PAGE]) for start in range(0, len(data), PAGE)]
    one, other = generator.randrange(len(pages)), generator.randrange(len(pages))
    pages[one], pages[other] = pages[other], pages[one]
    return b"".join(pages)


def check(stores: Path, file: Path, wounded: bytes, expected: dict[str, Any]) -> str:
    """How a wound shows: `refused`, `told` or `harmless`; silent or nameless ones fail an assertion."""
    whole = file.read_bytes()
    file.write_bytes(wounded)
    told = False
    try:
        for name, value in everything(stores / "store"):
            if isinstance(value, StoreError):
                told = True
                words = name.removeprefix("id of ").removeprefix("place of ")
                places = (words, file.name, "id ", "picture", "caption")
                assert any(place in str(value) for place in places) and value.fix, f"{name}: {value}"
                assert str(stores) in str(value.where), f"{name}: {value}"
            elif isinstance(value, KeyError):  # the row of an id that cannot be found; a full check says why
                told = True
                with StoreReader(stores / "store") as reader, pytest.raises(StoreError, match=file.name):
                    reader.verify()
            else:
                assert value == expected[name], f"{name} differs in silence"
    except StoreError as error:
        assert error.fix and str(stores) in str(error.where), error
        return "refused"
    finally:
        file.write_bytes(whole)
    return "told" if told else "harmless"


@pytest.mark.parametrize(
    ("wound", "count"),
    [
        pytest.param(wound, count, marks=[pytest.mark.nightly] * nightly, id=f"{wound.__name__}-{count}")
        for wound, few, many in (
            (flip, 200, 4000), (cut, 20, 400), (grow, 10, 100), (zero_page, 20, 200), (swap_pages, 20, 400)
        )
        for count, nightly in ((few, False), (many, True))
    ],
)  # fmt: skip
def test_a_wound_is_found_or_changes_nothing(
    stores: Path, wound: Wound, count: int, forked: Forked, tree: Tree, tmp_path: Path
) -> None:
    copy = tmp_path / "all"
    shutil.copytree(stores, copy)
    before = tree(copy)
    files = sorted(file for file in copy.rglob("*") if file.is_file())

    def wounds() -> int:
        expected = dict(everything(copy / "store"))
        assert not any(isinstance(value, Exception) for value in expected.values())
        generator = random.Random(count)
        seen: Counter[str] = Counter()
        for number in range(count):
            # each file in turn, then as their sizes are
            large = generator.choices(files, [file.stat().st_size for file in files])[0]
            file = files[number // 2 % len(files)] if number % 2 else large
            data = file.read_bytes()
            wounded = wound(bytearray(data), generator)
            if wounded != data:
                print(f"{wound.__name__} {number}: {file.relative_to(copy)}", flush=True)
                seen[check(copy, file, wounded, expected)] += 1
        print(dict(seen), flush=True)
        return 0 if seen["refused"] + seen["told"] > 0 else 1

    ended = forked(wounds)
    assert ended.code == 0, (ended.code, ended.out[-300:], ended.err[-3000:])
    assert tree(copy) == before


def test_every_file_is_known_to_the_full_check(stores: Path, tmp_path: Path) -> None:
    copy = tmp_path / "all"
    shutil.copytree(stores, copy)
    with StoreReader(copy / "store") as reader:
        reader.verify()
    for file in sorted(path for path in copy.rglob("*") if path.is_file()):
        data = file.read_bytes()
        damaged = bytearray(data)
        damaged[len(data) // 2] ^= 1
        file.write_bytes(damaged)
        with pytest.raises(StoreError, match=file.name), StoreReader(copy / "store") as reader:
            reader.verify()
        file.unlink()
        with pytest.raises(StoreError, match=file.name), StoreReader(copy / "store") as reader:
            reader.verify()
        file.write_bytes(data)
