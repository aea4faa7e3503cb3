"""What a check found, and what the checks are asked about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from threading import RLock
from typing import TYPE_CHECKING, TypeVar

from bake.buildx.builders import require
from bake.credentials import Keyring
from bake.engine.facts import connect, engine_facts
from bake.errors import EnvironmentUnfit

if TYPE_CHECKING:
    from pathlib import Path

    import docker

    from bake.assets import Request
    from bake.buildx.builder_facts import BuilderFacts
    from bake.engine.facts import EngineFacts
    from bake.errors import UpliftError


Say = Callable[[str], None]
_Fact = TypeVar("_Fact")


class Severity(str, Enum):
    """How bad a finding is: an error stops a bake, a warning may spoil it."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One finding of one check.

    Args:
        remediation: how to mend it, "" when nothing is wrong. mend: mends it, and says what it does, where a program
            can; it raises what the user has to do himself.

    """

    severity: Severity
    check: str
    message: str
    remediation: str = ""
    mend: Callable[[Say], None] | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What the checks are asked about.

    Args:
        base: the frozen image. base_remedy: how to get it when it is absent (the recipe knows). fetcher: the image that
            fetches inside of builds.
        registry: where the result is pushed, ``host[:port][/path]``; image: its full name there. pushes: a push
            will follow, so that a login that is missing is an error. keyring: logins. builder: what builds and pushes
            in place of the engine.
        layer_limit: the largest layer that the registry takes, in bytes; 0 for any.
        disk: bytes that a bake needs. folders: to be written by a bake.
        ca_bundle: PEM file of the place's own CAs. netrc: logins of the place.
        cuda: the release that the image will use, "" for an image without.
        assets: what has to be on this machine, with the folder for it.
        mirrors: addresses that stand in for public ones.
        builder: name of the buildx builder, None for the current one.
        known_builder: what buildx just told of it, None: to be asked. ask_buildx: gives the version of a buildx that
            is new enough, None: the command line is asked.

    """

    base: str | None = None
    base_remedy: str = ""
    fetcher: str | None = None
    registry: str | None = None
    image: str | None = None
    pushes: bool = False
    keyring: Keyring = field(default_factory=Keyring)
    builder: str | None = None
    layer_limit: int = 0
    disk: int = 0
    ca_bundle: Path | None = None
    netrc: Path | None = None
    cuda: str = ""
    assets: tuple[Request, ...] = ()
    assets_folder: Path | None = None
    mirrors: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    known_builder: BuilderFacts | None = None
    ask_buildx: Callable[[], str] | None = None


class Engine:
    """The engine and the builder, asked once; a check that needs one fails on its own when it is not there.

    Checks that run side by side share it. Where the builder is an engine's own, that engine is meant: another than the
    current one by a docker context.
    """

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._known: dict[str, object] = {}
        # One for each fact, as one fact needs another: facts those of the connection, this the builder.
        self._locks = {name: RLock() for name in ("builder", "connection", "facts")}

    def _once(self, name: str, ask: Callable[[], _Fact]) -> _Fact:
        with self._locks[name]:
            if name not in self._known:
                self._known[name] = ask()
            return self._known[name]  # type: ignore[return-value]  # what this ask gave

    @property
    def _builder(self) -> BuilderFacts | EnvironmentUnfit:
        return self._once("builder", self._look_up)

    def _look_up(self) -> BuilderFacts | EnvironmentUnfit:
        if self._subject.known_builder is not None:
            return self._subject.known_builder
        try:
            return require(self._subject.builder)
        except EnvironmentUnfit as error:
            return error

    @property
    def builder(self) -> BuilderFacts:
        """The builder.

        Raises:
            EnvironmentUnfit: there is none of that name, or no buildx.

        """
        if isinstance(self._builder, EnvironmentUnfit):
            raise self._builder
        return self._builder

    @property
    def own_builder(self) -> bool:
        """Whether the engine itself builds; also where that can't be told."""
        return isinstance(self._builder, EnvironmentUnfit) or self._builder.own

    @property
    def context(self) -> str | None:
        """The docker context of the engine that builds; None: the current one."""
        return None if isinstance(self._builder, EnvironmentUnfit) else self._builder.context

    @property
    def _connected(self) -> docker.DockerClient | EnvironmentUnfit:
        return self._once("connection", self._connect)

    def _connect(self) -> docker.DockerClient | EnvironmentUnfit:
        try:
            return connect(self.context)
        except EnvironmentUnfit as error:
            return error

    @property
    def client(self) -> docker.DockerClient:
        """The connection.

        Raises:
            EnvironmentUnfit: there is none.

        """
        connected = self._connected
        if isinstance(connected, EnvironmentUnfit):
            raise connected
        return connected

    def close(self) -> None:
        """Close the connection, if there was one."""
        if "connection" in self._known and not isinstance(self._connected, EnvironmentUnfit):
            self._connected.close()

    @property
    def facts(self) -> EngineFacts:
        """Facts about the engine; raises as ``client`` does."""
        return self._once("facts", lambda: engine_facts(self.client, context=self.context))


def ok(check: str, message: str, mend: Callable[[Say], None] | None = None) -> Finding:
    """Nothing is wrong; ``mend`` can still do now what a bake would do later."""
    return Finding(severity=Severity.OK, check=check, message=message, mend=mend)


def warning(check: str, message: str, remediation: str, mend: Callable[[Say], None] | None = None) -> Finding:
    """Something may go wrong."""
    return Finding(severity=Severity.WARNING, check=check, message=message, remediation=remediation, mend=mend)


def error(check: str, message: str, remediation: str, mend: Callable[[Say], None] | None = None) -> Finding:
    """A bake would fail."""
    return Finding(severity=Severity.ERROR, check=check, message=message, remediation=remediation, mend=mend)


def from_failure(check: str, failure: UpliftError) -> Finding:
    """Turn a failure into a finding."""
    place = f"{failure.where}: " if failure.where else ""
    return error(check, f"{place}{failure.message}", failure.remedy or "")
