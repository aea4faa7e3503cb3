"""The site file: what belongs to a place and not to an image, so that a recipe travels unchanged between labs.

It is the file that ``--site`` names, else ``site.toml`` in the user's configuration folder. One beside a recipe is not
read: whoever wrote it would choose registry, package index and credentials of this machine. Keys:

    registry, fetcher, builder, ca-bundle, netrc, assets   as the options of these names
    cache, wheels, wheels-readonly, compiler-cache     the same: where builds keep what they made; "none" for nowhere
    disk-gib           room that a first bake takes here, in place of the recipe's estimate
    layer-limit-mib    the largest layer that the registry takes, compressed; the stack is shared out over several
    [trust]      keys = ["lab.pub"]     public keys: what others signed, or nobody, is compiled anew
    [[trust.identities]]   issuer = "https://…", identity = "…" or identity-regexp = "…"     who may sign without a key
    [mirrors]    "https://download.pytorch.org/" = "https://mirror.lab/pytorch/"     prefix = replacement
                 "docker.io/" = "registry.lab/hub/"   for images;   pypi = "https://mirror.lab/simple"
    [checksums]  "https://…/file" = "sha256"          of what a mirror serves in place of the original, if it differs
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from bake.address import quoted
from bake.errors import UsageError
from generator.recipe.document import parse_toml, read_text
from generator.recipe.explain import explained
from generator.recipe.fields import Checksums, Gib, Mirrors
from generator.recipe.places import key_lines
from generator.recipe.prepare import NO_BUILDER
from generator.recipe.section import NonEmpty, Section

if TYPE_CHECKING:
    from collections.abc import Mapping

    from generator.recipe import Recipe

FILE = "site.toml"
PYPI = "pypi"


def _no_table(value: Any) -> Any:
    if isinstance(value, dict):
        raise ValueError(NO_BUILDER)  # noqa: TRY004 - pydantic takes this one for a mistake
    return value


def _pattern(text: str | None) -> str | None:
    try:
        re.compile(text or "")
    except re.error as error:
        raise ValueError(f"it is no regular expression: {error}") from None
    return text


class SignedBy(Section):
    """Who may sign without a key, as the options of cosign name it; a pattern has to fit all of an identity."""

    issuer: NonEmpty
    identity: NonEmpty | None = None
    identity_regexp: Annotated[NonEmpty | None, AfterValidator(_pattern)] = None

    @model_validator(mode="after")
    def _one(self) -> SignedBy:
        if (self.identity is None) == (self.identity_regexp is None):
            raise ValueError("give one of identity and identity-regexp")
        return self


class Trusted(Section):
    """Whose signatures count at this place."""

    keys: Annotated[tuple[NonEmpty, ...], Field(strict=False)] = ()
    identities: Annotated[tuple[SignedBy, ...], Field(strict=False)] = ()


def _somebody(trust: Trusted) -> Trusted:
    if not (trust.keys or trust.identities):
        raise ValueError("it names nobody, and would check nothing: name a key, or leave [trust] out")
    return trust


class Site(Section):
    """One site file; paths count from its folder."""

    registry: NonEmpty | None = None
    fetcher: NonEmpty | None = None
    builder: Annotated[NonEmpty | None, BeforeValidator(_no_table)] = None
    ca_bundle: NonEmpty | None = None
    netrc: NonEmpty | None = None
    assets: NonEmpty | None = None
    cache: NonEmpty | None = None
    cache_main: NonEmpty | None = None
    wheels: NonEmpty | None = None
    wheels_readonly: NonEmpty | None = None
    compiler_cache: NonEmpty | None = None
    disk_gib: Gib | None = None
    layer_limit_mib: Annotated[int, Field(gt=0)] | None = None
    trust: Annotated[Trusted, AfterValidator(_somebody)] = Field(default_factory=Trusted)
    mirrors: Mirrors = Field(default_factory=dict)
    checksums: Checksums = Field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SiteFile:
    """A site, and the file that it came from; no file: nothing is set."""

    site: Site
    file: Path | None = None

    def path(self, value: str | None) -> Path | None:
        """Give a path of the file as an absolute one.

        Raises:
            UsageError: it begins with the home of a user that there is not.
        """
        if value is None or self.file is None:
            return None
        try:
            return (self.file.parent / Path(value).expanduser()).resolve()
        except RuntimeError:
            raise UsageError(f"{value!r} is no path: there is no such user", where=str(self.file)) from None


def load_site(chosen: Path | None) -> SiteFile:
    """Load the site file that holds here.

    Args:
        chosen: the file that was asked for; None: the user's own.

    Raises:
        UsageError: the file that was asked for is not there, or a site file is not valid.
    """
    if chosen is not None and not chosen.is_file():
        raise UsageError("there is no such site file", where=str(chosen), remedy="mend --site, or write that file")
    file = chosen or _of_user(os.environ)
    return SiteFile(site=_parse(file), file=file.resolve()) if file.is_file() else SiteFile(site=Site())


def beside(recipe: str) -> Path | None:
    """Give the site file that lies beside a recipe, where it is another than the user's own; it is not read."""
    file = Path(recipe).parent / FILE
    there = recipe.endswith(".toml") and file.is_file() and file.resolve() != _of_user(os.environ).resolve()
    return file if there else None


