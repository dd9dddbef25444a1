"""Turn the packed emoji pictures of recipes/emoji/ into the source files of the quickstart.

python data_tools/prepare_emoji.py datasets/emoji
python data_tools/build_store.py datasets/emoji/train.jsonl stores/emoji-train

Every drawing style has one role. Six styles train; `emojitwo` is the validation style, on which recipes are
chosen; `twemoji` is held out: no training, no choice, only the final table.
Standard library only; the same input gives the same bytes, and a second run changes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypedDict

PACKED = Path(__file__).resolve().parents[1] / "recipes" / "emoji"
TRAIN_STYLES = ("noto", "blob", "fluent", "fluent-flat", "fxemoji", "streamline")
VALIDATION_STYLE = "emojitwo"
HELD_OUT_STYLE = "twemoji"
SEEN_STYLE = "noto"  # a training style that draws every thing: what memory alone would reach


class Thing(TypedDict):
    """One line of emoji.jsonl: a thing that several styles draw.

    Attributes:
        hexcode: its code points, the stem of its picture in every style.
        name_zh: its name, unique in the file; with `name_en` the English one.
        tags_zh: further words a native speaker would look for it with; `tags_en` likewise.
        group_zh: one of six classes.
        subgroup: a finer class, in English.
    """

    hexcode: str
    name_zh: str
    tags_zh: list[str]
    name_en: str
    tags_en: list[str]
    group_zh: str
    subgroup: str


Captions = Callable[[Thing], list[str]]


def prepare_emoji(packed: Path, out: Path) -> dict[str, int]:
    """Unpack the pictures and write one JSONL source per purpose.

    Args:
        packed: folder with emoji.jsonl and one zip per style.
        out: folder for `pictures/<style>/<hexcode>.webp` and the files below; made where missing.

    Returns:
        Rows of each file: `stage0_train` and `stage0_valid` (English names), `train` (Chinese name and
        tags), `valid`, `seen` and `heldout` (Chinese names), `heldout_labels` ({image_id, label}), `classes`.
    """
    things: dict[str, Thing] = {thing["hexcode"]: thing for thing in _read_things(packed / "emoji.jsonl")}
    pictures = {
        style: _unpack(packed / f"{style}.zip", out / "pictures" / style)
        for style in (*TRAIN_STYLES, VALIDATION_STYLE, HELD_OUT_STYLE)
    }

    def rows(styles: Iterable[str], captions: Captions) -> list[str]:
        return [
            _json_line(
                {
                    "image": f"pictures/{style}/{hexcode}.webp",
                    "image_id": f"{style}/{hexcode}",
                    "captions": captions(things[hexcode]),
                }
            )
            for style in styles
            for hexcode in pictures[style]
        ]

    files = {
        "stage0_train.jsonl": rows(TRAIN_STYLES, _english_name),
        "stage0_valid.jsonl": rows([VALIDATION_STYLE], _english_name),
        "train.jsonl": rows(TRAIN_STYLES, _chinese_name_and_tags),
        "valid.jsonl": rows([VALIDATION_STYLE], _chinese_name),
        "seen.jsonl": rows([SEEN_STYLE], _chinese_name),
        "heldout.jsonl": rows([HELD_OUT_STYLE], _chinese_name),
        "heldout_labels.jsonl": [
            _json_line({"image_id": f"{HELD_OUT_STYLE}/{hexcode}", "label": things[hexcode]["group_zh"]})
            for hexcode in pictures[HELD_OUT_STYLE]
        ],
        "classes.txt": list(dict.fromkeys(thing["group_zh"] for thing in things.values())),
    }
    for name, lines in files.items():
        _write(out / name, "".join(f"{line}\n" for line in lines).encode())
    return {Path(name).stem: len(lines) for name, lines in files.items()}


def _english_name(thing: Thing) -> list[str]:
    return [thing["name_en"]]


def _chinese_name(thing: Thing) -> list[str]:
    return [thing["name_zh"]]


def _chinese_name_and_tags(thing: Thing) -> list[str]:
    return [thing["name_zh"], *thing["tags_zh"]]


def _read_things(path: Path) -> Iterator[Thing]:
    for line in path.read_text(encoding="utf-8").splitlines():
        thing: Thing = json.loads(line)
        yield thing


def _unpack(archive: Path, folder: Path) -> list[str]:
    """Write each picture of a style to `folder`; their hexcodes, sorted."""
    with zipfile.ZipFile(archive) as packed:
        names = sorted(packed.namelist())
        for name in names:
            # A member's name becomes a path: only the plain names that we packed may pass.
            if Path(name).name != name or not name.endswith(".webp"):
                raise SystemExit(
                    f"{archive}: unexpected member {name!r}; restore the file from the repository"
                )
            _write(folder / name, packed.read(name))
    return [name.removesuffix(".webp") for name in names]


def _write(path: Path, content: bytes) -> None:
    """Write whole or not at all; a file that already says the same keeps its time stamp."""
    if path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def _json_line(row: dict[str, object]) -> str:
    return json.dumps(row, ensure_ascii=False)


def main() -> None:
    """Read the two folders from the command line and say what was written."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("out", type=Path, help="folder for the pictures and the JSONL files")
    parser.add_argument("--packed", type=Path, default=PACKED, help="folder with emoji.jsonl and the zips")
    arguments = parser.parse_args()
    for name, rows in prepare_emoji(arguments.packed, arguments.out).items():
        print(f"{name}: {rows} rows")


if __name__ == "__main__":
    main()
