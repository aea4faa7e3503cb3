"""Writes the golden copies anew: ``.venv/bin/python tests/golden/update.py``, then read the difference."""

from __future__ import annotations

import shutil

from test_golden import HERE, rendered

from generator.recipe import shipped

for recipe in shipped():
    shutil.rmtree(HERE / recipe, ignore_errors=True)
    for path, content in rendered(recipe).items():
        target = HERE / recipe / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
