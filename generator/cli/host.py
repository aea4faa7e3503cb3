"""Commands around a bake: assets and lock before it, running and cleaning after it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from generator.cli.options import DOWNLOADS, takes
from generator.console.reporter import Reporter
from generator.resolve.choices import Choices


def add_to(app: typer.Typer) -> None:
    """Give the application these commands."""
    for command in (fetch, lock, bundle, run, clean):
        app.command()(command)


@takes(*DOWNLOADS, "site")
def fetch(
    choices: Choices,
    names: Annotated[list[str] | None, typer.Argument(metavar="[ASSET]...", help="Assets; none: all.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Read and check files that were checked before.")] = False,
) -> None:
    """Download and check the recipe's host-side assets; goes on after an interruption."""
    from generator import pipeline

    pipeline.fetch(Reporter(), choices, names=tuple(names or ()), again=check)


@takes("base", "fetcher", "builder", *DOWNLOADS, "site", "progress")
def lock(
    choices: Choices,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="With --upgrade: a package, base, fetcher, or a group of files."),
    ] = None,
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Make it anew, or what is named; else all that is locked and fits stays.")
    ] = False,
    without: Annotated[
        list[str] | None,
        typer.Option(
            "--without",
            metavar="PART",
            help="Leave out base, fetcher or a group of files, now and later: apt, where mirrors drop old packages.",
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; tell what is not as locked (exit status 1).")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            envvar="GENERATOR_LOCK_OUTPUT",
            help="The file; default: RECIPE.lock.toml beside the recipe, or in this folder.",
        ),
    ] = None,
) -> None:
    """Write the recipe's lock: digests and hashes of all that the build uses."""
    from generator import holding
    from generator.commands.lock import LockOptions

    options = LockOptions(
        file=output, upgrade=upgrade, names=tuple(names or ()), without=tuple(without or ()), check=check
    )
    holding.lock(Reporter(), choices, options)


@takes("base", "fetcher", "builder", *DOWNLOADS, "site", "progress", "output")
def bundle(
    choices: Choices,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to make.")],
) -> None:
    """Write all that a bake of the locked recipe fetches, and its base, into one folder: bake --bundle FOLDER."""
    from generator import holding

    holding.bundle(Reporter(), choices, folder)


@takes("registry", "tag", "site")
def run(
    choices: Choices,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[-- ARGS]...", help="Passed through to the image's program.")
    ] = None,
    input_: Annotated[
        Path | None, typer.Option("--input", envvar="GENERATOR_RUN_INPUT", help="The data set (BIDS); read only.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", envvar="GENERATOR_RUN_OUTPUT", help="For the results; made if need be.")
    ] = None,
    license_: Annotated[
        Path | None,
        typer.Option("--license", envvar=["GENERATOR_LICENSE", "FS_LICENSE"], help="FreeSurfer's licence file."),
    ] = None,
    device: Annotated[
        str,
        typer.Option("--device", envvar="GENERATOR_DEVICE", help="A GPU's number, cpu, or auto: 0 where there is one."),
    ] = "auto",
    image: Annotated[
        str | None, typer.Option("--image", envvar="GENERATOR_IMAGE", help="Another image than the recipe's.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an earlier run ended.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check, and print the same as a docker run command.")
    ] = False,
) -> None:
    """Run the image as its users do. The exit status is the container's; before it starts 2 and 3 as elsewhere."""
    from generator import pipeline
    from generator.commands.run import RunOptions

    options = RunOptions(
        input=input_,
        output=output,
        license=license_,
        device=device,
        image=image,
        resume=resume,
        arguments=tuple(arguments or ()),
    )
    status = pipeline.run(Reporter(), choices, options, dry_run=dry_run)
    if status:
        raise typer.Exit(status)


@takes("output", "assets_dir", "builder", "site")
def clean(
    choices: Choices,
    images: Annotated[bool, typer.Option("--images", help="Also results that have a name.")] = False,
    assets: Annotated[bool, typer.Option("--assets", help="Also fetched assets.")] = False,
    cache: Annotated[bool, typer.Option("--cache", help="Also the build cache of the recipe's targets.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list.")] = False,
) -> None:
    """Remove what earlier bakes left, after a question. Without a terminal and --yes it only lists."""
    from generator import pipeline
    from generator.commands.clean import Wanted

    wanted = Wanted(images=images, assets=assets, cache=cache)
    pipeline.clean(Reporter(), choices, wanted, yes=yes, dry_run=dry_run)
