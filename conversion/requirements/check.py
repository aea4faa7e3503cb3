"""What extensions require of the new environment: whether it is there, has to come in, or can't.

    python -m conversion.requirements.check --spec requirements.json --read DIR --uv UV --prefix PREFIX \
        --base-inventory inventory.json --out DIR

DIR of ``--read`` holds ``NAME/NAME.json`` for each extension, as metadata.py writes it: its ``requires``, or an
``error``. What the environment has stays at its version; what it lacks is written to ``--out`` as a requirements file,
with the environment's inventory. Every requirement that can't be met is told, and ends it with status 1.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
from pathlib import Path
from typing import Any, Dict, FrozenSet, Iterator, List, Mapping, NamedTuple, Sequence, Tuple

from conversion import failures
from conversion.environment.inventory import Inventory, collect, load, normalise

_CONFLICT = re.compile(r"`([^`]+)`.*?requires .*?`([A-Za-z0-9._-]+)")


class Extension(NamedTuple):
    """An extension of the recipe: its name, its version, and the pins of its key ``requires``; None: it has no such."""

    name: str
    version: str
    requires: "Tuple[str, ...] | None"

    @property
    def key(self) -> str:
        """The key of the recipe that names what it requires."""
        return f"[extensions.{self.name}] requires"


class Wanted(NamedTuple):
    """What the environment lacks: a package, the line for uv, the extension, and whether the recipe pins it."""

    package: str
    line: str
    extension: str
    pinned: bool


class Verdict(NamedTuple):
    """What was found: what has to come in, failures by extension, and what is worth a line."""

    wanted: List[Wanted]
    failed: List[Tuple[str, str]]
    notes: List[str]


def packaging(module: str) -> Any:
    """A module of ``packaging``; pip brings a copy where the environment has none of its own."""
    try:
        return importlib.import_module(f"packaging.{module}")
    except ImportError:
        return importlib.import_module(f"pip._vendor.packaging.{module}")


def parse(line: str) -> Any:
    """A Requires-Dist entry as ``packaging`` reads it.

    Raises:
        ValueError: it is none (``InvalidRequirement``).
    """
    return packaging("requirements").Requirement(line)


def judge(
    extensions: Sequence[Extension],
    read: Mapping[str, Mapping[str, Any]],
    installed: Mapping[str, str],
    known_conflicts: FrozenSet[Tuple[str, str]] = frozenset(),
) -> Verdict:
    """Hold what each extension requires against the environment.

    Args:
        extensions: of the recipe; they count as installed. read: what was read of each, by name. installed: package →
            version. known_conflicts: package and requirement that the base did not meet either; they only inform.
    """
    there = {**installed, **{normalise(entry.name): entry.version for entry in extensions}}
    verdict = Verdict([], [], [])
    for entry in extensions:
        found = read[entry.name]
        if "error" in found and entry.requires is None:
            verdict.failed.append((entry.name, _unreadable(entry, str(found["error"]))))
        elif "error" in found:
            verdict.notes.append(f"{entry.name}: its metadata can't be read; the recipe says what it requires")
        for line in found.get("requires", ()):
            _judge_line(entry, str(line), there, known_conflicts, verdict)
        for pin in entry.requires or ():
            _judge_pin(entry, pin, there, verdict)
    return verdict


def _judge_line(
    entry: Extension,
    line: str,
    there: Mapping[str, str],
    known_conflicts: FrozenSet[Tuple[str, str]],
    verdict: Verdict,
) -> None:
    try:
        requirement = parse(line)
    except ValueError as error:
        verdict.failed.append((entry.name, f"it requires {line!r}, which nobody understands: {error}"))
        return
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
        return
    package = normalise(requirement.name)
    version = there.get(package)
    if version is None and requirement.url:
        verdict.failed.append((entry.name, _by_address(entry, requirement)))
    elif version is None:
        extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
        text = f"{requirement.name}{extras}{requirement.specifier}"
        verdict.wanted.append(Wanted(package, text, entry.name, pinned=False))
    elif not _fits(requirement.specifier, version):
        said = f"it requires {line}, and the environment has {package} {version}, which keeps its version"
        if (normalise(entry.name), package) in known_conflicts:
            verdict.notes.append(f"{entry.name}: {said}; so it was in the base")
            return
        remedy = f'name a version that fits: [stack] also = ["{package}==VERSION"]; or another version of {entry.name}'
        verdict.failed.append((entry.name, f"{said}\nwhat to do: {remedy}"))


def _judge_pin(entry: Extension, pin: str, there: Mapping[str, str], verdict: Verdict) -> None:
    requirement = parse(pin)
    package = normalise(requirement.name)
    version = there.get(package)
    if version is None:
        verdict.wanted.append(Wanted(package, pin, entry.name, pinned=True))
    elif not _fits(requirement.specifier, version):
        verdict.notes.append(f"{entry.name}: {pin} is not needed, the environment has {package} {version}")


def _fits(specifier: Any, version: str) -> bool:
    try:
        return bool(specifier.contains(packaging("version").Version(version), prereleases=True))
    except ValueError:  # a version of old, which nobody can compare
        return True


def _unreadable(entry: Extension, error: str) -> str:
    remedy = f'say it in the recipe: {entry.key} = ["NAME==VERSION"], or [] if it requires nothing'
    return f"what it requires can't be read before it is compiled: {error}\nwhat to do: {remedy}"


def _by_address(entry: Extension, requirement: Any) -> str:
    said = f"it requires {requirement.name} from {requirement.url}, and nothing is fetched from where a package says"
    return f'{said}\nwhat to do: make it an extension with a hash, or take a release: {entry.key} = ["NAME==VERSION"]'


def conflicts_of(base: Inventory) -> FrozenSet[Tuple[str, str]]:
    """The conflicts of the base: the package that requires, and the one that does not fit."""
    found = (_CONFLICT.search(line) for line in base.conflicts)
    return frozenset((normalise(match.group(1)), normalise(match.group(2))) for match in found if match)


def write(verdict: Verdict, environment: Inventory, out: Path) -> None:
    """Write what has to come in, what the environment has, who asked for it, and what to say where nothing fits."""
    out.mkdir(parents=True, exist_ok=True)
    lines = list(dict.fromkeys(wanted.line for wanted in verdict.wanted))
    _write(out / "requirements.txt", lines)
    _write(out / "environment.json", [json.dumps(environment.to_json())])
    asked: Dict[str, List[str]] = {}
    for wanted in verdict.wanted:
        asked.setdefault(wanted.package, []).append(wanted.extension)
    pinned = sorted({wanted.package for wanted in verdict.wanted if wanted.pinned})
    _write(out / "why.json", [json.dumps({"asked": asked, "pinned": pinned}, indent=1)])
    _write(out / "unresolved.txt", list(_unresolved(verdict.wanted)))


def _unresolved(wanted: Sequence[Wanted]) -> Iterator[str]:
    yield "what extensions require can't come in beside what the environment has; why stands above:"
    for line, extension in dict.fromkeys((entry.line, entry.extension) for entry in wanted):
        yield f"  {extension}: requires {line}"
    yield '  what to do: pin a version that fits, [extensions.NAME] requires = ["PACKAGE==VERSION"]; or move what'
    yield '  stands in its way, [stack] also = ["PACKAGE==VERSION"]; what comes as a source archive alone is an'
    yield '  extension of its own (source = "sdist", device-code = false)'


def _write(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read_spec(path: Path) -> Tuple[Extension, ...]:
    """The extensions of a specification.

    Raises:
        SpecError: it is none.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["extensions"]
        return tuple(
            Extension(
                str(entry["name"]),
                str(entry["version"]),
                None if entry["requires"] is None else tuple(map(str, entry["requires"])),
            )
            for entry in entries
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise failures.SpecError(f"{path} lists no extensions: {failures.describe(error)}") from error


def main() -> int:
    """Judge the extensions of ``--spec`` and write what has to come in."""
    parser = argparse.ArgumentParser(prog="python -m conversion.requirements.check", description=__doc__)
    for option in ("--spec", "--read", "--base-inventory", "--out"):
        parser.add_argument(option, required=True, type=Path)
    for option in ("--uv", "--prefix"):
        parser.add_argument(option, required=True)
    options = parser.parse_args()
    extensions = read_spec(options.spec)
    read = {
        entry.name: json.loads((options.read / entry.name / f"{entry.name}.json").read_text(encoding="utf-8"))
        for entry in extensions
    }
    environment = collect(options.uv, options.prefix)
    verdict = judge(extensions, read, environment.packages, conflicts_of(load(options.base_inventory)))
    for note in verdict.notes:
        print(f"requirements: {note}")
    if verdict.failed:
        together: Dict[str, List[str]] = {}
        for name, reason in verdict.failed:
            together.setdefault(name, []).append(reason)
        told = [(name, "\n".join(reasons)) for name, reasons in together.items()]
        failures.show_failures("extensions", told, len(extensions))
        return 1
    write(verdict, environment, options.out)
    lacking = ", ".join(dict.fromkeys(f"{wanted.line} ({wanted.extension})" for wanted in verdict.wanted))
    print(f"requirements: of {len(extensions)} extensions; missing here: {lacking or 'none'}")
    return 0


if __name__ == "__main__":
    failures.run(main)
