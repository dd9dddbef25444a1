"""One table of all results below a folder, the best first.

    python eval/leaderboard.py FOLDER
    python eval/leaderboard.py --help

The same as `cnclip eval leaderboard`.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("cnclip") is None:  # a clone that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cnclip.commands import main

if __name__ == "__main__":
    raise SystemExit(main(["eval", "leaderboard", *sys.argv[1:]]))
