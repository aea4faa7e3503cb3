"""Leaves out of an image what no run of its new packages needs.

    python -m conversion.slim --prefix PREFIX --kind KIND … --base OLD --new NEW --out slim.json
    python -m conversion.slim --prefix PREFIX --kind KIND … --remove PACKAGE …

The first writes which files and folders of NEW's new packages are left out, as ``{"paths": [path, …]}`` from the root;
OLD and NEW are mounted file systems. The second removes them from this one, of the packages named: in the step that
installed these, so that no layer ever has them.

RECORDs stay as they are: installers and ``importlib.metadata`` take a file that is gone for gone, and what was left out
can be told from them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from typing import Dict, Iterable, Iterator, List, Optional, Sequence, Set, Tuple

from conversion import failures
from conversion.imported import test_modules
from conversion.inventory import normalise
from conversion.kinds import TESTS
from conversion.records import Package, fresh, packages
from conversion.selection import KINDS, Selection, select

_COMPILER = re.compile(r"(.*-)?(cc|gcc|g\+\+|c\+\+|clang|clang\+\+|tcc|icx|icpx|nvcc)(-[\d.]+)?")


def selection(
    home: str, root: str, new: Sequence[Package], every: Sequence[Package], kinds: Iterable[str]
) -> Selection:
    """Choose the files of an environment to leave out, with what its files and programs say.

    Args:
        home: the environment's folder. root: where the root is mounted that it is of; PATH counts from there.
    """
    sites = sorted({package.site for package in new}) if TESTS in kinds else []
    imported = {name for site in sites for name in test_modules(os.path.join(home, site))}
    folders = [*os.environ.get("PATH", "").split(os.pathsep), os.path.join("/", os.path.relpath(home, root), "bin")]
    return select(new, every, kinds, compilers=compilers(root, folders), imported=imported)


def compilers(root: str, folders: Iterable[str]) -> List[str]:
    """Find the programs in folders below a root that compile C, C++ or CUDA, by their names."""
    found: Set[str] = set()
    for folder in folders:
        try:
            names = os.listdir(os.path.join(root, folder.lstrip("/"))) if folder else []
        except OSError:
            continue
        found.update(os.path.join(folder, name) for name in names if _COMPILER.fullmatch(name))
    return sorted(found)


def emptied(home: str, files: Iterable[str]) -> List[str]:
    """The folders that would be empty without some files, from the environment's folder; deepest first."""
    gone = set(files)
    waiting = {os.path.dirname(path) for path in gone}
    found: List[str] = []
    while waiting:
        folder = max(waiting, key=lambda path: path.count(os.sep))
        waiting.discard(folder)
        if folder and all(os.path.join(folder, name) in gone for name in os.listdir(os.path.join(home, folder))):
            gone.add(folder)
            found.append(folder)
            waiting.add(os.path.dirname(folder))
    return found


def told(chosen: Selection) -> Iterator[str]:
    """Say what is left out, by kind and package, and what stays."""
    groups: Dict[Tuple[str, str], List[int]] = {}
    for left in chosen.files:
        groups.setdefault((left.kind, f"{left.package.name} {left.package.version}"), []).append(
            left.package.files[left.path]
        )
    for (kind, package), bytes_ in sorted(groups.items()):
        yield f"left out: {kind} of {package}: {len(bytes_)} files, {sum(bytes_) / (1 << 20):.1f} MiB"
    for text in chosen.kept:
        yield f"kept: {text}"


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Choose, and write the list or remove the files."""
    parser = argparse.ArgumentParser(prog="python -m conversion.slim")
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--kind", action="append", required=True, choices=KINDS)
    parser.add_argument("--base", help="the base's root")
    parser.add_argument("--new", help="the root with the new packages")
    parser.add_argument("--out")
    parser.add_argument("--remove", action="append", default=[], metavar="PACKAGE")
    given = parser.parse_args(arguments)
    inside = given.prefix.strip("/")
    root = given.new or "/"
    home = os.path.join(root, inside)
    every = packages(home)
    if given.remove:
        new = [package for package in every if package.name in {normalise(name) for name in given.remove}]
    else:
        new = fresh(home, os.path.join(given.base, inside), every)
    chosen = selection(home, root, new, every, given.kind)
    for line in told(chosen):
        print(line, flush=True)
    files = [left.path for left in chosen.files if os.path.lexists(os.path.join(home, left.path))]
    folders = emptied(home, files)
    if given.remove:
        for path in files:
            os.unlink(os.path.join(home, path))
        for path in folders:
            os.rmdir(os.path.join(home, path))
    else:
        write([os.path.join(inside, path) for path in (*files, *folders)], given.out)
    return 0


def write(paths: Iterable[str], out: str) -> None:
    """Write the list that `conversion.share` reads."""
    os.makedirs(os.path.dirname(out) or ".", exist_ok=True)
    with open(out, "w", encoding="ascii") as file:
        file.write(json.dumps({"paths": sorted(paths)}))


if __name__ == "__main__":
    failures.run(main)
