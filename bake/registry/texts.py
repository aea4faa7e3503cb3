"""What to say of an answer that stands in the way, and what to do about it."""

from __future__ import annotations

from bake.errors import EnvironmentUnfit
from bake.registry.answer import Answer, Outcome

TEXTS: dict[Outcome, tuple[str, str]] = {
    Outcome.LOGIN: (
        "the registry {host} asks for a login ({detail})",
        "docker login {host}, or give --username with --password-stdin",
    ),
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
        "give the file of the CA that signed it with --ca-bundle (ca-bundle of the site file)",
    ),
    Outcome.TIMEOUT: (
        "the registry {host} does not answer in time ({detail})",
        "mend the network or the proxy settings",
    ),
    Outcome.UNREACHABLE: (
        "the registry {host} cannot be reached ({detail})",
        "mend the network or the address",
    ),
}


def failure_of(answer: Answer, host: str, *, doing: str = "") -> EnvironmentUnfit:
    """Make the failure that an answer stands for.

    Args:
        host: the registry. doing: what was asked of it, such as ``the tag x:1``.

    """
    message, remedy = TEXTS[answer.outcome if answer.outcome in TEXTS else Outcome.ERROR]
    if answer.outcome is Outcome.ABSENT:
        message, remedy = "the registry {host} does not have it ({detail})", "mend the name"
    values = {"host": host, "detail": answer.detail}
    return EnvironmentUnfit(message.format(**values), where=doing or None, remedy=remedy.format(**values))
