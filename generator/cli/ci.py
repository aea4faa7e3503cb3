"""The command that writes CI files."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from generator.cli.options import takes
from generator.console.reporter import Reporter
from generator.resolve.choices import Choices


class CiSystem(str, Enum):
    """The CI systems that there are templates for."""

    GITHUB = "github"
    GITLAB = "gitlab"


def add_to(app: typer.Typer) -> None:
    """Give the application this command."""
    app.command()(ci)


@takes("registry", "site")
def ci(
    choices: Choices,
    system: Annotated[
        CiSystem, typer.Option("--for", envvar="GENERATOR_CI_FOR", help="The CI system that the file is for.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            envvar="GENERATOR_CI_OUTPUT",
            metavar="FILE|FOLDER",
            help="The file, or the repository's root, for .github/workflows/uplift-RECIPE.yml or .gitlab-ci.yml; "
            "none: stdout.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is another one.")] = False,
    runner: Annotated[
        str | None,
        typer.Option(
            "--runner",
            envvar="GENERATOR_CI_RUNNER",
            metavar="LABEL,…",
            help="Labels (GitLab: tags) of the runner, such as ubuntu-24.04; GitHub's default: self-hosted,linux,x64.",
        ),
    ] = None,
    main: Annotated[
        str, typer.Option("--main", envvar="GENERATOR_CACHE_MAIN", help="The branch whose image is pushed.")
    ] = "main",
    requirement: Annotated[
        str | None,
        typer.Option(
            "--requirement",
            envvar="GENERATOR_CI_REQUIREMENT",
            help="What pip installs there: a git address with a commit, a wheel's address, or a path; "
            "default: the address that this program was installed from.",
        ),
    ] = None,
) -> None:
    """Write a CI file for the recipe: pull requests, main, a job per compile target, nightly."""
    from generator import pipeline
    from generator.ci import CiOptions, System

    options = CiOptions(system=System(system.value), runner=runner, main=main, requirement=requirement)
    pipeline.ci(Reporter(), choices, options, output=output, force=force)
