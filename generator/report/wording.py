"""Sentences and cells that the text and the page share. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bake.units import duration, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.report.model import Layer, Report, Wheel

_ORIGINS = {
    "store": "from the wheel store",
    "compiled": "compiled",
    "cached": "from the build cache",
    "": "not made",
}
KINDS = {
    "static-libraries": "static libraries (*.a)",
    "headers": "headers",
    "tests": "tests",
    "bytecode": "__pycache__",
}


def bounds_sentences(report: Report) -> Iterator[str]:
    """Say how far the bake is from what it could not undercut."""
    bounds = report.bounds
    yield f"Wall time {duration(report.wall)}; critical path {duration(bounds.critical_path)}"
    if bounds.cpu_seconds is None or bounds.cores is None:
        yield "CPU seconds of compilers: not recorded; the bound is the critical path alone"
    else:
        share = bounds.cpu_seconds / bounds.cores
        yield f"CPU of the compilers {duration(bounds.cpu_seconds)} on {bounds.cores} cores: {duration(share)} at least"
    if bounds.ratio is not None:
        yield f"Distance from the bound ({duration(bounds.bound)}): {bounds.ratio:.2f} times"
    waits = sum(step.wait for step in report.path)
    if report.path:
        yield f"Waits between the steps of the path: {duration(waits)}"


def wheel_origin(wheel: Wheel) -> str:
    """Where a wheel came from, in words."""
    text = _ORIGINS.get(wheel.origin, wheel.origin)
    return f"{text}: {wheel.reference}" if wheel.reference else text


def wheel_hits(wheel: Wheel) -> str:
    """How often the compiler cache hit."""
    if wheel.hits is None or not wheel.calls:
        return "-"
    return f"{wheel.hits} of {wheel.calls} ({100 * wheel.hits / wheel.calls:.0f} %)"


def compiler_sentences(report: Report) -> Iterator[str]:
    """Say for each compiled wheel how many compilers ran at once and why, and what they took."""
    for wheel in report.wheels:
        if wheel.budget:
            yield f"{wheel.target}: {wheel.budget}"
        if wheel.measured:
            yield f"{wheel.target}: measured: {wheel.measured}"


def size_or_unknown(count: int | None) -> str:
    """A size, or that it isn't known."""
    return "not known" if count is None else size(count)


def layer_total(layers: tuple[Layer, ...], *, compressed: bool) -> str:
    """The sum over layers; unknown as soon as one is."""
    sizes = [layer.compressed if compressed else layer.uncompressed for layer in layers]
    known = [entry for entry in sizes if entry is not None]
    return size(sum(known)) if known and len(known) == len(sizes) else "not known"


def contents_rows(report: Report) -> Iterator[tuple[str, str, str]]:
    """Rows on what lies in the image: what, bytes, number of files; nothing where the image wasn't looked into."""
    contents = report.contents
    if "error" in contents:
        yield f"could not be looked at: {contents['error']}", "-", "-"
    rows = [
        ("the environment", contents.get("environment")),
        ("added: files that the base lacks", contents.get("added")),
        ("changed: files over the base's own", contents.get("changed")),
        ("dead in the base's layers: deleted or shadowed", contents.get("dead")),
        ("changed, large, and the same content as the base's", contents.get("repeated")),
        *((f"new: {name}", (contents.get("kinds") or {}).get(kind)) for kind, name in KINDS.items()),
        ("new: duplicates beyond the first copy", contents.get("duplicated")),
        ("patched: files of the base that the patch shadows, anywhere", contents.get("patched")),
    ]
    for name, row in rows:
        if row is not None:
            yield name, size(row["bytes"]), str(row["files"])
