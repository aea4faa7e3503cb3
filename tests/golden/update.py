"""Writes the golden copies anew: ``.venv/bin/python -m tests.golden.update``, then read the difference."""

from __future__ import annotations

from tests.golden.copies import HERE, golden, recorded

for path in recorded().keys() - golden().keys():
    (HERE / path).unlink()
for path, text in golden().items():
    (HERE / path).parent.mkdir(parents=True, exist_ok=True)
    (HERE / path).write_text(text, encoding="utf-8")
