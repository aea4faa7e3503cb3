"""The options that several commands share: each is declared once, and all of them become one ``Choices`` here.

A command says which it takes, and gets them as its first argument::

    @takes("output", *ARCHS, "site")
    def render(choices: Choices) -> None:
"""

from __future__ import annotations

import functools
import inspect
import sys
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bake.errors import UsageError
from bake.units import seconds_in
from generator.resolve.choices import BUILD_FOLDER, CacheOptions, Choices

if TYPE_CHECKING:
    from collections.abc import Callable

    from generator.resolve.login import Given
    from generator.resolve.signing import Signing


class ProgressForm(str, Enum):
    """How a bake shows progress."""

    AUTO = "auto"
    RICH = "rich"
    PLAIN = "plain"
    JSON = "json"


LOCK = "generator.lock"  # where the root command leaves --lock
TOKEN = "GENERATOR_REGISTRY_TOKEN"  # noqa: S105 - the variable, and where the root command leaves what it held
SIGN_KEY, SIGN_PASSWORD = "GENERATOR_SIGN_KEY", "GENERATOR_SIGN_PASSWORD"


@dataclass(frozen=True)
class Option:
    """One declaration: its type, its default, and names, variable and help as typer takes them."""

    type: Any
    default: Any
    info: Any


def _option(type_: Any, *names: str, default: Any = None, variable: str = "", **more: Any) -> Option:
    """Declare an option; its environment variable is GENERATOR_ and its name, unless another one is given."""
    name = variable or names[-1].removeprefix("--").replace("-", "_").upper()
    return Option(type_, default, typer.Option(*names, envvar=f"GENERATOR_{name}", **more))


OPTIONS = {
    "output": _option(Path, "-o", "--output-dir", default=BUILD_FOLDER, help="The build folder."),
    "arch": _option(str | None, "--arch", help='Compute capabilities, such as "9.0;12.0".'),
    "gpu": _option(
        list[str] | None,
        "--gpu",
        metavar="NAME|auto",
        help="GPUs by name instead of --arch, such as rtx5090 or h100,a100; auto: those of this machine.",
    ),
    "registry": _option(str | None, "--registry", help="Registry (and path) for the image."),
    "username": _option(
        str | None,
        "--username",
        variable="REGISTRY_USERNAME",
        help="User at the registry, with --password-stdin or a token in GENERATOR_REGISTRY_TOKEN; "
        "none: what `docker login` keeps.",
    ),
    "password_stdin": Option(
        bool, default=False, info=typer.Option("--password-stdin", help="Read the password of --username from a pipe.")
    ),
    "push_tries": _option(int, "--push-tries", default=6, min=1, help="How often a push is tried."),
    "push_wait": _option(
        float, "--push-wait", default=120.0, min=0, help="Seconds that all waits between the tries of a push may take."
    ),
    "deadline": _option(
        str | None,
        "--deadline",
        metavar="5h30m",
        help="End a build that is not done after this time, in order: what was compiled is saved, and the same command "
        "goes on (exit status 5).",
    ),
    "tag": _option(str | None, "--tag", help="Name and tag of the image."),
    "tags": _option(
        list[str] | None,
        "--tag",
        help="Name and tag of the image; given again: more tags of it, name:tag or the tag alone.",
    ),
    "base": _option(str | None, "--base", help="Another frozen image of the same kind."),
    "fetcher": _option(
        str | None,
        "--fetcher",
        metavar="IMAGE",
        help="The image that fetches inside of builds: Python 3.9 or later, venv, and apt where packages are needed.",
    ),
    "builder": _option(str | None, "--builder", help="The buildx builder to use."),
    "ca_bundle": _option(
        Path | None,
        "--ca-bundle",
        help="PEM file of a private CA; steps that download get it as a BuildKit secret.",
    ),
    "netrc": _option(
        Path | None,
        "--netrc",
        help="Credentials for mirrors in netrc format; steps that download get them as a BuildKit secret.",
    ),
    "assets_dir": _option(
        Path | None,
        "--assets-dir",
        help="Folder of fetched assets; default: image-uplift/assets in the user's cache folder.",
    ),
    "site": _option(
        Path | None,
        "--site",
        help="Site file: registry, mirrors, CA; else image-uplift/site.toml of the configuration folder.",
    ),
    "layer_limit_mib": _option(
        int | None,
        "--layer-limit-mib",
        min=1,
        help="Largest layer that the registry takes, in MiB of compressed bytes; the stack is shared out over several.",
    ),
    "progress": _option(
        ProgressForm, "--progress", default=ProgressForm.AUTO, help="auto: rich on a terminal, else plain."
    ),
    "cache": _option(
        str | None,
        "--cache",
        metavar="REPOSITORY|type=…",
        help="Registry cache of all steps; or another backend's specification: type=gha, type=local,dest=DIR…",
    ),
    "cache_branch": _option(
        str | None,
        "--cache-branch",
        help="Branch whose cache is read first, and written; default: what CI says; none: the main branch.",
    ),
    "cache_main": _option(str | None, "--cache-main", help="Name of the main branch; default: main."),
    "wheels": _option(
        str | None,
        "--wheels",
        help="Repository of compiled wheels; default: uplift-wheels in the registry; none: compile.",
    ),
    "wheels_readonly": _option(
        str | None, "--wheels-readonly", help="A second repository of compiled wheels, which is only read."
    ),
    "compiler_cache": _option(
        str | None,
        "--compiler-cache",
        help="Repository of compiler caches; default: uplift-ccache in the registry; none: this builder's own only.",
    ),
    "sign_key": _option(
        str | None,
        "--sign-key",
        metavar="FILE|keyless",
        help="Sign what is pushed, and attach statements: a private key (the variable may hold the key itself); "
        "keyless: the identity of this CI job.",
    ),
    "sign_password_file": _option(
        Path | None,
        "--sign-password-file",
        help="File with the password of --sign-key; or set GENERATOR_SIGN_PASSWORD.",
    ),
    "caches_readonly": _option(
        bool | None,
        "--caches-readonly/--no-caches-readonly",
        variable="CACHES_READONLY",
        help="Read these caches and stores, and write none; default: in the CI job of a pull request.",
    ),
}
# What commands take together.
ARCHS = ("arch", "gpu")
LOGIN = ("username", "password_stdin")
SIGNING = ("sign_key", "sign_password_file")
DOWNLOADS = ("ca_bundle", "netrc", "assets_dir")
CACHES = {
    "cache": "cache",
    "cache_branch": "branch",
    "cache_main": "main",
    "wheels": "wheels",
    "wheels_readonly": "wheels_readonly",
    "compiler_cache": "compiler_cache",
    "caches_readonly": "readonly",
}


