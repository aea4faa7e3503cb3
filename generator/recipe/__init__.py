"""The recipe: its model, and how it is loaded and checked."""

from generator.recipe.load import LoadedRecipe, load_recipe, recipe_file, shipped
from generator.recipe.model import Recipe

__all__ = ["LoadedRecipe", "Recipe", "load_recipe", "recipe_file", "shipped"]
