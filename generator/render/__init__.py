"""The renderer: graph in, a bake file and build contexts out."""

from generator.render.render import BAKE_FILE, render
from generator.render.write import write_folder

__all__ = ["BAKE_FILE", "render", "write_folder"]
