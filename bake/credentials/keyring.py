"""Finds the login of a registry: one that was given for it, or the one that docker itself would use."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bake.credentials.login import TOKEN_USER, Login
from bake.errors import EnvironmentUnfit
from bake.reference import DEFAULT_REGISTRY

if TYPE_CHECKING:
    from collections.abc import Mapping

_HUB = ("index.docker.io", "registry-1.docker.io")


def host_of(address: str) -> str:
    """Give the registry that docker means by an address: ``https://index.docker.io/v1/`` is ``docker.io``."""
    host = address.strip().partition("://")[2] or address.strip()
    host = host.partition("/")[0]
    return DEFAULT_REGISTRY if host in _HUB else host


@dataclass(frozen=True)
class Keyring:
    """The logins of this run.

    Args:
        given: logins by registry host; they come before docker's own.

    """

    given: Mapping[str, Login] = field(default_factory=dict)

    def login_for(self, host: str) -> Login | None:
        """Give the login for a registry; None: there is none.

        Raises:
            EnvironmentUnfit: docker's configuration or its credential helper does not work.

        """
        known = host_of(host)
        return self.given[known] if known in self.given else _stored(known)


def _stored(host: str) -> Login | None:
    """Ask docker's configuration: credHelpers, credsStore, auths, in docker's own order."""
    from docker import auth
    from docker.errors import DockerException

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a helper that is missing: told as an error below
            found = auth.load_config().resolve_authconfig(host)
    except (DockerException, OSError, ValueError, KeyError) as failure:
        raise EnvironmentUnfit(
            f"docker's stored login cannot be read: {failure}",
            where=host,
            remedy="mend credsStore, credHelpers or auths in docker's config.json, or give --username and "
            "--password-stdin",
        ) from None
    if not found:
        return None
    values = {str(key).lower(): value for key, value in found.items()}
    if values.get("identitytoken"):
        return Login(username=TOKEN_USER, secret=str(values["identitytoken"]))
    if values.get("username") and values.get("password"):
        return Login(username=str(values["username"]), secret=str(values["password"]))
    return None
