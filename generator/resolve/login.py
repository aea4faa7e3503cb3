"""The login that is given for this run: read once, kept in memory, and taken out of the environment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TextIO

from bake.credentials import Keyring, Login
from bake.errors import UsageError

STDIN = "--password-stdin"
TOKEN = "GENERATOR_REGISTRY_TOKEN"  # noqa: S105 - the name of a variable
# User names that registries want beside a token, by the end of their host; elsewhere any name does (GitHub, GitLab,
# Harbor's and Gitea's documentation). Sources: "Authentication" pages of Artifact Registry, ACR and Quay.
_TOKEN_USERS = {
    "gcr.io": "oauth2accesstoken",
    "pkg.dev": "oauth2accesstoken",
    "azurecr.io": "00000000-0000-0000-0000-000000000000",
    "quay.io": "$oauthtoken",
}
_ANY = "token"


@dataclass(frozen=True, kw_only=True)
class Given:
    """A login that was given, and by which option or variable."""

    login: Login
    by: str


def chosen_login(username: str | None, *, password_stdin: bool, token: str, stdin: TextIO) -> Given | None:
    """Turn what was given into a login; None: nothing was, and docker's own store decides.

    Args:
        username: the user. password_stdin: the password comes on ``stdin``. token: from the environment.

    Raises:
        UsageError: a part is missing, or there are two secrets.
    """
    if password_stdin and token:
        raise UsageError(
            "there are two secrets: --password-stdin, and a token in the environment", where=TOKEN, remedy="give one"
        )
    if password_stdin:
        if not username:
            raise UsageError("--password-stdin wants a user name", where=STDIN, remedy="add --username")
        return Given(login=Login(username=username, secret=_read(stdin), given=True), by=STDIN)
    if token:
        return Given(login=Login(username=username or "", secret=token, given=True), by=TOKEN)
    if username:
        raise UsageError(
            "--username wants a password",
            where="--username",
            remedy=f"pipe it in (--password-stdin), set {TOKEN}, or leave both out: `docker login` keeps logins",
        )
    return None


def _read(stdin: TextIO) -> str:
    if stdin.isatty():
        raise UsageError(
            "the password is read from a pipe, not typed",
            where=STDIN,
            remedy="pass it on: … | python -m generator … --password-stdin, or use `docker login`",
        )
    secret = stdin.read().rstrip("\r\n")
    if not secret:
        raise UsageError("the password is empty", where=STDIN, remedy="pipe the password in")
    return secret


def keyring_for(registry: str, given: Given | None) -> Keyring:
    """Make the keyring of a run.

    Args:
        registry: where the image goes, ``host[:port][/path]``; "" when it stays here. given: the login for it; one
            that only the environment has is left alone where there is no registry.

    Raises:
        UsageError: a password was piped in, and there is no registry that it is for.
    """
    if given is None or (not registry and given.by == TOKEN):
        return Keyring()
    if not registry:
        raise UsageError("a login is given, and no registry that it is for", where=given.by, remedy="add --registry")
    host, login = registry.partition("/")[0], given.login
    if not login.username:
        user = next((user for end, user in _TOKEN_USERS.items() if host.endswith(end)), _ANY)
        login = replace(login, username=user)
    return Keyring({host: login})
