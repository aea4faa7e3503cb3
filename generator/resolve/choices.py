"""What was chosen on the command line and by its environment variables; ``cli.options`` makes it, in one place."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from generator.resolve.login import Given
    from generator.resolve.signing import Signing

BUILD_FOLDER = Path("build")


@dataclass(frozen=True, kw_only=True)
class CacheOptions:
    """What was said about caches: options, their variables, or the site; None: nothing.

    Args:
        cache: repository of the registry cache, or the specification of another backend (``type=s3,…``).
        branch, main: names of branches; branch "" is the main one. wheels, wheels_readonly: stores of wheels, the
            second one only read. compiler_cache: repository of compiler caches. Each may be ``none``.
        readonly: read all of them and write none; None: in the job of a pull request.
    """

    cache: str | None = None
    branch: str | None = None
    main: str | None = None
    wheels: str | None = None
    wheels_readonly: str | None = None
    compiler_cache: str | None = None
    readonly: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What was chosen; None: nothing, and the site, then the recipe decides.

    ``deadline``: when a build is ended that is not done, in seconds since 1970.
    """

    recipe: str
    lock: Path | None = None
    output: Path = BUILD_FOLDER
    archs: str | None = None
    registry: str | None = None
    tag: str | None = None
    more_tags: tuple[str, ...] = ()
    login: Given | None = None
    push_tries: int = 6
    push_wait: float = 120.0
    deadline: float | None = None
    base: str | None = None
    fetcher: str | None = None
    builder: str | None = None
    ca_bundle: Path | None = None
    netrc: Path | None = None
    assets_dir: Path | None = None
    site: Path | None = None
    layer_limit_mib: int | None = None
    progress: str = "auto"
    signing: Signing | None = None
    caches: CacheOptions = field(default_factory=CacheOptions)
