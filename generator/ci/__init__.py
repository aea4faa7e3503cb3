"""CI files for a recipe: from templates, for GitHub Actions and GitLab."""

from generator.ci.files import place_of, write_ci_file
from generator.ci.render import render_ci
from generator.ci.settings import CiOptions, CiSettings, System, finish

__all__ = ["CiOptions", "CiSettings", "System", "finish", "place_of", "render_ci", "write_ci_file"]
