"""Measure a model on a published benchmark and print the published row beside ours.

    python eval/reproduce.py NAME --model MODEL
    python eval/reproduce.py --help

The same as `cnclip eval reproduce`.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("cnclip") is None:  # a clone that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cnclip.commands import main

if __name__ == "__main__":
    raise SystemExit(main(["eval", "reproduce", *sys.argv[1:]]))
