"""A login: a user's name and a secret that no text ever shows."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field

# docker-credential-helpers: the user name that stands for "the secret is an identity token".
TOKEN_USER = "<token>"  # noqa: S105 - the name of a user


@dataclass(frozen=True, kw_only=True)
class Login:
    """A login of one registry.

    Args:
        username: the name; ``<token>`` when the secret is an identity token of an OAuth2 server. secret: the password
            or token; never part of ``repr``. given: True for one given to this program, False for docker's own.

    """

    username: str
    secret: str = field(repr=False)
    given: bool = False

    @property
    def is_identity_token(self) -> bool:
        """True when the secret can only be exchanged for tokens."""
        return self.username == TOKEN_USER

    @property
    def basic(self) -> str:
        """The value of an ``Authorization`` header (RFC 7617)."""
        return "Basic " + b64encode(f"{self.username}:{self.secret}".encode()).decode("ascii")

    @property
    def shown(self) -> str:
        """Name it for people: whose it is and where it came from."""
        whose = "a token" if self.is_identity_token else f"the user {self.username}"
        return f"{whose} ({'given' if self.given else 'from docker login'})"
