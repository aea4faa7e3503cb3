"""Loads checkpoints on the CPU, each in a process of its own, and prints a row for each.

    python -m conversion.verify.load_checkpoints --path DIR … -- FILE …

A row goes to stdout as soon as it is known.
"""

from __future__ import annotations

import argparse
import collections
import json
from dataclasses import asdict
from functools import partial
from typing import Sequence

from conversion import failures
from conversion.models import isolate, loading  # torch comes with the second, once for all of the forks
from conversion.verify.checkpoints import EXPECTED
from conversion.verify.rows import judged


def summary(path: Sequence[str], file: str) -> str:
    """Load one file, with classes from these folders; gives what it holds in words.

    Raises:
        ConversionError: it can't be loaded.
    """
    with loading.import_path(path):
        value = loading.load(file)
    if isinstance(value, dict):
        kinds = collections.Counter(type(item).__name__ for item in value.values())
        return f"a dict of {', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))}"
    return f"a {type(value).__module__}.{type(value).__qualname__}"


def main() -> int:
    """Print a row per file."""
    parser = argparse.ArgumentParser(prog="python -m conversion.verify.load_checkpoints", description=__doc__)
    parser.add_argument("--path", action="append", default=[])
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    for outcome in isolate.each(partial(summary, options.path), options.files):
        bad = outcome.error is not None
        detail = str(outcome.error if bad else outcome.result)
        row = judged("checkpoint", outcome.file, EXPECTED, "does not load" if bad else "loads", not bad, detail)
        print(json.dumps(asdict(row)), flush=True)
    return 0


if __name__ == "__main__":
    failures.run(main)
