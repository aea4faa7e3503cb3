"""CI files for a recipe: from templates, for GitHub Actions and GitLab."""

from generator.ci.files import place_of, write_ci_file
from generator.ci.render import render_ci
from generator.ci.settings import CiSettings, CiWishes, System, settle

__all__ = ["CiSettings", "CiWishes", "System", "place_of", "render_ci", "settle", "write_ci_file"]
