"""Make a store from pictures with captions: the verb `cnclip data build`, run from a clone.

python data_tools/build_store.py datasets/MUGE stores/muge-train --split train
python data_tools/build_store.py captions.jsonl stores/train --where split=train
python data_tools/build_store.py --help
"""

import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("cnclip") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cnclip.commands import main

if __name__ == "__main__":
    raise SystemExit(main(["data", "build", *sys.argv[1:]]))
