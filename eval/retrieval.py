"""Measure recall@K, text to image and image to text: table, results.json, offline page.

    python eval/retrieval.py CHECKPOINT STORE [--output FOLDER] [--queries "红色的水果;下雨天"]
    python eval/retrieval.py --help

The same as `cnclip eval retrieval`.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("cnclip") is None:  # a clone that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cnclip.commands import main

if __name__ == "__main__":
    raise SystemExit(main(["eval", "retrieval", *sys.argv[1:]]))
