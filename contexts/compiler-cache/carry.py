"""Copies what one compiler cache has and another lacks: ``carry.py --from FOLDER --to FOLDER``.

What comes out of a registry is anybody's: only regular files come along that have names of ccache's own entries, below
its folders of one digit, as many as a cache can have. Its configuration does not: it can name programs that ccache
runs. Compilers may be using either cache: a file appears under its name only when it is complete, and one that vanishes
meanwhile is left out. Runs inside a build, on the frozen image's Python, with nothing but its standard library.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Entries of ccache 3 (hash-size.o), of ccache 4 (hashR, hash0W, hash_00), and its counters; locks and unfinished files
# have other names. Source: its manual, "Cache size management", and LocalStorage, get_path_in_cache.
_ENTRY = re.compile(r"[0-9a-v]{16,80}(?:[A-Z]|_[0-9a-f]{2}|-[0-9]+(?:\.[a-z]+)?)?|stats")
_FOLDER = re.compile(r"[0-9a-f]")
_COSTS = "costs.json"  # of compile.py, at the top
MOST_FILES, MOST_BYTES = 200_000, 4 << 30  # twice what compile.py lets a cache have


def main() -> None:
    """Copy, and say how much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="source", type=Path, required=True)
    parser.add_argument("--to", dest="target", type=Path, required=True)
    options = parser.parse_args()
    count, size = carry(options.source, options.target)
    print(f"carry.py: {count} files, {size:,} bytes")


def carry(source: Path, target: Path) -> tuple[int, int]:
    """Copy the entries that the target lacks; gives their number and bytes. Too many of them: none is copied."""
    entries = dict(_entries(source))
    if len(entries) > MOST_FILES or sum(entries.values()) > MOST_BYTES:
        sys.exit(f"carry.py: this is no compiler cache: more than {MOST_FILES:,} files or {MOST_BYTES:,} bytes")
    target.mkdir(parents=True, exist_ok=True)
    copied = [_copy(source / name, target / name) for name in entries if not (target / name).exists()]
    sizes = [size for size in copied if size is not None]
    return len(sizes), sum(sizes)


def _entries(source: Path) -> Iterator[tuple[Path, int]]:
    """List the entries by their paths below the source, with their sizes; links are not followed."""
    for folder, names, files in os.walk(str(source)):
        names[:] = [name for name in names if _FOLDER.fullmatch(name)]
        here = Path(folder).relative_to(source)
        for name in files:
            known = _ENTRY.fullmatch(name) if here.parts else name == _COSTS
            facts = _facts(Path(folder, name)) if known else None
            if facts is not None and stat.S_ISREG(facts.st_mode):
                yield here / name, facts.st_size


def _facts(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _copy(source: Path, place: Path) -> int | None:
    """Copy one file in one piece, with its times, which ccache cleans up by; None when it is gone."""
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(place.name + ".tmp")
    try:
        times = source.lstat()
        shutil.copyfile(str(source), str(part), follow_symlinks=False)
    except FileNotFoundError:
        return None
    os.utime(str(part), ns=(times.st_atime_ns, times.st_mtime_ns), follow_symlinks=False)
    part.replace(place)
    return place.lstat().st_size


if __name__ == "__main__":
    main()
