"""What is installed in an environment, and which of it conflicts.

    python -m conversion.environment.inventory --uv /tools/uv --prefix PREFIX --out inventory.json

uv reads the environment's metadata; nothing is fetched and no cache is written.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from conversion import failures

OFFLINE = ("--offline", "--no-cache", "--no-config")
# Runs on the environment's own interpreter: what decides which wheels it can install, and what its packages require.
_LOOK = """\
import json, os, platform, re, sys
from importlib import metadata
requires = {}
for found in metadata.distributions():
    name = re.sub(r"[-_.]+", "-", found.metadata["Name"] or "").lower()
    requires.setdefault(name, list(found.requires or ()))
try:
    glibc = os.confstr("CS_GNU_LIBC_VERSION").split()[-1]
except (AttributeError, OSError, ValueError):
    glibc = ""
print(json.dumps({
    "python": platform.python_version(),
    "platform": {"implementation": sys.implementation.name, "machine": platform.machine(), "glibc": glibc},
    "requires": requires,
}))
"""
_CONFLICT_NOISE = re.compile(r"^(Using |Checked |Found |All installed |Audited |warning: )")


def normalise(name: str) -> str:
    """A package name as PEP 503 writes it: lower case, runs of ``-_.`` as one dash."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True)
class Inventory:
    """An environment: its Python, its packages (normalised name → version) and its conflicts.

    Attributes:
        python: the interpreter's version, as in "3.10.14".
        packages: normalised name → version, in order of name.
        conflicts: what ``uv pip check`` says, one line each, sorted.
        editable: the packages that are installed from a folder of source, name → that folder.
        requires: normalised name → the Requires-Dist entries of a package, as they stand.
        platform: which wheels fit, beside the Python: its ``implementation``, ``machine`` and ``glibc``.
    """

    python: str
    packages: Mapping[str, str]
    conflicts: Tuple[str, ...] = ()
    editable: Mapping[str, str] = field(default_factory=dict)
    requires: Mapping[str, Sequence[str]] = field(default_factory=dict)
    platform: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> Dict[str, object]:
        """The JSON shape that the other scripts read."""
        return {
            "python": self.python,
            "packages": dict(sorted(self.packages.items())),
            "conflicts": sorted(self.conflicts),
            "editable": dict(sorted(self.editable.items())),
            "requires": {name: list(lines) for name, lines in sorted(self.requires.items())},
            "platform": dict(sorted(self.platform.items())),
        }


def load(path: Path) -> Inventory:
    """Read an inventory that `Inventory.to_json` wrote."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return Inventory(
            python=str(raw["python"]),
            packages={normalise(name): str(version) for name, version in raw["packages"].items()},
            conflicts=tuple(raw.get("conflicts", ())),
            editable=dict(raw.get("editable", {})),
            requires=dict(raw.get("requires", {})),
            platform=dict(raw.get("platform", {})),
        )
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise failures.SpecError(f"{path} is not an inventory: {failures.describe(error)}") from error


def collect(uv: str, prefix: str) -> Inventory:
    """Ask uv about the environment at `prefix`.

    Args:
        uv: the uv program.
        prefix: the environment's folder; its interpreter is ``bin/python`` below it.

    Raises:
        ConversionError: uv or the interpreter can't be run, or uv's answer isn't understood.
    """
    python = os.path.join(prefix, "bin", "python")
    looked = _answer([python, "-c", _LOOK])
    entries = _answer([uv, "pip", "list", "--format", "json", "--python", python, *OFFLINE])
    return Inventory(
        python=looked["python"],
        packages={normalise(entry["name"]): entry["version"] for entry in entries},
        conflicts=tuple(parse_conflicts(_check(uv, python))),
        editable={
            normalise(entry["name"]): entry["editable_project_location"]
            for entry in entries
            if entry.get("editable_project_location")
        },
        requires=looked["requires"],
        platform=looked["platform"],
    )


def parse_conflicts(text: str) -> List[str]:
    """The conflicts in the output of ``uv pip check``, without its summary lines, sorted."""
    lines = (line.strip() for line in text.splitlines())
    return sorted({line for line in lines if line and not _CONFLICT_NOISE.match(line)})


def serves(pythons: str, version: str) -> bool:
    """Whether a range, ">=3.10,<3.15", holds a Python, "3.10.14"."""
    lowest, beyond = (tuple(map(int, re.findall(r"\d+", part))) for part in pythons.split(","))
    return lowest <= tuple(map(int, re.findall(r"\d+", version)[:2])) < beyond


def _check(uv: str, python: str) -> str:
    """The output of ``uv pip check``, which exits 1 where there are conflicts."""
    command = [uv, "pip", "check", "--python", python, *OFFLINE]
    done = _spawn(command)
    if done.returncode not in (0, 1) or re.search(r"^error:", done.stderr, re.MULTILINE):
        raise failures.ConversionError(f"'{' '.join(command)}' failed: {done.stderr.strip()}")
    return done.stdout + done.stderr


def _answer(command: Sequence[str]) -> Any:
    said = _run(command)
    try:
        return json.loads(said)
    except ValueError as error:
        raise failures.ConversionError(f"'{command[0]}' did not answer in JSON: {said[:200]!r}") from error


def _run(command: Sequence[str]) -> str:
    done = _spawn(command)
    if done.returncode:
        reason = done.stderr.strip() or f"exit status {done.returncode}"
        raise failures.ConversionError(f"'{' '.join(command)}' failed: {reason}")
    return done.stdout


def _spawn(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(list(command), capture_output=True, text=True, check=False)
    except OSError as error:
        raise failures.ConversionError(f"can't run {command[0]}: {error.strerror or error}") from error


def main() -> int:
    """Write the inventory of ``--prefix`` to ``--out``."""
    parser = argparse.ArgumentParser(prog="python -m conversion.environment.inventory", description=__doc__)
    parser.add_argument("--uv", required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--pythons", help='those that the new stack has wheels for: ">=3.10,<3.15"')
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()
    found = collect(options.uv, options.prefix)
    if options.pythons and not serves(options.pythons, found.python):
        raise failures.ConversionError(
            f"{options.prefix} has Python {found.python}, and the new stack has wheels for Python {options.pythons} "
            "alone: take a recipe whose stack serves it (`stack.python` of each says which)"
        )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found.to_json(), indent=1) + "\n", encoding="utf-8")
    print(f"{len(found.packages)} packages, {len(found.conflicts)} conflicts, Python {found.python}")
    return 0


if __name__ == "__main__":
    failures.run(main)
