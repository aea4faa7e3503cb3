"""What earlier bakes left: images, build folder, assets, build cache; each knows how it is removed."""

from bake.leftovers.cache import Marks, find_cache, marks_of
from bake.leftovers.files import find_assets, find_folder
from bake.leftovers.images import find_images
from bake.leftovers.leftover import Kind, Leftover

__all__ = ["Kind", "Leftover", "Marks", "find_assets", "find_cache", "find_folder", "find_images", "marks_of"]
