"""The command that reports on the last bake."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from generator.cli.options import OPTIONS
from generator.console.reporter import Reporter
from generator.resolve.choices import BUILD_FOLDER


class ReportForm(str, Enum):
    """How the report is written."""

    TEXT = "text"
    JSON = "json"
    HTML = "html"
    TRACE = "trace"


def add_to(app: typer.Typer) -> None:
    """Give the application this command."""
    app.command()(report)


def report(
    form: Annotated[
        ReportForm,
        typer.Option(
            "--format",
            envvar="GENERATOR_REPORT_FORMAT",
            help="text: tables; html: one page; trace: for chrome://tracing and Perfetto.",
        ),
    ] = ReportForm.TEXT,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", envvar="GENERATOR_REPORT_OUTPUT", metavar="FILE", help="The file; none: stdout."
        ),
    ] = None,
    folder: Annotated[
        Path, typer.Option("--output-dir", envvar="GENERATOR_OUTPUT_DIR", help="The build folder of the bake.")
    ] = BUILD_FOLDER,
    ca_bundle: Annotated[Path | None, OPTIONS["ca_bundle"].info] = None,
) -> None:
    """Report on the last bake: timeline, critical path, what was cached, wheels, bytes."""
    from generator import pipeline

    pipeline.report(Reporter(), folder, form=form.value, output=output, ca_bundle=ca_bundle)
