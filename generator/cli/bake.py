"""The commands that build: a bake, what fills caches for it, and the checks of an image."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from generator.baking.archive import Archive, ArchiveFormat
from generator.cli.host import LOCK, login_of
from generator.cli.options import (
    ArchList,
    AssetsDir,
    BaseImage,
    Builder,
    CaBundle,
    Cache,
    CacheBranch,
    CacheMain,
    CompilerCache,
    Folder,
    GpuNames,
    LayerLimit,
    Netrc,
    PasswordStdin,
    PushTries,
    PushWait,
    Registry,
    RequireWarm,
    SiteOption,
    Tags,
    Username,
    Wheels,
    WheelsReadonly,
)
from generator.console.reporter import Reporter


class ProgressFormat(str, Enum):
    """How ``bake`` shows progress."""

    AUTO = "auto"
    RICH = "rich"
    PLAIN = "plain"
    JSON = "json"


class VerifyFormat(str, Enum):
    """How ``verify`` writes its rows."""

    TABLE = "table"
    JSON = "json"
    JUNIT = "junit"


ProgressOption = Annotated[
    ProgressFormat,
    typer.Option("--progress", envvar="GENERATOR_PROGRESS", help="auto: rich on a terminal, else plain."),
]


def add_to(app: typer.Typer) -> None:
    """Give the application these commands."""
    for command in (bake, warm, verify):
        app.command()(command)


def bake(
    context: typer.Context,
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TARGET]...", help="Targets to bake; none: the verified image."),
    ] = None,
    push: Annotated[
        bool, typer.Option("--push", envvar="GENERATOR_PUSH", help="Push the image when verification passed.")
    ] = False,
    username: Username = None,
    password_stdin: PasswordStdin = False,
    push_tries: PushTries = 6,
    push_wait: PushWait = 120.0,
    registry: Registry = None,
    tag: Tags = None,
    base: BaseImage = None,
    builder: Builder = None,
    arch: ArchList = None,
    gpu: GpuNames = None,
    ca_bundle: CaBundle = None,
    netrc: Netrc = None,
    assets_dir: AssetsDir = None,
    site: SiteOption = None,
    layer_limit: LayerLimit = None,
    progress: ProgressOption = ProgressFormat.AUTO,
    output: Folder = Path("build"),
    save: Annotated[
        tuple[ArchiveFormat, Path] | None,
        typer.Option(
            "--output",
            envvar="GENERATOR_OUTPUT",
            metavar="oci-archive|docker-archive PATH",
            help="Save the verified image as a file.",
        ),
    ] = None,
    cache: Cache = None,
    cache_branch: CacheBranch = None,
    cache_main: CacheMain = None,
    wheels: Wheels = None,
    wheels_readonly: WheelsReadonly = None,
    compiler_cache: CompilerCache = None,
    require_warm: RequireWarm = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", envvar="GENERATOR_DRY_RUN", help="Render and show what would be baked; build nothing."
        ),
    ] = False,
) -> None:
    """Build the image, verify it, and push it if asked."""
    from generator import pipeline
    from generator.resolve.caches import Wishes
    from generator.resolve.gpus import chosen_archs
    from generator.resolve.resolve import Choices

    choices = Choices(
        recipe=context.obj,
        lock=context.meta[LOCK],
        output=output,
        archs=chosen_archs(arch, gpu),
        registry=registry,
        tag=tag[0] if tag else None,
        more_tags=tuple(tag[1:]) if tag else (),
        login=login_of(context, username, password_stdin=password_stdin),
        push_tries=push_tries,
        push_wait=push_wait,
        base=base,
        builder=builder,
        ca_bundle=ca_bundle,
        netrc=netrc,
        assets_dir=assets_dir,
        site=site,
        layer_limit_mib=layer_limit,
        progress=progress.value,
        caches=Wishes(
            cache=cache,
            branch=cache_branch,
            main=cache_main,
            wheels=wheels,
            wheels_readonly=wheels_readonly,
            compiler_cache=compiler_cache,
        ),
    )
    archive = Archive(form=save[0], path=save[1]) if save else None
    pipeline.bake(
        Reporter(),
        choices,
        targets=tuple(targets or ()),
        push=push,
        dry_run=dry_run,
        archive=archive,
        require_warm=require_warm,
    )


def warm(
    context: typer.Context,
    registry: Registry = None,
    username: Username = None,
    password_stdin: PasswordStdin = False,
    base: BaseImage = None,
    builder: Builder = None,
    arch: ArchList = None,
    gpu: GpuNames = None,
    ca_bundle: CaBundle = None,
    netrc: Netrc = None,
    assets_dir: AssetsDir = None,
    site: SiteOption = None,
    progress: ProgressOption = ProgressFormat.AUTO,
    output: Folder = Path("build"),
    cache: Cache = None,
    cache_branch: CacheBranch = None,
    cache_main: CacheMain = None,
    wheels: Wheels = None,
    wheels_readonly: WheelsReadonly = None,
    compiler_cache: CompilerCache = None,
) -> None:
    """Fill the registry cache, the wheel store and the compiler cache for CI; export no image."""
    from generator import pipeline
    from generator.resolve.caches import Wishes
    from generator.resolve.gpus import chosen_archs
    from generator.resolve.resolve import Choices

    choices = Choices(
        recipe=context.obj,
        lock=context.meta[LOCK],
        output=output,
        archs=chosen_archs(arch, gpu),
        registry=registry,
        login=login_of(context, username, password_stdin=password_stdin),
        base=base,
        builder=builder,
        ca_bundle=ca_bundle,
        netrc=netrc,
        assets_dir=assets_dir,
        site=site,
        progress=progress.value,
        caches=Wishes(
            cache=cache,
            branch=cache_branch,
            main=cache_main,
            wheels=wheels,
            wheels_readonly=wheels_readonly,
            compiler_cache=compiler_cache,
        ),
    )
    pipeline.warm(Reporter(), choices)


def verify(
    context: typer.Context,
    image: Annotated[
        str | None, typer.Argument(help="The image to check; none: the recipe's, as it was last baked.")
    ] = None,
    gpu: Annotated[
        bool,
        typer.Option(
            "--gpu", envvar="GENERATOR_VERIFY_GPU", help="Also run operations and every model on this machine's GPU."
        ),
    ] = False,
    base: BaseImage = None,
    builder: Builder = None,
    arch: ArchList = None,
    ca_bundle: CaBundle = None,
    netrc: Netrc = None,
    assets_dir: AssetsDir = None,
    site: SiteOption = None,
    layer_limit: LayerLimit = None,
    progress: ProgressOption = ProgressFormat.AUTO,
    output: Folder = Path("build"),
    format_: Annotated[
        VerifyFormat, typer.Option("--format", envvar="GENERATOR_VERIFY_FORMAT", help="How the result is written.")
    ] = VerifyFormat.TABLE,
) -> None:
    """Check an image against the recipe: versions, device code, models, conflicts; with --gpu on a real card."""
    from generator import pipeline
    from generator.resolve.resolve import Choices

    choices = Choices(
        recipe=context.obj,
        lock=context.meta[LOCK],
        output=output,
        archs=arch,
        base=base,
        builder=builder,
        ca_bundle=ca_bundle,
        netrc=netrc,
        assets_dir=assets_dir,
        site=site,
        layer_limit_mib=layer_limit,
        progress=progress.value,
    )
    pipeline.verify(Reporter(), choices, image=image, form=format_.value, gpu=gpu)
