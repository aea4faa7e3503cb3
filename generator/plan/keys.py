"""What each target is made from, named input by input, and the hash of it: its key.

A key tells whether a target has to be made again, and by its inputs why. The key of a compile target is that of its
wheel in the wheel store: it holds what a wheel depends on and nothing else, so that wheels are shared by whoever
compiles the same source for the same stack. Pure: the graph, its rendered files and a few facts go in.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING

from generator.plan.graph import Kind
from generator.plan.names import FETCHER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from generator.plan.graph import Graph, Target

SHOWN = 12  # hexadecimal digits of a hash, where people read it


@dataclass(frozen=True, kw_only=True)
class Key:
    """The inputs of a target: name -> value, or hash of a content (SHA-256, hexadecimal)."""

    target: str
    inputs: Mapping[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 over the inputs, in hexadecimal."""
        text = json.dumps({"target": self.target, "inputs": self.inputs}, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


def keys_of(
    graph: Graph,
    files: Mapping[PurePosixPath, bytes],
    *,
    variables: Mapping[str, str],
    base: str,
    platform: str,
    checksums: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Key]:
    """Give the key of every target.

    Args:
        graph: the targets. files: what was rendered of them, by path. variables: values of bake variables, where they
            differ from the defaults. base: the frozen image, best by its digest: it stands for the C library, the
            Python ABI and all else that the base brings. platform: such as ``linux/amd64``. checksums: SHA-256 by
            address, of what the site's mirrors serve in place of the original.
    """
    values = {**{variable.name: variable.default for variable in graph.variables}, **variables}
    keys: dict[str, Key] = {}
    for target in graph.targets:
        place = {"base": base, "platform": platform} if target.from_base else {}
        own = {**place, **_own_files(target, files), **_served(target, checksums), **_named(target, values)}
        linked = _of_wheel(graph, target, files, checksums) if target.stand_in else {}
        linked |= {
            f"target {used}": keys[used].digest
            for used in sorted(set(target.inputs.values()))
            if not target.stand_in or graph[used].kind is Kind.WHEEL
        }
        keys[target.name] = Key(target=target.name, inputs={**own, **linked})
    return keys


def changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Compare the inputs of a target at two times: name, value before and value now; "" where there is none."""
    names = list(dict.fromkeys((*old, *new)))
    return [(name, old.get(name, ""), new.get(name, "")) for name in names if old.get(name) != new.get(name)]


def _of_wheel(
    graph: Graph, target: Target, files: Mapping[PurePosixPath, bytes], checksums: Mapping[str, str]
) -> dict[str, str]:
    """Give what a wheel takes from other targets: its source, the toolchain, and the stack by its packages.

    How the stack gets installed is no matter of the wheel's; what gets installed is.
    """
    found: dict[str, str] = {}
    defaults = {variable.name: variable.default for variable in graph.variables}  # a mirror's name is no input
    for name in sorted(set(target.inputs.values())):
        used = graph[name]
        if used.kind in (Kind.SOURCE, Kind.TOOLCHAIN):
            made_of = {**_own_files(used, files), **_served(used, checksums)}
            if used.kind is Kind.TOOLCHAIN:
                images = {name: variable for name, variable in used.images.items() if name != FETCHER}
                made_of |= {f"image {name}": defaults[variable] for name, variable in images.items()}
            for fetched in sorted(set(used.inputs.values())):
                made_of |= _fetched(graph[fetched], files, checksums)
            found |= {f"{used.kind} {name}": value for name, value in made_of.items()}
        if used.kind is Kind.TORCH:
            found |= {f"stack {key}": _text(used.values[key]) for key in ("install", "index")}
    return found


def _own_files(target: Target, files: Mapping[PurePosixPath, bytes]) -> dict[str, str]:
    folder = PurePosixPath("contexts", target.name)
    return {
        f"file {path.relative_to(folder)}": _hash(content, headed=path.name == "Dockerfile")
        for path, content in sorted(files.items())
        if path.is_relative_to(folder)
    }


def _fetched(target: Target, files: Mapping[PurePosixPath, bytes], checksums: Mapping[str, str]) -> dict[str, str]:
    """Give what a target fetches for another one: what it is asked for, and its files where these are locked."""
    if target.kind is not Kind.FETCH:
        return {}
    listed = files.get(PurePosixPath("contexts", target.name, "locked.json"))
    asset = target.values.get("asset")
    found = {"asks": _text(target.values["asks"]), **_served(target, checksums)}
    found |= {"files": _hash(listed, headed=False)} if listed is not None else {}
    found |= {"asset": str(asset["sha256"])} if isinstance(asset, dict) else {}
    return {f"{target.name} {name}": value for name, value in found.items()}


def _served(target: Target, checksums: Mapping[str, str]) -> dict[str, str]:
    """Give the checksum of the file that a mirror serves in place of a target's asset, as ``download.py`` finds it."""
    asset = target.values.get("asset")
    if not isinstance(asset, dict):
        return {}
    value = next((checksums[url] for url in asset["urls"] if url in checksums), asset["sha256"])
    return {} if value == asset["sha256"] else {"served instead": value}


def _named(target: Target, values: Mapping[str, str]) -> dict[str, str]:
    """Give the values of build arguments, and the images that are contexts: by digest, wherever they are."""
    images = {name: values.get(variable, "") for name, variable in target.images.items()}
    named = {name: values.get(variable, "") for name, variable in target.args.items()}
    named |= {name: image.rpartition("@")[2] for name, image in images.items()}
    return dict(sorted(named.items()))


def _hash(content: bytes, *, headed: bool) -> str:
    """Hash a file; the first line of a Dockerfile names this software's version and the recipe's path: no input."""
    return hashlib.sha256(content.partition(b"\n")[2] if headed else content).hexdigest()


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value or "")