def takes(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of these names; it gets them as its first argument, a ``Choices``."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def parsed(context: typer.Context, **given: Any) -> None:
            chosen = {name: given.pop(name) for name in names}
            command(_choices(context, chosen), **given)

        own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
        shared = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=OPTIONS[name].default,
                annotation=Annotated[OPTIONS[name].type, OPTIONS[name].info],
            )
            for name in names
        ]
        context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_ONLY, annotation=typer.Context)
        parameters = [context, *(entry.replace(kind=inspect.Parameter.KEYWORD_ONLY) for entry in own), *shared]
        parsed.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        parsed.__annotations__ = {entry.name: entry.annotation for entry in parameters}
        del parsed.__wrapped__  # else typer reads the command's own signature
        return parsed

    return decorate


def _choices(context: typer.Context, given: dict[str, Any]) -> Choices:
    from generator.resolve.gpus import chosen_archs  # not for --help

    fields: dict[str, Any] = {"recipe": context.obj, "lock": context.meta[LOCK]}
    if "arch" in given:
        fields["archs"] = chosen_archs(given.pop("arch"), given.pop("gpu", None))
    if "username" in given:
        fields["login"] = login_of(context, given.pop("username"), password_stdin=given.pop("password_stdin"))
    if "sign_key" in given:
        fields["signing"] = _signing(context, given.pop("sign_key"), given.pop("sign_password_file"))
    if tags := given.pop("tags", None):
        fields["tag"], *more = tags
        fields["more_tags"] = tuple(more)
    if text := given.pop("deadline", None):
        fields["deadline"] = time.time() + _seconds(text)
    if "progress" in given:
        fields["progress"] = given.pop("progress").value
    caches = CacheOptions(**{name: given.pop(option) for option, name in CACHES.items() if option in given})
    return Choices(**fields, **given, caches=caches)


def _seconds(text: str) -> int:
    try:
        return seconds_in(text)
    except ValueError as error:
        raise UsageError(str(error), where="--deadline", remedy="write for example 5h30m, 90m or 45s") from None


def _signing(context: typer.Context, key: str | None, file: Path | None) -> Signing | None:
    """Give what signs; the option's variable was taken out of the environment, as those of other secrets."""
    from generator.resolve.signing import chosen_signing  # not for --help

    return chosen_signing(
        key or context.meta[SIGN_KEY], shown=key is not None, password=context.meta[SIGN_PASSWORD], file=file
    )


def login_of(context: typer.Context, username: str | None, *, password_stdin: bool) -> Given | None:
    """Give the login that the command line, its standard input and the environment hold; None: none."""
    from generator.resolve.login import chosen_login  # not for --help

    # A job's environment may name the user for all of its steps, and hold a token for some.
    source = context.get_parameter_source("username")
    if source is not None and source.name == "ENVIRONMENT" and not (password_stdin or context.meta[TOKEN]):
        return None
    return chosen_login(username, password_stdin=password_stdin, token=context.meta[TOKEN], stdin=sys.stdin)
