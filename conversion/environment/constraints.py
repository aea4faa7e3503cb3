"""The constraints that keep a base environment as it is while a new stack is installed into it.

    python -m conversion.environment.constraints --inventory inventory.json --release torch --release 'nvidia-*' \
        > constraints.txt

Every package of the base is pinned to its version, but those that a ``--release`` glob names. A pin with a
local version (``1.2+cu118``) or of a package that came from an archive by its address is satisfied by what is
installed, so it stays. An editable install and a version that isn't PEP 440 can't be pinned: a comment says
so.
"""

from __future__ import annotations

import argparse
import fnmatch
import re
from pathlib import Path
from typing import Iterable, List, Sequence

from conversion import failures
from conversion.environment.inventory import Inventory, load, normalise

_PEP440 = re.compile(
    r"^(\d+!)?\d+(\.\d+)*([-_.]?(a|b|c|rc|alpha|beta|pre|preview)[-_.]?\d*)?"
    r"(-\d+|[-_.]?(post|rev|r)[-_.]?\d*)?([-_.]?dev[-_.]?\d*)?(\+[a-z0-9]+([-_.][a-z0-9]+)*)?$",
    re.IGNORECASE,
)


def released(name: str, globs: Iterable[str]) -> bool:
    """Whether a glob names the package; both are compared as normalised names."""
    return any(fnmatch.fnmatchcase(normalise(name), _normalise_glob(glob)) for glob in globs)


def _normalise_glob(glob: str) -> str:
    return normalise(glob.strip())


def constraints(base: Inventory, release: Sequence[str]) -> List[str]:
    """The lines of the constraints file, in order of package name."""
    lines = [
        "# made by conversion.environment.constraints from the base environment's inventory",
        "# released: " + (", ".join(sorted(release)) or "nothing"),
    ]
    for name, version in sorted(base.packages.items()):
        if released(name, release):
            lines.append(f"# {name}: released, was {version}")
        elif name in base.editable:
            lines.append(f"# {name}: editable install of {base.editable[name]}, can't be pinned")
        elif not _PEP440.match(version):
            lines.append(f"# {name}: version {version} is not PEP 440, can't be pinned")
        else:
            lines.append(f"{name}=={version}")
    return lines


def main() -> int:
    """Print the constraints made from ``--inventory``."""
    parser = argparse.ArgumentParser(prog="python -m conversion.environment.constraints", description=__doc__)
    parser.add_argument("--inventory", required=True, type=Path)
    parser.add_argument("--release", action="append", default=[], metavar="GLOB")
    options = parser.parse_args()
    print("\n".join(constraints(load(options.inventory), options.release)))
    return 0


if __name__ == "__main__":
    failures.run(main)
