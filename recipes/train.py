r"""Train by a recipe.

    accelerate launch recipes/train.py recipes/emoji_stage1.yaml
    accelerate launch recipes/train.py recipes/emoji_stage1.yaml optimizer.lr=3e-4 schedule.epochs=20
    accelerate launch --config_file recipes/accelerate/eight_gpu.yaml recipes/train.py \
        recipes/finetune_muge.yaml
    python recipes/train.py --help

The same program is `accelerate launch -m cnclip train …` where the wheel is installed.
"""

import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("cnclip") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cnclip.commands import run

if __name__ == "__main__":
    run(["train", *sys.argv[1:]])
