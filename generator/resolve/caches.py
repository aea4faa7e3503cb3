"""Where a bake keeps what it made, beside the builder: the registry cache of steps, wheels, compiler caches.

What a pull request writes, the main branch never reads: its job reads all of these and writes none, and has cache
mounts of its own on a builder.

Pure but for :func:`branch_of`, which is given the environment. All are named once, here:

    registry cache     REF:TARGET for the main branch, REF:TARGET.BRANCH for another, which is read first;
                       REF:TARGET.key-HASH for just these inputs (generator/reuse/registry_cache.py)
    wheel store        REPOSITORY:EXTENSION-KEY
    compiler cache     REPOSITORY:EXTENSION-SCOPE (generator/reuse/compiler_cache.py)
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bake.address import NO_LOGIN, has_login, quoted
from bake.errors import UsageError
from bake.reference import parse_reference
from generator.resolve.choices import CacheOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from generator.resolve.site import Site

OFF = "none"
NONE = CacheOptions(cache=OFF, wheels=OFF, wheels_readonly=OFF, compiler_cache=OFF)
WHEELS, COMPILER_CACHE = "uplift-wheels", "uplift-ccache"  # below the registry, where nothing else is said
# What tells that a build is of a pull request, and the branch that it comes from.
_PULL_REQUESTS = ("GITHUB_HEAD_REF", "CI_MERGE_REQUEST_IID", "CI_EXTERNAL_PULL_REQUEST_IID")
_PULL_BRANCHES = (
    "GITHUB_HEAD_REF",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME",
    "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME",
)
_BRANCHES = ("GITHUB_REF_NAME", "CI_COMMIT_REF_NAME")
KEY = "key-"  # how the end of a tag begins that is made of a target's inputs; no branch's does
_HASHED = re.compile(rf"^{KEY}|-[0-9a-f]{{8}}$")
_SLUG = 40  # a tag has up to 128 characters, and the target's name is in it too
# How each backend of BuildKit tells one target's cache from another's; docs.docker.com/build/cache/backends
_PER_TARGET = {"gha": "scope", "s3": "name", "azblob": "name"}
# What of a specification is secret, and where buildx and BuildKit look for it otherwise; the same pages.
_SECRET = re.compile(r"(?:^|[,;?&\"])\s*(\w*(?:secret|token|password|key|sig)\w*)\s*=", re.IGNORECASE)
_LOGIN = re.compile(r"://[^?#]*@")
_SECRETS_ELSEWHERE = {
    "s3": "buildx reads AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or the profile of AWS_PROFILE",
    "azblob": "BuildKit reads AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET from its own environment",
    "gha": "buildx reads ACTIONS_RUNTIME_TOKEN",
}
_ENDS = {"local": ("src", "dest")}


@dataclass(frozen=True, kw_only=True)
class Caches:
    """What was decided: repositories without tag, "" for none; ``cache_from`` and ``cache_to`` are other backends.

    ``readonly``: nothing is written to any of them. ``mounts``: whose cache mounts are used; "" the usual ones.
    """

    repository: str = ""
    branch: str = ""
    cache_from: str = ""
    cache_to: str = ""
    wheels: str = ""
    wheels_readonly: str = ""
    compiler_cache: str = ""
    readonly: bool = False
    mounts: str = ""

    @property
    def kept(self) -> bool:
        """Whether a bake leaves anything for another builder."""
        return not self.readonly and any((self.repository, self.cache_to, self.wheels, self.compiler_cache))

    def variables(self) -> dict[str, str]:
        """The variables of the bake file, with their values."""
        return {
            "CACHE_REF": self.repository,
            "CACHE_BRANCH": self.branch,
            "CACHE_FROM": self.cache_from,
            "CACHE_TO": self.cache_to,
            "CACHE_MOUNTS": self.mounts,
        }


def combined(chosen: CacheOptions, site: Site) -> CacheOptions:
    """Lay what was chosen over what the site says."""
    return CacheOptions(
        cache=chosen.cache or site.cache,
        branch=chosen.branch,
        main=chosen.main or site.cache_main,
        wheels=chosen.wheels or site.wheels,
        wheels_readonly=chosen.wheels_readonly or site.wheels_readonly,
        compiler_cache=chosen.compiler_cache or site.compiler_cache,
        readonly=chosen.readonly,
    )


def resolve_caches(options: CacheOptions, *, registry: str, environ: Mapping[str, str]) -> Caches:
    """Decide where things are kept.

    Args:
        registry: where the image goes; stores of wheels and compiler caches stand there if nothing else was said.
        environ: tells the branch, and the job of a pull request, under GitHub Actions and GitLab.

    Raises:
        UsageError: a repository or specification that is not valid.
    """
    cache = _without_secrets(_off(options.cache) or environ.get("CACHE_REF", ""), "--cache")
    others = {name: _without_secrets(environ.get(name, ""), name) for name in ("CACHE_FROM", "CACHE_TO")}
    specification = cache.startswith("type=")
    pull_request = any(environ.get(name) for name in _PULL_REQUESTS)
    return Caches(
        repository="" if specification else _repository(cache, "--cache"),
        branch=branch_of(options, environ) if cache and not specification else "",
        cache_from=_specification(cache, "src") if specification else others["CACHE_FROM"],
        cache_to=_written(_specification(cache, "dest")) if specification else others["CACHE_TO"],
        wheels=_repository(_or_below(options.wheels, registry, WHEELS), "--wheels"),
        wheels_readonly=_repository(_off(options.wheels_readonly), "--wheels-readonly"),
        compiler_cache=_repository(_or_below(options.compiler_cache, registry, COMPILER_CACHE), "--compiler-cache"),
        readonly=pull_request if options.readonly is None else options.readonly,
        mounts="pull-request" if pull_request else "",
    )


def branch_of(options: CacheOptions, environ: Mapping[str, str]) -> str:
    """Give the branch whose cache is written, fit for a tag; "" for the main branch, and where none is known.

    Names that a tag can't hold get a part of their hash, so that no two branches share a cache; so do those that look
    like the hash of inputs or have one already, and a pull request's that is named as the main branch.
    """
    main = options.main or environ.get("CI_DEFAULT_BRANCH") or "main"
    pull = "" if options.branch is not None else _first(_PULL_BRANCHES, environ)
    branch = pull or (_first(_BRANCHES, environ) if options.branch is None else options.branch)
    if branch in ("", main) and not pull:
        return ""
    slug = re.sub(r"[^a-z0-9_-]+", "-", branch.lower()).strip("-")[:_SLUG]
    plain = slug == branch and branch != main and not _HASHED.search(slug)
    return slug if plain else f"{slug}-{hashlib.sha256(branch.encode()).hexdigest()[:8]}"


def _first(names: tuple[str, ...], environ: Mapping[str, str]) -> str:
    return next(filter(None, map(environ.get, names)), "")


def _without_secrets(value: str, where: str) -> str:
    """Refuse a login in the name of a repository, or a secret in a specification: logs and files show these."""
    if _LOGIN.search(value) or any(has_login(field.partition("=")[2] or field) for field in _fields(value)):
        raise UsageError(NO_LOGIN, where=where, remedy="take it out; `docker login` keeps logins of registries")
    if found := _SECRET.search(value):
        kind = next((field.partition("=")[2] for field in _fields(value) if field.startswith("type=")), "")
        raise UsageError(
            f"{found[1]} in a cache specification, which logs, files and process lists would show",
            where=where,
            remedy=f"take it out; {_SECRETS_ELSEWHERE.get(kind, 'the backend gets it from its environment')}",
        )
    return value


def _fields(value: str) -> list[str]:
    return [field.strip(' "') for field in re.split("[,;]", value)]


def _off(value: str | None) -> str:
    return "" if value in (None, OFF) else str(value)


def _or_below(value: str | None, registry: str, name: str) -> str:
    if value is None:
        return f"{registry}/{name}" if registry else ""
    return _off(value)


def _repository(value: str, where: str) -> str:
    """Hold a repository against the form of references; it has no tag of its own."""
    value = _without_secrets(value.rstrip("/"), where)
    if value:
        reference = parse_reference(value, where=where)
        if reference.tag or reference.digest:
            remedy = "name a repository without a tag: each target and each wheel gets a tag of its own there"
            raise UsageError(f"{quoted(value)} has a tag", where=where, remedy=remedy)
    return value


def _specification(text: str, end: str) -> str:
    """Make the specification of another backend one for each target; ``{target}`` may stand in it."""
    fields = dict(part.partition("=")[::2] for part in text.split(","))
    kind = fields.get("type", "")
    if ";" in text or not kind:
        raise UsageError(
            f"{quoted(text)} is not a cache specification", where="--cache", remedy="write type=s3,bucket=…"
        )
    if kind in _ENDS:
        place = fields.pop("src", None) or fields.pop("dest", None)
        if not place:
            raise UsageError("type=local needs a folder", where="--cache", remedy="write type=local,dest=FOLDER")
        fields.pop("dest", None)
        fields[end] = place if "{target}" in place else f"{place.rstrip('/')}/{{target}}"
    elif "{target}" not in text:
        own = _PER_TARGET.get(kind)
        if own is None:
            remedy = "say where the target's name goes: ref=…:{target}"
            raise UsageError(f"type={kind} has one cache for all targets", where="--cache", remedy=remedy)
        fields[own] = f"{fields[own]}-{{target}}" if own in fields else "{target}"
    return ",".join(f"{name}={value}" for name, value in fields.items())


def _written(specification: str) -> str:
    """Ask for all steps, and for a warning where the cache can't be written."""
    named = {part.partition("=")[0] for part in specification.split(",")}
    defaults = {"mode": "max", "ignore-error": "true"}
    return ",".join((specification, *(f"{name}={value}" for name, value in defaults.items() if name not in named)))