def _of_user(environ: Mapping[str, str]) -> Path:
    configuration = Path(environ.get("XDG_CONFIG_HOME", ""))
    if not configuration.is_absolute():  # XDG Base Directory Specification: such a path is to be ignored
        configuration = Path(environ.get("HOME") or os.path.expanduser("~")) / ".config"  # noqa: PTH111
    return configuration / "image-uplift" / FILE


def _parse(file: Path) -> Site:
    try:
        text = read_text(file)
        raw = parse_toml(text)
    except (OSError, ValueError) as error:
        raise UsageError(f"the site file can't be read: {error}", where=str(file), remedy="mend that file") from error
    try:
        return Site.model_validate(raw)
    except ValidationError as error:
        mistakes = explained(error, key_lines(text), root=Site)
    rows = [f"line {line}: {message}" if line else message for line, message in sorted(set(mistakes), key=_by_line)]
    remedy = "mend these lines, or leave them out: no key is needed"
    raise UsageError("\n  ".join(["the site file has mistakes:", *rows]), where=str(file), remedy=remedy)


def _by_line(mistake: tuple[int | None, str]) -> tuple[int, str]:
    return mistake[0] or 0, mistake[1]


def mirrors_of(site: Site, recipe: Recipe) -> dict[str, str]:
    """Give the table of mirrors: the site's rows before the recipe's, the longest prefix first.

    Raises:
        UsageError: a row that can't be written to the table that steps read.
    """
    table = {**recipe.mirrors, **site.mirrors}
    for prefix, replacement in table.items():
        if any(char.isspace() or char in "*?[]\\" for char in prefix + replacement) or prefix.startswith("#"):
            raise UsageError(
                f"mirrors: {quoted(prefix)} = {quoted(replacement)} has a character that no address has",
                remedy="mend that row",
            )
    return dict(sorted(table.items(), key=lambda row: (-len(row[0]), row[0])))


def mirrored(address: str, mirrors: Mapping[str, str]) -> str:
    """Give the address that a mirror has for another; the same one where no prefix fits."""
    for prefix, replacement in sorted(mirrors.items(), key=lambda row: -len(row[0])):
        if address.startswith(prefix):
            return replacement + address[len(prefix) :]
    return address


def mirrored_image(image: str, mirrors: Mapping[str, str]) -> str:
    """Give an image's name in the mirror of its registry; ``pbfslab/x`` counts as ``docker.io/pbfslab/x``."""
    first, slash, _ = image.partition("/")
    registry = bool(slash) and ("." in first or ":" in first or first == "localhost")
    full = image if registry else f"docker.io/{image if slash else f'library/{image}'}"
    moved = mirrored(full, {prefix: to for prefix, to in mirrors.items() if "://" not in prefix and prefix != PYPI})
    return image if moved == full else moved


def secret_table(mirrors: Mapping[str, str]) -> str:
    """Write the table that steps of the build read as the secret ``mirrors``: one row a line."""
    return "".join(f"{prefix} {to}\n" for prefix, to in mirrors.items())
