"""Writes the golden copies anew: ``.venv/bin/python -m tests.golden.update``, then read the difference."""

from __future__ import annotations

import shutil

from generator.recipe import shipped
from tests.golden.test_golden import HERE, VARIANTS, rendered
from tests.workflows import RECORDED, recorded

for recipe in (*shipped(), *VARIANTS):
    shutil.rmtree(HERE / recipe, ignore_errors=True)
    for path, content in rendered(recipe).items():
        target = HERE / recipe / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)

for name in RECORDED:
    (HERE / "ci").mkdir(exist_ok=True)
    (HERE / "ci" / name).write_text(recorded(name), encoding="utf-8")
