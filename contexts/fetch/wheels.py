"""Fetches the wheels that come into an environment: resolved for it, or those that are locked.

    python -m fetch.wheels --inventory FILE [--empty] [--release GLOB] [--without NAME] [--index URL] --out DIR LINE...
    python -m fetch.wheels --inventory FILE --locked FILE [--index URL] --out DIR

uv resolves as if it installed into the environment: with its Python, its platform and its packages, which keep their
versions but for those that a ``--release`` glob names; with ``--empty`` as if nothing were installed. Wheels alone: a
source archive would run its own code. Where there are two indexes, the stack's own comes first, and the other one is
asked for what it lacks. Which files came, with their SHA-256, is written to ``/files.json``: that list fetches them
again.
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from . import download
from .choice import require_installable
from .environment import read, requirement, strangers_text
from .pages import listed

if TYPE_CHECKING:
    from collections.abc import Iterable

REMEDY = "what to do: `lock --upgrade requirements` locks what is required now"


def main() -> None:
    """Fetch what comes in."""
    options = _options()
    if options.locked:
        files: dict[str, str] = json.loads(options.locked.read_text(encoding="utf-8"))
        require_installable(files, read(options.inventory))
        if options.requirements:
            _require_locked(strangers_text(options.requirements).splitlines(), files)
        with ThreadPoolExecutor(download.AT_A_TIME) as pool:
            found = pool.map(lambda name: listed(name, files[name], options.index).wanted(files[name]), files)
            wanted = list(found)
    else:
        from .resolve import resolved

        wanted = resolved(options)
    download.write_list(download.fetch_all(wanted, options.out))


def _require_locked(lines: Iterable[str], files: Iterable[str]) -> None:
    """Make sure that the files have what is required; ends the program where one is missing."""
    locked = {name: version for name, version, *_ in map(parse_wheel_filename, files)}
    for line in lines:
        wanted = Requirement(requirement(line))
        version = locked.get(canonicalize_name(wanted.name))
        if version is None or not wanted.specifier.contains(version, prereleases=True):
            has = "does not have it" if version is None else f"has {version}"
            sys.exit(f"fetch: an extension requires {wanted}, and the lock {has}\n{REMEDY}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inventory", type=Path, required=True, help="of the environment")
    parser.add_argument("--empty", action="store_true", help="resolve as if nothing were installed")
    parser.add_argument("--release", action="append", default=[], metavar="GLOB", help="may get another version")
    parser.add_argument("--without", action="append", default=[], metavar="NAME", help="was taken out before")
    parser.add_argument("--why", type=Path, help="who asked for what: these lines add to the environment, no more")
    parser.add_argument("--prefer", action="append", default=[], metavar="NAME==VERSION", help="where that is possible")
    parser.add_argument("--unresolved", type=Path, metavar="FILE", help="what is said where nothing fits")
    parser.add_argument("--index", help="the stack's own index")
    parser.add_argument("--locked", type=Path, help="the files to fetch: JSON, SHA-256 by name")
    parser.add_argument("--requirements", type=Path, help="a file with further lines")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("lines", nargs="*", metavar="LINE", help="a requirement")
    return parser.parse_args()


if __name__ == "__main__":
    main()
