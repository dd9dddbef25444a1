"""Put the results of several runs side by side and test, query by query, whether they differ.

    python eval/compare.py RUN1 RUN2 [RUN …]
    python eval/compare.py --help

The same as `cnclip eval compare`.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("cnclip") is None:  # a clone that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cnclip.commands import main

if __name__ == "__main__":
    raise SystemExit(main(["eval", "compare", *sys.argv[1:]]))
