"""What `conversion.slim` left out of an image, and that nobody there needs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Sequence, Set, Tuple

from conversion.inventory import normalise
from conversion.records import Package, fresh, packages
from conversion.rows import INFO, Row, judged
from conversion.selection import Selection, in_order, named
from conversion.slim import selection

CHECK = "slim"
_SHOWN = 5
# Opening and listing is told by the interpreter itself (PEP 578), also where an error is caught; the last finder is
# asked for modules that no other has.
_WATCHED = """
import importlib, json, os, sys
given = json.load(sys.stdin)
paths, names, seen, failed = set(given["paths"]), set(given["names"]), [], {}
def watch(event, arguments):
    if event in ("open", "os.listdir", "os.scandir", "ctypes.dlopen") and arguments:
        if isinstance(arguments[0], (str, bytes)):
            path = os.path.abspath(os.fsdecode(arguments[0]))
            if path in paths:
                seen.append(event + " of " + path)
class Last:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in names:
            seen.append("import of " + name)
with os.fdopen(os.dup(1), "w") as out:
    os.dup2(2, 1)
    sys.addaudithook(watch)
    sys.meta_path.append(Last)
    for module in given["modules"]:
        try:
            importlib.import_module(module)
        except BaseException as error:
            failed[module] = type(error).__name__ + ": " + str(error)
    json.dump({"seen": seen, "failed": failed}, out)
"""


def missing(home: str, new: Iterable[Package]) -> Dict[str, Package]:
    """Path → package of the files that new packages list, and that are not there."""
    return {
        path: package
        for package in new
        for path in package.files
        if not os.path.lexists(os.path.join(home, path)) and not path.endswith(".pyc")
    }


def left_out(prefix: str, base: str, kinds: Sequence[str]) -> Dict[str, Any]:
    """What is missing of the new packages, by kind, and by package and kind; the largest first.

    ``{"kinds": {kind: {"files", "bytes"}}, "packages": [{"name", "version", "kind", "files", "bytes"}]}``.
    """
    inside = prefix.lstrip("/")
    gone = missing(prefix, fresh(prefix, os.path.join(base, inside), packages(prefix)))
    groups: Dict[Tuple[str, str, str], List[int]] = {}
    total = {kind: {"files": 0, "bytes": 0} for kind in in_order(kinds)}
    for path, package in gone.items():
        kind = named(path, kinds)
        if kind is not None:
            groups.setdefault((package.name, package.version, kind), []).append(package.files[path])
            total[kind]["files"] += 1
            total[kind]["bytes"] += package.files[path]
    rows = [
        {"name": name, "version": version, "kind": kind, "files": len(sizes), "bytes": sum(sizes)}
        for (name, version, kind), sizes in sorted(groups.items(), key=lambda group: (-sum(group[1]), group[0]))
    ]
    return {"kinds": total, "packages": rows}


def slim_rows(prefix: str, base: str, kinds: Sequence[str], checked: Iterable[str]) -> Iterator[Row]:
    """Rows on what was left out, on what else is missing, and on imports.

    Args:
        prefix: the environment. base: the base's root. kinds: what the recipe leaves out.
        checked: names of packages that are imported, besides those that something was left out of.
    """
    base_home = os.path.join(base, prefix.lstrip("/"))
    every = packages(prefix)
    new = fresh(prefix, base_home, every)
    gone = missing(prefix, new)
    chosen = selection(prefix, "/", new, every, kinds)
    yield from _left_out_rows(prefix, base_home, kinds, chosen, gone)
    known = {left.path for left in chosen.files}
    stray = sorted(path for path in gone if path not in known)
    listed = sum(len(package.files) for package in new)
    shown = ", ".join(os.path.join(prefix, path) for path in stray[:_SHOWN])
    found = f"{len(stray)} are missing" if stray else f"{listed - len(gone)} files"
    yield judged(CHECK, "files of new packages", "all others are there", found, not stray, shown)
    for text in chosen.kept:
        yield Row(CHECK, "kept", "", "stays", INFO, text)
    names = {normalise(name) for name in checked} | {package.name for package in gone.values()}
    for package in every:
        if package.name in names:
            yield from import_rows(prefix, package, gone)


def _left_out_rows(
    prefix: str, base_home: str, kinds: Sequence[str], chosen: Selection, gone: Mapping[str, Package]
) -> Iterator[Row]:
    for kind in in_order(kinds):
        out: Dict[str, int] = {}
        still = []
        for left in chosen.files:
            if left.kind == kind and left.path in gone:
                out[left.package.name] = out.get(left.package.name, 0) + left.package.files[left.path]
            elif left.kind == kind and not os.path.lexists(os.path.join(base_home, left.path)):
                still.append(os.path.join(prefix, left.path))
        count = sum(1 for left in chosen.files if left.kind == kind and left.path in gone)
        found = f"{count} files, {_mib(sum(out.values()))} left out"
        largest = sorted(out.items(), key=lambda item: (-item[1], item[0]))
        detail = ", ".join(f"{name} {_mib(size)}" for name, size in largest[:_SHOWN])
        if still:
            found, detail = f"{len(still)} files are there", ", ".join(still[:_SHOWN])
        yield judged(CHECK, kind, "left out of the new packages", found, not still, detail)


def import_rows(prefix: str, package: Package, gone: Mapping[str, Package]) -> Iterator[Row]:
    """A row: a package's modules import, and nobody asks for a file that is gone; none where it has no modules.

    Each package has a process of its own: one that crashes takes no other with it.
    """
    modules = _modules(package)
    if not modules:
        return
    folders = {os.path.dirname(path): owner for path, owner in gone.items()}
    lost = {**gone, **{path: owner for path, owner in folders.items() if not os.path.isdir(os.path.join(prefix, path))}}
    asked = {
        "modules": modules,
        "paths": sorted(os.path.join(prefix, path) for path in lost),
        "names": sorted({_module(path, owner.site) for path, owner in lost.items()}),
    }
    done = subprocess.run(
        [sys.executable, "-c", _WATCHED],
        input=json.dumps(asked),
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        errors="replace",
    )
    expected = "imports, and asks for nothing that was left out"
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        yield judged(CHECK, package.name, expected, f"exit status {done.returncode}", False, last)
        return
    seen: List[str] = list(dict.fromkeys(answer["seen"]))
    failed = [f"{module}: {text}" for module, text in answer["failed"].items()]
    found = "asks for what was left out" if seen else "does not import" if failed else "imports"
    detail = "; ".join([*failed, *seen[:_SHOWN]]) or ", ".join(modules)
    yield judged(CHECK, package.name, expected, found, not seen and not failed, detail)


def _modules(package: Package) -> List[str]:
    """The modules that a package has right below site-packages; private ones are imported by these."""
    found: Set[str] = set()
    for path in package.files:
        parts = os.path.relpath(path, package.site).split(os.sep)
        if len(parts) == 1 and parts[0].endswith((".py", ".so")):
            found.add(parts[0].partition(".")[0])
        elif parts[1:] == ["__init__.py"]:
            found.add(parts[0])
    return sorted(name for name in found if name.isidentifier() and not name.startswith("_"))


def _module(path: str, site: str) -> str:
    """The module that a file or a folder would be."""
    parts = os.path.splitext(os.path.relpath(path, site))[0].split(os.sep)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _mib(count: int) -> str:
    return f"{count / (1 << 20):.1f} MiB"
