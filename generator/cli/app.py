"""The command line. Parses, calls the pipeline's steps in order, and turns failures into exit statuses."""

from __future__ import annotations

import os
import signal
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from bake.errors import Interrupted, UpliftError
from generator import __version__
from generator.cli import bake, ci, host, report
from generator.cli.options import ARCHS, DOWNLOADS, LOCK, LOGIN, SIGN_KEY, SIGN_PASSWORD, TOKEN, takes
from generator.cli.root import Root
from generator.console import streams
from generator.console.reporter import Reporter
from generator.resolve.choices import Choices

app = typer.Typer(
    name="generator",
    cls=Root,
    help="Uplifts a frozen CUDA image to new GPUs: from a TOML recipe to a BuildKit graph, a checked image, a push.",
    epilog="Exit status: 0 done, 1 build failed, 2 usage or recipe, 3 surroundings unfit, 4 verification failed, "
    "5 the deadline came first, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class PlanFormat(str, Enum):
    """How ``plan`` writes the graph."""

    TABLE = "table"
    JSON = "json"
    MERMAID = "mermaid"
    SVG = "svg"
    MATRIX = "matrix"


class ReportFormat(str, Enum):
    """How checks are written."""

    TABLE = "table"
    JSON = "json"


DoctorFormat = Annotated[
    ReportFormat, typer.Option("--format", envvar="GENERATOR_DOCTOR_FORMAT", help="How the result is written.")
]
DiagnoseFormat = Annotated[
    ReportFormat, typer.Option("--format", envvar="GENERATOR_DIAGNOSE_FORMAT", help="How the result is written.")
]


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"image-uplift {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    recipe: Annotated[
        str,
        typer.Option("-r", "--recipe", envvar="GENERATOR_RECIPE", help="A shipped recipe, or the path of one."),
    ] = "deepprep",
    lock: Annotated[
        Path | None,
        typer.Option("--lock", envvar="GENERATOR_LOCK", help="The recipe's lock; default: RECIPE.lock.toml beside it."),
    ] = None,
    _version_wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    context.obj = recipe
    context.meta[LOCK] = lock
    for secret in (TOKEN, SIGN_KEY, SIGN_PASSWORD):
        context.meta[secret] = os.environ.pop(secret, "")  # no child of any command gets it


@app.command()
@takes("output", *ARCHS, "site", "layer_limit_mib")
def render(choices: Choices) -> None:
    """Write the bake file and the build contexts; plain buildx can bake them."""
    from generator import pipeline

    pipeline.render(Reporter(), choices)


@app.command()
@takes("base", "builder", *ARCHS, "output", "site", "layer_limit_mib")
def plan(
    choices: Choices,
    format_: Annotated[
        PlanFormat, typer.Option("--format", envvar="GENERATOR_PLAN_FORMAT", help="How the graph is written.")
    ] = PlanFormat.TABLE,
    why: Annotated[
        str | None,
        typer.Option("--why", metavar="TARGET", help="Say which inputs of a target changed since the last bake."),
    ] = None,
) -> None:
    """Show the graph of targets: what waits for what, and what builds side by side."""
    from generator import pipeline

    if why is not None:
        pipeline.explain(Reporter(), choices, target=why)
    else:
        pipeline.show_plan(Reporter(), choices, form=format_.value)


bake.add_to(app)


@app.command()
@takes("registry", *LOGIN, "base", "fetcher", "builder", *DOWNLOADS, "output", "site", "layer_limit_mib")
def doctor(
    choices: Choices,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be: fetch, pull, make folders.")] = False,
    format_: DoctorFormat = ReportFormat.TABLE,
) -> None:
    """Check engine, buildx, disk, base, assets, mirrors, registry and GPU; say how to mend what is not fit."""
    from generator import pipeline

    pipeline.doctor(Reporter(), choices, form=format_.value, fix=fix)


host.add_to(app)
ci.add_to(app)
report.add_to(app)


@app.command()
def diagnose(
    log: Annotated[str, typer.Argument(metavar="LOGFILE", help="A log of any build or run; -: what is piped in.")],
    format_: DiagnoseFormat = ReportFormat.TABLE,
) -> None:
    """Name the known causes of a failure in a log, each with its remedy."""
    from generator.commands.diagnose import diagnose as show

    show(Reporter(), log, form=format_.value)


def _interrupt(number: int, _frame: object) -> None:
    raise Interrupted(f"interrupted by {signal.Signals(number).name}")


def main() -> NoReturn:
    """Run the command line; every failure that a user can cause ends in a message and its exit status."""
    # While a bake runs, the driver has handlers of its own, which end the build first.
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    streams.prepare()
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except UpliftError as error:
        Reporter().failure(error)
        sys.exit(error.exit_status)
    sys.exit(0)
