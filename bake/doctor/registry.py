"""Asks the registry that the result goes to: does it answer, does it take our login, may we write, can the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bake.doctor import engine_registry
from bake.doctor.finding import Engine, Finding, Subject, error, ok, warning
from bake.errors import UpliftError
from bake.reference import parse_reference, parse_registry
from bake.registry import TEXTS, Answer, Outcome, Registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bake.credentials import Login

NAME = "registry"
_MAY_NOT = (
    "{who} may not write {name} at {host} ({detail})",
    "ask for the right to push there, log in as another user, or mend --registry",
)
_NAME = (
    "the registry {host} refuses the name {name} ({detail})",
    "mend --registry and --tag; some registries want HOST/PROJECT/NAME",
)
# What a registry means when it lets no upload begin, by status; 0: any other.
_NO_WRITING: dict[int, tuple[str, str]] = {
    0: ("{name} at {host} cannot be written ({detail})", "look at the registry's log, or try again later"),
    400: _NAME,
    401: _MAY_NOT,
    403: _MAY_NOT,
    404: (
        "the registry {host} has no place for {name} ({detail})",
        "make that project or repository in the registry, or mend --registry and --tag",
    ),
    405: (
        "the registry {host} is read only ({detail})",
        "a mirror cannot be pushed to: name the registry behind it (--registry)",
    ),
    422: _NAME,
}


def check(subject: Subject, engine: Engine) -> Iterator[Finding]:
    """Ask ``/v2/``, then whether the repository may be written, then the engine about the same."""
    if subject.registry is None:
        return
    host = parse_registry(subject.registry).partition("/")[0]
    insecure = engine_registry.calls_insecure(engine, host)
    registry = Registry(host, ca_bundle=subject.ca_bundle, keyring=subject.keyring, insecure=insecure or None)
    answer = registry.probe()
    login = subject.keyring.login_for(host)
    if answer.outcome is Outcome.TLS:
        yield error(NAME, *_untrusted(answer, host, subject, engine))
        return
    if answer.outcome is Outcome.LOGIN:
        yield _login_wanted(answer, host, login, pushes=subject.pushes)
        return
    if answer.outcome is not Outcome.ANSWERS:
        message, remedy = TEXTS[answer.outcome]
        values = {"host": host, "detail": answer.detail}
        yield error(NAME, message.format(**values), remedy.format(**values))
        return
    if subject.image is None:
        yield ok(NAME, f"the registry {host} answers")
        return
    yield _write_permission(registry, subject.image, login, pushes=subject.pushes)
    yield from engine_registry.check(subject, engine, host)


def _login_wanted(answer: Answer, host: str, login: Login | None, *, pushes: bool) -> Finding:
    """401: there is no login, which is only known to be wrong when something is pushed; or ours is not taken."""
    if login is None:
        say = error if pushes else warning
        message, remedy = TEXTS[Outcome.LOGIN]
        return say(NAME, message.format(host=host, detail=answer.detail), remedy.format(host=host))
    remedy = "check user name and token (has it expired?)" if login.given else f"docker login {host}"
    return error(NAME, f"the registry {host} refuses the login of {login.shown} ({answer.detail})", remedy)


def _write_permission(registry: Registry, image: str, login: Login | None, *, pushes: bool) -> Finding:
    """Start an upload and cancel it, and say what a refusal means."""
    repository = parse_reference(image).repository
    answer = registry.may_push(repository)
    host, who = registry.host, login.shown if login else "nobody (there is no login)"
    if answer.outcome is Outcome.ANSWERS:
        return ok(NAME, f"the registry {host} answers, and {repository} may be written")
    if answer.outcome is Outcome.LOGIN and login is None:
        return _login_wanted(answer, host, login, pushes=pushes)
    if answer.status == 429 or answer.status >= 500:  # noqa: PLR2004 - Too Many Requests, and a server's own errors
        message = f"the registry {host} answers with an error just now ({answer.detail})"
        return warning(NAME, message, "a push tries again; if it stays so, look at the registry's log")
    message, remedy = _NO_WRITING.get(answer.status, _NO_WRITING[0])
    values = {"host": host, "name": repository, "detail": answer.detail or answer.outcome.value, "who": who}
    return error(NAME, message.format(**values), remedy)


def _untrusted(answer: Answer, host: str, subject: Subject, engine: Engine) -> tuple[str, str]:
    """Say of a certificate why it is not trusted, and what to do here and for the engine."""
    if "WRONG_VERSION_NUMBER" in answer.detail or "wrong version number" in answer.detail:
        remedy = 'give it a certificate, or name it under "insecure-registries" in the engine\'s settings (daemon.json)'
        return f"{host} does not speak TLS ({answer.detail})", remedy
    message, remedy = TEXTS[Outcome.TLS]
    message = message.format(host=host, detail=answer.detail)
    if subject.ca_bundle is not None:
        return f"{message}; {subject.ca_bundle} does not have its CA", "give the file of the CA that signed it"
    try:
        install = engine_registry.install(host, "CA.pem", engine)
    except UpliftError:
        return message, remedy
    return message, f"{remedy}, and install it for the engine: {install}"
