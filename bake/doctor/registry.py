"""Asks the registry that the result goes to whether it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bake.doctor.finding import Engine, Finding, Subject, error, ok, warning
from bake.reference import parse_registry
from bake.registry import Outcome, Registry

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "registry"
TEXTS: dict[Outcome, tuple[str, str]] = {
    Outcome.FORBIDDEN: (
        "the registry {host} forbids it ({detail})",
        "ask for the right to push there, or choose another registry (--registry)",
    ),
    Outcome.ABSENT: (
        "{host} answers, but it is not a registry ({detail} for /v2/)",
        "mend the address (--registry)",
    ),
    Outcome.ERROR: ("the registry {host} answers with an error ({detail})", "look at the registry's log"),
    Outcome.REFUSED: (
        "the registry {host} refuses the connection",
        "start the registry, or mend its address (--registry)",
    ),
    Outcome.NAME: (
        "the name {host} cannot be resolved",
        "mend the registry's name (--registry) or the network",
    ),
    Outcome.TLS: (
        "the certificate of {host} is not trusted ({detail})",
        "give the CA's certificate: ca_bundle of the site file, and /etc/docker/certs.d/{host}/ca.crt for the engine",
    ),
    Outcome.TIMEOUT: (
        "the registry {host} does not answer in time",
        "mend the network or the proxy settings",
    ),
    Outcome.UNREACHABLE: (
        "the registry {host} cannot be reached ({detail})",
        "mend the network or the address",
    ),
}


def check(subject: Subject, _engine: Engine) -> Iterator[Finding]:
    """Ask ``/v2/``; a login that is asked for is a warning, since docker may have stored one."""
    if subject.registry is None:
        return
    host = parse_registry(subject.registry).partition("/")[0]
    answer = Registry(host, ca_bundle=subject.ca_bundle).probe()
    if answer.outcome is Outcome.ANSWERS:
        yield ok(NAME, f"the registry {host} answers")
    elif answer.outcome is Outcome.LOGIN:
        yield warning(NAME, f"the registry {host} asks for a login", f"docker login {host}")
    else:
        message, remedy = TEXTS[answer.outcome]
        values = {"host": host, "detail": answer.detail}
        yield error(NAME, message.format(**values), remedy.format(**values))
