"""What a check found, and what the checks are asked about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING

from bake.credentials import Keyring
from bake.engine import connect, engine_facts
from generator.errors import EnvironmentUnfit

if TYPE_CHECKING:
    from pathlib import Path

    import docker

    from bake.assets import Request
    from bake.engine import EngineFacts
    from generator.errors import UpliftError


Say = Callable[[str], None]


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
        base: the frozen image. base_remedy: how to get it when it is absent (the recipe knows).
        registry: where the result is pushed, ``host[:port][/path]``; image: its full name there. pushes: a push
            will follow, so that a login that is missing is an error. keyring: logins. builder: what builds and pushes
            in place of the engine.
        disk: bytes that a bake needs. folders: to be written by a bake.
        ca_bundle: PEM file of the place's own CAs. netrc: logins of the place.
        cuda: the release that the image will use, "" for an image without.
        assets: what has to be on this machine, with the folder for it.
        mirrors: addresses that stand in for public ones.

    """

    base: str | None = None
    base_remedy: str = ""
    registry: str | None = None
    image: str | None = None
    pushes: bool = False
    keyring: Keyring = field(default_factory=Keyring)
    builder: str | None = None
    disk: int = 0
    ca_bundle: Path | None = None
    netrc: Path | None = None
    cuda: str = ""
    assets: tuple[Request, ...] = ()
    assets_folder: Path | None = None
    mirrors: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()


class Engine:
    """The engine, connected to once; a check that needs it fails on its own when it is not there."""

    @cached_property
    def _connected(self) -> docker.DockerClient | EnvironmentUnfit:
        try:
            return connect()
        except EnvironmentUnfit as error:
            return error

    @property
    def client(self) -> docker.DockerClient:
        """The connection.

        Raises:
            EnvironmentUnfit: there is none.

        """
        if isinstance(self._connected, EnvironmentUnfit):
            raise self._connected
        return self._connected

    def close(self) -> None:
        """Close the connection, if there was one."""
        known = self.__dict__.get("_connected")
        if known is not None and not isinstance(known, EnvironmentUnfit):
            known.close()

    @cached_property
    def facts(self) -> EngineFacts:
        """Facts about the engine; raises as ``client`` does."""
        return engine_facts(self.client)


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
