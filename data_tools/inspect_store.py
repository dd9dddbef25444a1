"""Look into a source or a store, or make one of another: the verbs of `cnclip data`, run from a clone.

python data_tools/inspect_store.py peek datasets/MUGE                     what a source is, its first pairs
python data_tools/inspect_store.py check stores/train stores/valid        what will go wrong in training
python data_tools/inspect_store.py stats stores/muge-train                what it holds
python data_tools/inspect_store.py stats stores/muge-train --verify true  the same, after checking all files
python data_tools/inspect_store.py show stores/muge-train 1076345         one picture and its captions
python data_tools/inspect_store.py show stores/muge-train 8428 --kind text
"""

import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("cnclip") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cnclip.commands import main

if __name__ == "__main__":
    raise SystemExit(main(["data", *sys.argv[1:]]))
