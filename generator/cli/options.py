"""Options that several commands share: each is declared once, with its environment variable."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Option("-o", "--output-dir", envvar="GENERATOR_OUTPUT_DIR", help="The build folder.")]
ArchList = Annotated[
    str | None,
    typer.Option("--arch", envvar="GENERATOR_ARCH", help='Compute capabilities, such as "9.0;12.0".'),
]
GpuNames = Annotated[
    list[str] | None,
    typer.Option(
        "--gpu",
        envvar="GENERATOR_GPU",
        metavar="NAME|auto",
        help="GPUs by name instead of --arch, such as rtx5090 or h100,a100; auto: those of this machine.",
    ),
]
BaseImage = Annotated[
    str | None, typer.Option("--base", envvar="GENERATOR_BASE", help="Another frozen image of the same kind.")
]
Registry = Annotated[
    str | None,
    typer.Option("--registry", envvar="GENERATOR_REGISTRY", help="Registry (and path) for the image."),
]
Tag = Annotated[str | None, typer.Option("--tag", envvar="GENERATOR_TAG", help="Name and tag of the image.")]
Tags = Annotated[
    list[str] | None,
    typer.Option(
        "--tag",
        envvar="GENERATOR_TAG",
        help="Name and tag of the image; given again: more tags of it, name:tag or the tag alone.",
    ),
]
Username = Annotated[
    str | None,
    typer.Option(
        "--username",
        envvar="GENERATOR_REGISTRY_USERNAME",
        help="User at the registry, with --password-stdin or a token in GENERATOR_REGISTRY_TOKEN; "
        "none: what `docker login` keeps.",
    ),
]
PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password of --username from a pipe.")]
PushTries = Annotated[
    int, typer.Option("--push-tries", envvar="GENERATOR_PUSH_TRIES", min=1, help="How often a push is tried.")
]
PushWait = Annotated[
    float,
    typer.Option(
        "--push-wait",
        envvar="GENERATOR_PUSH_WAIT",
        min=0,
        help="Seconds that all waits between the tries of a push may take.",
    ),
]
Builder = Annotated[
    str | None, typer.Option("--builder", envvar="GENERATOR_BUILDER", help="The buildx builder to use.")
]
CaBundle = Annotated[
    Path | None,
    typer.Option(
        "--ca-bundle",
        envvar="GENERATOR_CA_BUNDLE",
        help="PEM file of a private CA; steps that download get it as a BuildKit secret.",
    ),
]
AssetsDir = Annotated[
    Path | None,
    typer.Option(
        "--assets-dir",
        envvar="GENERATOR_ASSETS_DIR",
        help="Folder of fetched assets; default: image-uplift/assets in the user's cache folder.",
    ),
]
Netrc = Annotated[
    Path | None,
    typer.Option(
        "--netrc",
        envvar="GENERATOR_NETRC",
        help="Credentials for mirrors in netrc format; steps that download get them as a BuildKit secret.",
    ),
]
LayerLimit = Annotated[
    int | None,
    typer.Option(
        "--layer-limit-mib",
        min=1,
        envvar="GENERATOR_LAYER_LIMIT_MIB",
        help="Largest layer that the registry takes, in MiB of compressed bytes; the stack is shared out over several.",
    ),
]
SiteOption = Annotated[
    Path | None,
    typer.Option(
        "--site",
        envvar="GENERATOR_SITE",
        help="Site file: registry, mirrors, CA; else site.toml beside the recipe or in the configuration folder.",
    ),
]
Cache = Annotated[
    str | None,
    typer.Option(
        "--cache",
        envvar="GENERATOR_CACHE",
        metavar="REPOSITORY|type=…",
        help="Registry cache of all steps; or another backend's specification: type=gha, type=local,dest=DIR…",
    ),
]
CacheBranch = Annotated[
    str | None,
    typer.Option(
        "--cache-branch",
        envvar="GENERATOR_CACHE_BRANCH",
        help="Branch whose cache is read first, and written; default: what CI says; none: the main branch.",
    ),
]
CacheMain = Annotated[
    str | None,
    typer.Option("--cache-main", envvar="GENERATOR_CACHE_MAIN", help="Name of the main branch; default: main."),
]
Wheels = Annotated[
    str | None,
    typer.Option(
        "--wheels",
        envvar="GENERATOR_WHEELS",
        help="Repository of compiled wheels; default: uplift-wheels in the registry; none: compile.",
    ),
]
WheelsReadonly = Annotated[
    str | None,
    typer.Option(
        "--wheels-readonly",
        envvar="GENERATOR_WHEELS_READONLY",
        help="A second repository of compiled wheels, which is only read.",
    ),
]
CompilerCache = Annotated[
    str | None,
    typer.Option(
        "--compiler-cache",
        envvar="GENERATOR_COMPILER_CACHE",
        help="Repository of compiler caches; default: uplift-ccache in the registry; none: this builder's own only.",
    ),
]
RequireWarm = Annotated[
    bool,
    typer.Option(
        "--require-warm", envvar="GENERATOR_REQUIRE_WARM", help="Fail, naming the steps, where something would compile."
    ),
]
