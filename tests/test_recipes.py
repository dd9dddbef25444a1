"""Every shipped recipe and launch file is read, and says what it should."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cnclip.commands.train_data import peak_learning_rate
from cnclip.config import TrainRecipe, read_recipe, recipe_text
from cnclip.images.augment import AUGMENT_POLICIES
from cnclip.model import ARCHITECTURES

ROOT = Path(__file__).resolve().parent.parent
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
LAUNCHES = sorted((ROOT / "recipes" / "accelerate").glob("*.yaml"))


def test_all_promised_recipes_are_there() -> None:
    assert {path.stem for path in RECIPES} >= {
        "emoji_stage0", "emoji_stage1", "emoji_stage2", "stage1_vit-b-16", "stage2_vit-b-16",
        "finetune_muge", "finetune_flickr30k-cn", "finetune_coco-cn",
    }  # fmt: skip
    assert {path.stem for path in LAUNCHES} >= {"cpu", "one_gpu", "eight_gpu", "two_nodes"}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_is_strict_complete_and_reads_back(path: Path, tmp_path: Path) -> None:
    recipe = read_recipe(TrainRecipe, [str(path)])
    assert recipe.output.startswith("checkpoints/") and recipe.data.train
    assert recipe.data.augment in AUGMENT_POLICIES
    assert recipe.model.name is None or recipe.model.name in ARCHITECTURES
    (tmp_path / "resolved.yaml").write_text(recipe_text(recipe), encoding="utf-8")
    assert read_recipe(TrainRecipe, [str(tmp_path / "resolved.yaml")]) == recipe


@pytest.mark.parametrize("path", LAUNCHES, ids=lambda path: path.stem)
def test_launch_file_is_one_that_accelerate_reads(path: Path) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(path))
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert config.num_processes == values["num_processes"]
    assert config.mixed_precision == "no"  # the recipe decides the precision


def test_one_gpu_gets_the_rate_that_fits_its_batch() -> None:
    recipe = read_recipe(TrainRecipe, [str(ROOT / "recipes" / "finetune_muge.yaml")])
    assert peak_learning_rate(recipe, 1024) == pytest.approx(5e-5)
    assert peak_learning_rate(recipe, 128) == pytest.approx(6.25e-6)
