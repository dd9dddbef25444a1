"""Compare zero-shot with learning from 1, 2, 4, 8, 16 labelled pictures per class: a table and a curve.

    python eval/probe.py CHECKPOINT DATA CLASSES [--labels FILE] [--test DATA] [--methods …] [--output FOLDER]
    python eval/probe.py --help

The same as `cnclip eval probe`.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("cnclip") is None:  # a clone that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cnclip.commands import main

if __name__ == "__main__":
    raise SystemExit(main(["eval", "probe", *sys.argv[1:]]))
