"""The commands that build: a bake, what fills caches for it, and the checks of an image."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from bake.errors import UsageError
from generator.baking.archive import Archive, ArchiveFormat
from generator.cli.options import ARCHS, CACHES, DOWNLOADS, LOGIN, SIGNING, takes
from generator.console.reporter import Reporter
from generator.resolve.choices import Choices


class VerifyFormat(str, Enum):
    """How ``verify`` writes its rows."""

    TABLE = "table"
    JSON = "json"
    JUNIT = "junit"


def add_to(app: typer.Typer) -> None:
    """Give the application these commands."""
    for command in (bake, warm, verify):
        app.command()(command)


@takes(
    "registry",
    "tags",
    *LOGIN,
    "push_tries",
    "push_wait",
    "base",
    "fetcher",
    "builder",
    *ARCHS,
    *DOWNLOADS,
    "site",
    "layer_limit_mib",
    "progress",
    "output",
    "deadline",
    *CACHES,
    *SIGNING,
)
def bake(
    choices: Choices,
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TARGET]...", help="Targets to bake; none: the verified image."),
    ] = None,
    push: Annotated[
        bool, typer.Option("--push", envvar="GENERATOR_PUSH", help="Push the image when verification passed.")
    ] = False,
    save: Annotated[
        tuple[ArchiveFormat, Path] | None,
        typer.Option(
            "--output",
            envvar="GENERATOR_OUTPUT",
            metavar="oci-archive|docker-archive PATH",
            help="Save the verified image as a file.",
        ),
    ] = None,
    require_warm: Annotated[
        bool,
        typer.Option(
            "--require-warm",
            envvar="GENERATOR_REQUIRE_WARM",
            help="Fail, naming the steps, where something would compile.",
        ),
    ] = False,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle",
            envvar="GENERATOR_BUNDLE",
            metavar="FOLDER",
            help="A folder that `bundle` wrote: what it holds is not fetched, and no network is needed.",
        ),
    ] = None,
    store: Annotated[
        bool,
        typer.Option(
            "--store/--no-store",
            envvar="GENERATOR_STORE",
            help="Where the registry has the verified image of just these inputs, take it and build nothing.",
        ),
    ] = True,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", envvar="GENERATOR_DRY_RUN", help="Render and show what would be baked; build nothing."
        ),
    ] = False,
) -> None:
    """Build the image, verify it, and push it if asked."""
    from generator import pipeline

    pipeline.bake(
        Reporter(),
        choices,
        targets=tuple(targets or ()),
        push=push,
        dry_run=dry_run,
        archive=Archive(form=save[0], path=save[1]) if save else None,
        require_warm=require_warm,
        bundle=bundle,
        store=store,
    )


@takes(
    "registry",
    *LOGIN,
    "base",
    "fetcher",
    "builder",
    *ARCHS,
    *DOWNLOADS,
    "site",
    "layer_limit_mib",
    "progress",
    "output",
    "deadline",
    *CACHES,
    *SIGNING,
)
def warm(choices: Choices) -> None:
    """Fill the registry cache, the wheel store and the compiler cache for CI; export no image."""
    from generator import pipeline

    pipeline.warm(Reporter(), choices)


@takes("base", "fetcher", "builder", "arch", *DOWNLOADS, "site", "layer_limit_mib", "progress", "output")
def verify(
    choices: Choices,
    image: Annotated[
        str | None, typer.Argument(help="The image to check; none: the recipe's, as it was last baked.")
    ] = None,
    gpu: Annotated[
        bool,
        typer.Option(
            "--gpu", envvar="GENERATOR_VERIFY_GPU", help="Also run operations and every model on this machine's GPU."
        ),
    ] = False,
    provenance: Annotated[
        bool,
        typer.Option(
            "--provenance",
            envvar="GENERATOR_VERIFY_PROVENANCE",
            help="Instead: who signed IMAGE in its registry, and whether it was made from this recipe and lock.",
        ),
    ] = False,
    format_: Annotated[
        VerifyFormat, typer.Option("--format", envvar="GENERATOR_VERIFY_FORMAT", help="How the result is written.")
    ] = VerifyFormat.TABLE,
) -> None:
    """Check an image against the recipe: versions, device code, models, conflicts; with --gpu on a real card."""
    from generator import pipeline

    if provenance:
        if image is None or gpu:
            raise UsageError(
                "--provenance is about one image in a registry",
                where="--provenance",
                remedy="name IMAGE; leave --gpu out",
            )
        pipeline.verify_statements(Reporter(), choices, image=image, form=format_.value)
        return
    pipeline.verify(Reporter(), choices, image=image, form=format_.value, gpu=gpu)
