"""Tells a fact to whoever runs the build: one line of JSON, which ``bake.progress.facts`` reads.

``says`` is the sentence for people; it stands in the plain log too. Standard library only; runs inside a build.
"""

from __future__ import annotations

import json


def tell(kind: str, says: str, **values: object) -> None:
    """Print the fact."""
    print(json.dumps({"uplift": kind, "says": says, **values}), flush=True)
