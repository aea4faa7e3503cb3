"""Resolves what comes into an environment, by uv, and finds the wheels of it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conversion.environment.constraints import constraints
from conversion.environment.inventory import Inventory
from conversion.failures import ConversionError
from conversion.requirements.arrivals import pins, told

from . import download
from .choice import pinned, tags_of
from .environment import Environment, read, requirement, stand_in, strangers_text
from .pages import UV

if TYPE_CHECKING:
    import argparse


def resolved(options: argparse.Namespace) -> list[download.Wanted]:
    """Resolve, and find the wheels; ``options`` are those of ``fetch.wheels``."""
    lines = list(options.lines)
    if options.requirements:
        lines += strangers_text(options.requirements).splitlines()
    if not lines:
        return []
    environment = read(options.inventory)
    answer = _ask_uv(environment, [requirement(line) for line in lines], options)
    if options.why:
        for sentence in _arrivals(answer, strangers_text(options.why)):
            print(json.dumps({"uplift": "arrival", "says": sentence}), file=sys.stderr)  # for bake.progress.facts
    changes = [(entry["name"], entry["version"]) for entry in answer["changes"] if entry["action"] != "uninstalled"]
    tags = tags_of(environment)
    with ThreadPoolExecutor(download.AT_A_TIME) as pool:
        links = pool.map(lambda pin: pinned(pin[0], pin[1], options.index, tags), changes)
        return [link.wanted() for link in links]


def _arrivals(answer: dict[str, Any], why: str) -> list[str]:
    """Say what comes in, and for whom; ends the program where the environment would not stay as it is."""
    try:
        found = pins(answer)
    except ConversionError as error:
        sys.exit(f"fetch: {error}")
    try:
        return told(found, json.loads(why))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        sys.exit(f"fetch: who asked for what is not understood: {error!r}")


def _ask_uv(environment: Environment, lines: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Have uv say what it would install; ends the program with what it says where nothing fits."""
    command = [UV, "pip", "install", "--dry-run", "--output-format", "json", "--no-build", "--no-cache", "--quiet"]
    command += ["--python", sys.executable, "--python-version", environment.python]
    command += ["--python-platform", environment.platform]
    if options.index:
        command += ["--index", download.mirrored(options.index), "--index-strategy", "unsafe-first-match"]
    kept: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        site, file = Path(folder, "site"), Path(folder, "constraints.txt")
        site.mkdir()
        if not options.empty:
            stand_in(environment, site, without=options.without)
            kept = constraints(_inventory(environment), options.release)
        command += ["--target", str(site), "--constraints", str(file), *lines]
        for preferred in ([options.prefer] if options.prefer else []) + [[]]:
            file.write_text("".join(f"{line}\n" for line in (*kept, *preferred)), encoding="utf-8")
            done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
            if not done.returncode:
                answer: dict[str, Any] = json.loads(done.stdout)
                return answer
            if preferred:
                print("fetch: not all versions can stay as they were; resolved without them", file=sys.stderr)
    sys.exit(strangers_text(options.unresolved) if options.unresolved else done.returncode)


def _inventory(environment: Environment) -> Inventory:
    return Inventory(
        python=environment.python,
        packages=environment.packages,
        editable=dict.fromkeys(environment.editable, "a folder"),
    )
