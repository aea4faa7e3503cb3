"""The commands ``builder up``, ``builder down`` and ``builder ls``."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from generator.options import BaseImage, CaBundle, Registry, SiteOption
from generator.reporter import Reporter

app = typer.Typer(
    name="builder",
    help="Makes, removes and lists buildx builders: the one that the site file or the recipe describes.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class ListFormat(str, Enum):
    """How ``builder ls`` writes its rows."""

    TABLE = "table"
    JSON = "json"


@app.command()
def up(
    context: typer.Context,
    replace: Annotated[
        bool,
        typer.Option("--replace", envvar="GENERATOR_BUILDER_REPLACE", help="Make it anew if its description changed."),
    ] = False,
    registry: Registry = None,
    base: BaseImage = None,
    ca_bundle: CaBundle = None,
    site: SiteOption = None,
) -> None:
    """Make the described builder and start it; nothing changes where it is there already."""
    from generator import pipeline
    from generator.resolve import Choices

    choices = Choices(recipe=context.obj, registry=registry, base=base, ca_bundle=ca_bundle, site=site)
    pipeline.builder_up(Reporter(), choices, replace=replace)


@app.command()
def down(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="A builder that `up` made; none: the described one.")] = None,
    keep_state: Annotated[
        bool, typer.Option("--keep-state", help="Keep the cache of a docker-container for the next `up`.")
    ] = False,
    site: SiteOption = None,
) -> None:
    """Remove a builder that `up` made, with its cache; others are left alone."""
    from generator import pipeline
    from generator.resolve import Choices

    pipeline.builder_down(Reporter(), Choices(recipe=context.obj, site=site), name=name, keep_state=keep_state)


@app.command()
def ls(
    context: typer.Context,
    format_: Annotated[
        ListFormat, typer.Option("--format", envvar="GENERATOR_FORMAT", help="How the result is written.")
    ] = ListFormat.TABLE,
    site: SiteOption = None,
) -> None:
    """List the builders that are there, and the described one."""
    from generator import pipeline
    from generator.resolve import Choices

    pipeline.builder_ls(Reporter(), Choices(recipe=context.obj, site=site), form=format_.value)
