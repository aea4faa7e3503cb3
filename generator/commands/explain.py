"""Says why a target would be made again: which of its inputs changed since the last bake, back to the first cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bake.buildx import builders
from bake.buildx.results import load
from bake.engine import facts as engine
from bake.errors import UpliftError, UsageError
from generator.plan.keys import SHOWN, changes, keys_of
from generator.plan.names import FETCHER, TOOLKIT_IMAGE
from generator.render import render

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from generator.console.reporter import Reporter
    from generator.plan import Graph
    from generator.plan.keys import Key
    from generator.resolve.facts import Facts

_TARGET = "target "


def explain(reporter: Reporter, graph: Graph, facts: Facts, *, folder: Path, target: str) -> None:
    """Write one line for each input that changed, indented below the target whose input it is, to stdout.

    Raises:
        UsageError: no bake of this folder recorded its keys.
    """
    recorded: Mapping[str, Mapping[str, str]] = load(folder).data.get("keys") or {}
    if target not in recorded:
        raise UsageError(
            f"the last bake recorded nothing of {target}", where=str(folder), remedy="bake with this recipe first"
        )
    keys = current_keys(graph, facts, recorded)
    lines = list(reasons(target, recorded, keys))
    for line in lines:
        reporter.data(line)
    reporter.note(
        f"{target}: {'its key changed' if lines else 'no input changed'} since the last bake; "
        f"key {keys[target].digest[:SHOWN]}"
    )


def current_keys(graph: Graph, facts: Facts, recorded: Mapping[str, Mapping[str, str]]) -> dict[str, Key]:
    """Give the keys of today; what no engine tells of an image's digest, or builder of its platform, is as recorded."""
    base = _digest_of(facts.base, "base", recorded)
    variables = {name: value for name, value in facts.variables().items() if name != "BASE_IMAGE"}
    image = next((inputs["BASE_IMAGE"] for inputs in recorded.values() if "BASE_IMAGE" in inputs), facts.base)
    variables["BASE_IMAGE"] = image if image.rpartition("@")[0] == facts.base and image.endswith(base) else facts.base
    variables["FETCHER_IMAGE"] = _digest_of(facts.fetcher, FETCHER, recorded)
    toolkit = facts.toolkit_image or next((v.default for v in graph.variables if v.name == "TOOLKIT_IMAGE"), "")
    if toolkit:
        variables["TOOLKIT_IMAGE"] = _digest_of(toolkit, TOOLKIT_IMAGE, recorded)
    from_base = ("BASE_USER", "NVIDIA_REQUIRE")  # read from the base when it is at hand
    variables |= {name: inputs[name] for inputs in recorded.values() for name in from_base if name in inputs}
    before = next((inputs["platform"] for inputs in recorded.values() if "platform" in inputs), facts.platform)
    platform = _platform(facts.builder) or before
    return keys_of(graph, render(graph), variables=variables, base=base, platform=platform, checksums=facts.checksums)


def reasons(
    target: str, old: Mapping[str, Mapping[str, str]], new: Mapping[str, Key], *, depth: int = 0
) -> Iterator[str]:
    """Give the changed inputs of a target; below an input that is a target itself, why that one changed."""
    indent = "  " * depth
    for name, before, now in changes(old.get(target, {}), new[target].inputs):
        used = name.removeprefix(_TARGET)
        if name.startswith(_TARGET) and before and now:
            yield f"{indent}{name}: changed"
            yield from reasons(used, old, new, depth=depth + 1)
        else:
            yield f"{indent}{name}: {_change(before, now)}"


def _change(before: str, now: str) -> str:
    if not before:
        return f"new, {_shown(now)}"
    return f"gone, was {_shown(before)}" if not now else f"{_shown(before)} -> {_shown(now)}"


def _shown(value: str) -> str:
    return value[:SHOWN] if len(value) == 64 and set(value) <= set("0123456789abcdef") else value  # noqa: PLR2004 - SHA-256


def _platform(builder: str | None) -> str:
    """Ask buildx what a builder builds for; "" when there is none, or it does not answer."""
    try:
        found = builders.look_up(builder)
    except UpliftError:
        return ""
    return found.platform if found else ""


def _digest_of(image: str, name: str, recorded: Mapping[str, Mapping[str, str]]) -> str:
    """Give the digest of an image that stands in keys under a name: its own, the engine's, or the recorded one."""
    known = next((inputs[name] for inputs in recorded.values() if name in inputs), image)
    return image.rpartition("@")[2] if "@" in image else _digest(image) or known


def _digest(image: str) -> str:
    """Ask the engine for the digest of an image; "" when none answers or it has none."""
    try:
        found = engine.look_up_image(image)
    except UpliftError:
        return ""
    return (found.digest or "") if found else ""
