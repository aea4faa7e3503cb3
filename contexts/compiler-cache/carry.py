"""Copies what one compiler cache has and another lacks: ``carry.py --from FOLDER --to FOLDER``.

Compilers may be using either: a file appears under its name only when it is complete, and one that vanishes meanwhile
is left out. Locks and unfinished files stay behind. Runs inside a build, on the frozen image's Python, with nothing but
its standard library.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

# ccache's own working files: https://ccache.dev/manual (TEMPDIR), and locks beside what they lock
_LEFT_OUT = (".lock", ".tmp")


def main() -> None:
    """Copy, and say how much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="source", type=Path, required=True)
    parser.add_argument("--to", dest="target", type=Path, required=True)
    options = parser.parse_args()
    count, size = carry(options.source, options.target)
    print(f"carry.py: {count} files, {size:,} bytes")


def carry(source: Path, target: Path) -> tuple[int, int]:
    """Copy the files that the target lacks; gives their number and bytes."""
    count = size = 0
    target.mkdir(parents=True, exist_ok=True)
    for folder, names, files in os.walk(str(source)):
        names[:] = [name for name in names if name not in ("tmp", "lock")]
        here = target / Path(folder).relative_to(source)
        for name in files:
            place = here / name
            if name.endswith(_LEFT_OUT) or ".tmp." in name or place.exists():
                continue
            here.mkdir(parents=True, exist_ok=True)
            copied = _copy(Path(folder) / name, place)
            count, size = count + (copied is not None), size + (copied or 0)
    return count, size


def _copy(source: Path, place: Path) -> int | None:
    """Copy one file in one piece; None when it is gone."""
    part = place.with_name(place.name + ".tmp")
    try:
        shutil.copy2(str(source), str(part))
    except FileNotFoundError:
        return None
    part.replace(place)
    return place.stat().st_size


if __name__ == "__main__":
    main()
