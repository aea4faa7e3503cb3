"""What lies in the environment, in bytes: what the image adds to its base, what is dead, double, or for builders only.

    python -m conversion.verify.image_bytes --prefix PREFIX --base /base [--patch-report FILE] --out bytes.json

The base's file system is mounted at ``--base``. Only the file system's tables are read, and the content of large files
of equal size. The same image gives the same file, byte by byte. It never fails a build: what goes wrong stands in the
file, under ``error``.

``{"schema": 1, "prefix": …, "environment": {"files", "bytes"}, "added": …, "changed": …, "dead": …, "repeated": …,
"kinds": {kind: {"files", "bytes"}}, "duplicated": …, "duplicates": [{"bytes", "paths"}], "patched": …,
"packages": [{"name", "version", "files", "bytes"}]}``; a file that has several names counts once.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import stat
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from conversion import failures
from conversion.verify.kinds import kind_of

SCHEMA = 1
LARGE = 1 << 20  # files below are not compared
_BLOCK = 1 << 20


class Entry(NamedTuple):
    """A file: its size, and what tells it from another of the same path; ``inode`` is the same for hard links."""

    size: int
    mtime: int
    mode: int
    inode: Tuple[int, int]


def files_of(prefix: str) -> Dict[str, Entry]:
    """All regular files and symbolic links below a folder, by path relative to it; empty where there is none."""
    found: Dict[str, Entry] = {}
    waiting = [prefix]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                        continue
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
                        found[os.path.relpath(entry.path, prefix)] = Entry(
                            status.st_size, int(status.st_mtime), status.st_mode, (status.st_dev, status.st_ino)
                        )
        except FileNotFoundError:
            continue
    return found


def duplicates(prefix: str, paths: Iterable[str], files: Dict[str, Entry]) -> List[Dict[str, Any]]:
    """Groups of large files of one content, the largest waste first; hard links are one file."""
    by_size: Dict[int, Dict[Tuple[int, int], str]] = {}
    for path in sorted(paths):
        entry = files[path]
        if entry.size > LARGE and stat.S_ISREG(entry.mode):
            by_size.setdefault(entry.size, {}).setdefault(entry.inode, path)
    groups: List[Dict[str, Any]] = []
    for size, candidates in by_size.items():
        if len(candidates) > 1:
            same: Dict[str, List[str]] = {}
            for path in candidates.values():
                same.setdefault(_digest(os.path.join(prefix, path)), []).append(path)
            groups.extend({"bytes": size, "paths": group} for group in same.values() if len(group) > 1)
    return sorted(groups, key=lambda group: (-group["bytes"] * (len(group["paths"]) - 1), group["paths"]))


def _repeated(
    prefix: str, root: str, changed: Iterable[str], here: Dict[str, Entry], before: Dict[str, Entry]
) -> Iterator[str]:
    """Large files that stand over the base's own with the same content: another layer holds them once more."""
    for path in changed:
        size, _, mode, _ = here[path]
        if size > LARGE and size == before[path].size and stat.S_ISREG(mode) and stat.S_ISREG(before[path].mode):
            older = os.path.join(root, prefix.lstrip("/"), path)
            if _digest(os.path.join(prefix, path)) == _digest(older):
                yield path


def packages(prefix: str, added: Set[str], files: Dict[str, Entry]) -> List[Dict[str, Any]]:
    """Packages with files that the base lacks or has otherwise, by RECORD, the largest first."""
    found = []
    for record in sorted(path for path in added if path.endswith(".dist-info/RECORD".replace("/", os.sep))):
        folder = os.path.dirname(record)
        name, _, version = os.path.basename(folder)[: -len(".dist-info")].partition("-")
        site = os.path.dirname(folder)
        own = {path for path in _recorded(os.path.join(prefix, record), site) if path in files}
        found.append({"name": name, "version": version, **counted(own, files)})
    return sorted(found, key=lambda package: (-package["bytes"], package["name"]))


def counted(paths: Iterable[str], files: Dict[str, Entry]) -> Dict[str, int]:
    """Number and bytes of files; several names of one file count once."""
    sizes = {files[path].inode: files[path].size for path in paths}
    return {"files": len(sizes), "bytes": sum(sizes.values())}


def contents(prefix: str, root: str, patched: Iterable[str] = ()) -> Dict[str, Any]:
    """Compare an environment with the base's; see above for the shape of what it gives.

    Args:
        prefix: the environment's folder. root: the base's root. patched: absolute paths of patched files.
    """
    here, before = files_of(prefix), files_of(os.path.join(root, prefix.lstrip("/")))
    added = {path for path in here if path not in before}
    changed = {path for path in here if path in before and here[path][:3] != before[path][:3]}
    dead = {path for path in before if path not in here} | changed
    new = added | changed
    kinds: Dict[str, List[str]] = {"static-libraries": [], "headers": [], "tests": [], "bytecode": []}
    for path in new:
        kind = kind_of(path)
        if kind is not None:
            kinds[kind].append(path)
    doubles = duplicates(prefix, new, here)
    return {
        "schema": SCHEMA,
        "prefix": prefix,
        "environment": counted(here, here),
        "added": counted(added, here),
        "changed": counted(changed, here),
        "dead": counted(dead, before),
        "repeated": counted(_repeated(prefix, root, changed, here, before), here),
        "kinds": {kind: counted(paths, here) for kind, paths in kinds.items()},
        "duplicated": {
            "files": sum(len(group["paths"]) - 1 for group in doubles),
            "bytes": sum(group["bytes"] * (len(group["paths"]) - 1) for group in doubles),
        },
        "duplicates": doubles,
        "patched": _sizes(os.path.join(root, path.lstrip("/")) for path in patched),
        "packages": packages(prefix, new, here),
    }


def _sizes(paths: Iterable[str]) -> Dict[str, int]:
    """Number and bytes of those of the files that are there."""
    sizes = [os.lstat(path).st_size for path in paths if os.path.lexists(path)]
    return {"files": len(sizes), "bytes": sum(sizes)}


def _recorded(record: str, site: str) -> Iterator[str]:
    """Paths of a RECORD, relative to the environment."""
    try:
        with open(record, encoding="utf-8", newline="") as file:
            for row in csv.reader(file):
                if row and not os.path.isabs(row[0]):
                    yield os.path.normpath(os.path.join(site, row[0]))
    except (OSError, ValueError, csv.Error):
        return


def _digest(path: str) -> str:
    """The content's hash."""
    found = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(_BLOCK), b""):
            found.update(block)
    return found.hexdigest()


def _patched(report: Optional[str]) -> List[str]:
    if not report:
        return []
    with open(report, encoding="utf-8") as file:
        document = json.load(file)
    return [str(entry["file"]) for entry in document.get("changed", ())]


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Look, and write ``--out``; always gives 0."""
    parser = argparse.ArgumentParser(prog="python -m conversion.verify.image_bytes")
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--base", required=True, help="the base's root")
    parser.add_argument("--patch-report")
    parser.add_argument("--out", required=True)
    given = parser.parse_args(arguments)
    try:
        document = contents(given.prefix, given.base, _patched(given.patch_report))
    except Exception as error:  # noqa: BLE001 - a look at bytes must never fail a build
        document = {"schema": SCHEMA, "prefix": given.prefix, "error": failures.describe(error)}
    os.makedirs(os.path.dirname(given.out) or ".", exist_ok=True)
    with open(given.out, "w", encoding="utf-8") as file:
        file.write(json.dumps(document, indent=1, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    failures.run(main)
