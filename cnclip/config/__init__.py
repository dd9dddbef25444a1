"""Typed recipes and typed commands: the only room that talks to the configuration library."""

from cnclip.config.ranges import check_ranges
from cnclip.config.reading import parse_call, read_recipe, read_yaml, recipe_text, recipe_values
from cnclip.config.recipe import TrainRecipe

__all__ = [
    "TrainRecipe",
    "check_ranges",
    "parse_call",
    "read_recipe",
    "read_yaml",
    "recipe_text",
    "recipe_values",
]
