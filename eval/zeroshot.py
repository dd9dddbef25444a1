"""Classify pictures by the Chinese names of their classes: top-1, top-5, mean per class.

    python eval/zeroshot.py CHECKPOINT DATA CLASSES [--templates FILE] [--labels FILE] [--output FOLDER]
    python eval/zeroshot.py --help

The same as `cnclip eval zeroshot`.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("cnclip") is None:  # a clone that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cnclip.commands import main

if __name__ == "__main__":
    raise SystemExit(main(["eval", "zeroshot", *sys.argv[1:]]))
