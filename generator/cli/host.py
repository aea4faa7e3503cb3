"""Commands around a bake: assets and lock before it, running and cleaning after it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from generator.cli.options import AssetsDir, Builder, CaBundle, Folder, Netrc, Registry, SiteOption, Tag
from generator.console.reporter import Reporter

if TYPE_CHECKING:
    from generator.resolve.login import Given

LOCK = "generator.lock"  # where the root command leaves --lock
TOKEN = "GENERATOR_REGISTRY_TOKEN"  # noqa: S105 - the variable, and where the root command leaves what it held


def login_of(context: typer.Context, username: str | None, *, password_stdin: bool) -> Given | None:
    """Give the login that the command line, its standard input and the environment hold; None: none."""
    from generator.resolve.login import chosen_login

    # A job's environment may name the user for all of its steps, and hold a token for some.
    source = context.get_parameter_source("username")
    if source is not None and source.name == "ENVIRONMENT" and not (password_stdin or context.meta[TOKEN]):
        return None
    return chosen_login(username, password_stdin=password_stdin, token=context.meta[TOKEN], stdin=sys.stdin)


def add_to(app: typer.Typer) -> None:
    """Give the application these commands."""
    for command in (fetch, lock, run, clean):
        app.command()(command)


def fetch(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[ASSET]...", help="Assets; none: all.")] = None,
    assets_dir: AssetsDir = None,
    ca_bundle: CaBundle = None,
    netrc: Netrc = None,
    site: SiteOption = None,
    check: Annotated[bool, typer.Option("--check", help="Read and check files that were checked before.")] = False,
) -> None:
    """Download and check the recipe's host-side assets; goes on after an interruption."""
    from generator import pipeline
    from generator.resolve.resolve import Choices

    choices = Choices(
        recipe=context.obj,
        lock=context.meta[LOCK],
        assets_dir=assets_dir,
        ca_bundle=ca_bundle,
        netrc=netrc,
        site=site,
    )
    pipeline.fetch(Reporter(), choices, names=tuple(names or ()), again=check)


def lock(
    context: typer.Context,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            envvar="GENERATOR_LOCK_OUTPUT",
            help="The file; default: RECIPE.lock.toml beside the recipe, or in this folder.",
        ),
    ] = None,
    assets_dir: AssetsDir = None,
    ca_bundle: CaBundle = None,
    netrc: Netrc = None,
    site: SiteOption = None,
) -> None:
    """Write the recipe's lock: digests and hashes of what the build will use."""
    from generator import pipeline
    from generator.resolve.resolve import Choices

    choices = Choices(recipe=context.obj, assets_dir=assets_dir, ca_bundle=ca_bundle, netrc=netrc, site=site)
    pipeline.lock(Reporter(), choices, file=output)


def run(
    context: typer.Context,
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
    registry: Registry = None,
    tag: Tag = None,
    site: SiteOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check, and print the same as a docker run command.")
    ] = False,
) -> None:
    """Run the image as its users do. The exit status is the container's; before it starts 2 and 3 as elsewhere."""
    from generator import pipeline
    from generator.commands.run import Wishes
    from generator.resolve.resolve import Choices

    choices = Choices(recipe=context.obj, lock=context.meta[LOCK], registry=registry, tag=tag, site=site)
    wishes = Wishes(
        input=input_,
        output=output,
        license=license_,
        device=device,
        image=image,
        resume=resume,
        arguments=tuple(arguments or ()),
    )
    status = pipeline.run(Reporter(), choices, wishes, dry_run=dry_run)
    if status:
        raise typer.Exit(status)


def clean(
    context: typer.Context,
    output: Folder = Path("build"),
    assets_dir: AssetsDir = None,
    builder: Builder = None,
    site: SiteOption = None,
    images: Annotated[bool, typer.Option("--images", help="Also results that have a name.")] = False,
    assets: Annotated[bool, typer.Option("--assets", help="Also fetched assets.")] = False,
    cache: Annotated[bool, typer.Option("--cache", help="Also the build cache of the recipe's targets.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list.")] = False,
) -> None:
    """Remove what earlier bakes left, after a question. Without a terminal and --yes it only lists."""
    from generator import pipeline
    from generator.commands.clean import Wanted
    from generator.resolve.resolve import Choices

    choices = Choices(
        recipe=context.obj, lock=context.meta[LOCK], output=output, assets_dir=assets_dir, builder=builder, site=site
    )
    wanted = Wanted(images=images, assets=assets, cache=cache)
    pipeline.clean(Reporter(), choices, wanted, yes=yes, dry_run=dry_run)
