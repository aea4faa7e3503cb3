"""Gathers what the report on the last bake needs, and writes it in the form that was asked for."""

from __future__ import annotations

import io
import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

from bake import untrusted
from bake.bakefile import read_bake_file
from bake.buildx.results import Results, load
from bake.engine.facts import connect
from bake.errors import EnvironmentUnfit, UpliftError
from bake.reference import parse_reference
from bake.registry import Registry
from bake.registry.layers import in_registry, on_engine
from generator.console.reporter import LOG_WIDTH, Reporter
from generator.plan.names import IMAGE, VERIFY
from generator.render import BAKE_FILE
from generator.report import Report, make_report
from generator.report.contents import parse_contents
from generator.report.html import as_html
from generator.report.layers import joined, own_layers
from generator.report.model import NEEDS
from generator.report.text import show
from generator.report.trace import as_trace

if TYPE_CHECKING:
    from pathlib import Path

    from generator.report.model import Layer

_CONTENTS = "bytes.json"


def gather(folder: Path, *, ca_bundle: Path | None = None) -> Report:
    """Read the record of the last bake, and ask the engine and the registry for the sizes of layers.

    Neither has to answer: the report says what is not known.

    Args:
        folder: the build folder. ca_bundle: CAs to trust besides the system's.

    Raises:
        UsageError: there is no record of a bake, or another version wrote it.
    """
    results = load(folder, needs=NEEDS)
    file = folder / BAKE_FILE
    links = read_bake_file(file).links if file.is_file() else None
    layers, unknown = _layers(results, folder, ca_bundle)
    return make_report(results, links, layers=layers, layers_unknown=unknown, contents=_contents(folder))


def write(reporter: Reporter, report: Report, *, form: str, output: Path | None) -> None:
    """Write the report to a file, whose path goes to stdout, or to stdout itself.

    Args:
        form: text, json, html or trace.

    Raises:
        EnvironmentUnfit: the file can't be written.
    """
    if output is None and form == "text":
        show(reporter.data_console, report)
        return
    text = _text(report, form)
    if output is None:
        reporter.document(text)
        return
    try:
        output.write_text(text if text.endswith("\n") else text + "\n", encoding="utf-8")
    except OSError as error:
        reason = f"the report cannot be written: {error.strerror}"
        raise EnvironmentUnfit(reason, where=str(output), remedy="give another --output") from error
    reporter.data(str(output))


def _text(report: Report, form: str) -> str:
    if form == "json":
        return json.dumps(report.as_data(), indent=1, ensure_ascii=False)
    if form == "trace":
        return as_trace(report)
    if form == "html":
        return as_html(report)
    from bake.progress.console import SafeConsole

    written = io.StringIO()
    show(SafeConsole(file=written, width=LOG_WIDTH, highlight=False), report)
    return written.getvalue()


def _contents(folder: Path) -> dict[str, Any]:
    """What the verification found in the image; empty where it left nothing, and a sentence where that is damaged."""
    file = folder / VERIFY / _CONTENTS
    try:
        return parse_contents(untrusted.read(folder / VERIFY, _CONTENTS))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        return {"error": f"{file} can't be used: {error}; `verify` writes it anew"}


def _layers(results: Results, folder: Path, ca_bundle: Path | None) -> tuple[tuple[Layer, ...], str]:
    """Layers beyond the base with their sizes, and why some sizes are not known."""
    made = own_layers(folder / "contexts", IMAGE)
    digest = results.digest_of(IMAGE)
    names = results.data["targets"].get(IMAGE, {}).get("tags") or ()
    repository = str((results.data.get("published") or {}).get("repository", ""))
    if not made or not digest:
        return joined(made, None, None), "the bake exported no image" if made else "the Dockerfiles can't be read"
    unknown: list[str] = []
    uncompressed = _on_engine(digest, len(made), unknown)
    compressed = _in_registry(repository, digest, len(made), ca_bundle, unknown) if repository else None
    if uncompressed is None and compressed is None:
        said = "; ".join(unknown)
        place = "nor in the registry" if repository else "any more, and this bake pushed it to no registry"
        unknown = [said or f"the image {names[0] if names else digest} is not on the engine {place}"]
    return joined(made, compressed, uncompressed), "; ".join(unknown)


def _on_engine(digest: str, count: int, unknown: list[str]) -> tuple[int, ...] | None:
    try:
        with closing(connect()) as client:
            return on_engine(client, digest, count)
    except UpliftError as error:
        unknown.append(error.message)
        return None


def _in_registry(
    repository: str, digest: str, count: int, ca_bundle: Path | None, unknown: list[str]
) -> tuple[int, ...] | None:
    try:
        reference = parse_reference(f"{repository}@{digest}")
        found = in_registry(Registry(reference.registry, ca_bundle=ca_bundle), reference, count)
    except UpliftError as error:
        unknown.append(error.message)
        return None
    if found is None:
        unknown.append(f"the registry did not tell of {repository}")
    return found
