"""What the engine sees of a registry: it has its own name server, its own trust and its own network.

The engine is asked to look the image up (Engine API, ``GET /distribution/{name}/json``): it then does what a push does
first. dockerd reads ``certs.d`` anew for each request, so that a CA installed there needs no restart
(https://docs.docker.com/engine/security/certificates/).
"""

from __future__ import annotations

import shlex
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from bake.doctor.finding import Engine, Finding, Subject, error, ok, warning
from bake.errors import UpliftError
from bake.failure.causes import Speaker, find_cause
from bake.reference import parse_reference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bake.credentials import Login

NAME = "registry"
_ANSWERED = (401, 403, 404)  # the engine got through; what these mean was found out before


def check(subject: Subject, engine: Engine, host: str) -> Iterator[Finding]:
    """Ask the engine for the image that will be pushed; a builder of its own has a trust of its own."""
    from docker.errors import APIError
    from requests import RequestException

    if subject.image is None or subject.builder is not None:
        return
    reference = parse_reference(subject.image)
    name = f"{reference.registry}/{reference.repository}:{reference.tag or 'latest'}"
    try:
        engine.client.api.inspect_distribution(name, auth_config=auth_of(subject.keyring.login_for(host), host))
    except APIError as failure:
        if failure.status_code not in _ANSWERED:
            yield _explained(str(failure.explanation), host, subject, engine)
            return
    except RequestException as failure:
        yield warning(
            NAME,
            f"the engine does not say in time whether it reaches {host} ({failure})",
            "look at the engine's network",
        )
        return
    yield ok(NAME, f"the engine reaches {host} and trusts its certificate")


def auth_of(login: Login | None, host: str) -> dict[str, str]:
    """Give a login as the Engine API takes it ("Authentication" of its reference); empty without one."""
    if login is None:
        return {}
    if login.is_identity_token:
        return {"identitytoken": login.secret, "serveraddress": host}
    return {"username": login.username, "password": login.secret, "serveraddress": host}


def _explained(text: str, host: str, subject: Subject, engine: Engine) -> Finding:
    if "x509: " in text:
        reason = text.partition("x509: ")[2]
        bundle = str(subject.ca_bundle) if subject.ca_bundle else "CA.pem"
        return error(
            NAME,
            f"the engine does not trust the certificate of {host} ({reason}): --ca-bundle is for this program and the "
            "build's steps, the engine has a store of its own",
            f"install the CA for the engine: {install(host, bundle, engine)}",
        )
    known = find_cause(text, speaker=Speaker.ENGINE)
    if "no basic auth credentials" in text or known is None:
        return warning(NAME, f"the engine could not look into {host} ({text})", "look at the engine's log")
    return error(NAME, f"seen by the engine, {known.message}", known.remedy)


def install(host: str, bundle: str, engine: Engine) -> str:
    """Give the commands that make the engine trust a CA for one registry; no restart is needed."""
    facts = engine.facts
    sudo, folder = (
        ("", f"~/.config/docker/certs.d/{host}") if facts.rootless else ("sudo ", f"/etc/docker/certs.d/{host}")
    )
    commands = f"{sudo}mkdir -p {folder} && {sudo}cp {shlex.quote(bundle)} {folder}/ca.crt"
    return commands if facts.host.startswith("unix://") else f"{commands} (on the engine's machine, {facts.host})"


def calls_insecure(engine: Engine, host: str) -> bool:
    """Tell whether the engine's settings name a registry as insecure; False where there is no engine to ask."""
    try:
        entries = engine.facts.insecure
    except UpliftError:
        return False
    name = host.rpartition(":")[0] or host
    try:
        address = ip_address(name.strip("[]"))
    except ValueError:
        return host in entries
    return host in entries or any(address in ip_network(entry, strict=False) for entry in entries if "/" in entry)
