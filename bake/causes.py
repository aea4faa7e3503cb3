"""The table of causes: BuildKit's and buildx's error texts that mean something other than a step that failed.

Each row is data: a pattern over the error text, the failure that it stands for, what to say and what to do. Named
groups of the pattern fill the message. The first match wins. tests/unit/bake/streams/errors holds recorded text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from generator.errors import BuildFailed, EnvironmentUnfit, UpliftError, UsageError


@dataclass(frozen=True, kw_only=True)
class Cause:
    """One known cause: ``name`` for tests, ``pattern`` over the error text, and what to tell."""

    name: str
    pattern: re.Pattern[str]
    message: str
    remedy: str
    failure: type[UpliftError] = EnvironmentUnfit


def _cause(name: str, pattern: str, message: str, remedy: str, failure: type[UpliftError] = EnvironmentUnfit) -> Cause:
    return Cause(name=name, pattern=re.compile(pattern), message=message, remedy=remedy, failure=failure)


_REQUEST = r'(?:Head|Get|Post|Put|Patch) "https?://(?P<host>[^/"]+)[^"]*": '
_ANSWER = r"unexpected status from \w+ request to https?://(?P<host>[^/\s]+)\S*: "

CAUSES: tuple[Cause, ...] = (
    _cause(
        "engine-absent",
        r"Cannot connect to the Docker daemon at (?P<host>\S+?)\.? Is the docker daemon running",
        "no Docker Engine answers at {host}",
        "start it (`make engine`, or systemctl start docker), or point DOCKER_HOST at one",
    ),
    _cause(
        "engine-denied",
        r"permission denied while trying to connect to the Docker daemon socket at (?P<host>\S+?):",
        "this user may not use the Docker Engine at {host}",
        "add the user to the group `docker` and log in again, or run as root",
    ),
    _cause(
        "engine-lost",
        r"error reading from server: EOF|code = Unavailable|transport is closing|docker\.sock: connect:",
        "the connection to the Docker Engine broke while it was building",
        "look at the engine's log (out of memory?), then run the same command again: finished steps are cached",
    ),
    _cause(
        "buildx-unfit",
        r"unknown command: docker buildx|is not a docker command|unknown (?:shorthand )?flag: |rawjson",
        "docker has no buildx, or one that is too old",
        "`python -m generator doctor` says which one is needed",
    ),
    _cause(
        "builder-absent",
        r'no builder "(?P<host>[^"]+)" found',
        "there is no buildx builder called {host}",
        "`docker buildx ls` lists the builders; give one with --builder",
    ),
    _cause(
        "disk-full",
        r"no space left on device|(?i:disk quota exceeded)",
        "the disk is full",
        "free space (`docker system df`, `docker buildx prune`), then run the same command again",
    ),
    _cause(
        "registry-refused",
        _REQUEST + r"dial tcp \S+: connect: connection refused",
        "the registry at {host} refuses the connection",
        "start the registry, or mend its address (--registry)",
    ),
    _cause(
        "registry-name",
        _REQUEST + r"dial tcp: lookup \S+.*: (?:no such host|server misbehaving|.*i/o timeout)",
        "the name of the registry {host} cannot be resolved, so what is asked of it cannot be had",
        "mend the name or the network; an image that should be local has to be built or imported first",
    ),
    _cause(
        "registry-timeout",
        _REQUEST + r".*(?:i/o timeout|TLS handshake timeout|Client\.Timeout|no route to host|unreachable)",
        "the registry at {host} does not answer",
        "mend the network or the proxy settings of the engine, then run the same command again",
    ),
    _cause(
        "registry-certificate",
        _REQUEST + r"tls: failed to verify certificate: (?P<why>x509: [^\n]+)",
        "the certificate of the registry {host} is not trusted ({why})",
        "put the CA's certificate into /etc/docker/certs.d/{host}/ca.crt on the engine's machine",
    ),
    _cause(
        "registry-plain-http",
        _REQUEST + r".*(?:first record does not look like a TLS handshake|HTTP response to HTTPS client)",
        "the registry at {host} does not speak TLS, or answers with an error in plain HTTP",
        "give the registry a certificate, or name it under insecure-registries in the engine's settings",
    ),
    _cause(
        "registry-login",
        _ANSWER + r"401 |(?P<image>\S+): pull access denied|no basic auth credentials|insufficient_scope"
        r"|failed to (?:authorize|fetch \w+ token)",
        "the registry asks for a login",
        "log in with `docker login REGISTRY`; for an image that should be local: it is not there",
    ),
    _cause(
        "registry-forbidden",
        _ANSWER + r"403 |denied: requested access to the resource is denied",
        "the registry forbids it: the account may not read or write there",
        "ask for the right on that repository, or choose another one (--registry)",
    ),
    _cause(
        "registry-error",
        _ANSWER + r"(?P<why>(?:429|5\d\d)[^\n]*)|(?i:toomanyrequests)",
        "the registry answered with an error of its own",
        "try again later, or look at the registry's log: finished steps are cached",
    ),
    _cause(
        "image-absent",
        r"(?:failed to resolve source metadata|load metadata) for (?P<host>\S+?): .*not found",
        "the image {host} does not exist, neither on the engine nor in its registry",
        "build or import it, or mend its name in the recipe",
    ),
    _cause(
        "secret-absent",
        r"failed to stat (?P<host>\S+): stat .*: no such file or directory",
        "the file {host}, which the build needs as a secret, is not there",
        "mend the path (CA bundle of the site), or leave it out",
    ),
    _cause(
        "target-unknown",
        r"failed to find target (?P<host>\S+)",
        "the bake file has no target called {host}",
        "`python -m generator plan` lists the targets",
        UsageError,
    ),
    _cause(
        "export-broken",
        r"error from receiver: context canceled",
        "the files of an output could not be written on this machine",
        "check the free space and the rights of the output folder",
    ),
    _cause(
        "bake-file-broken",
        r"ERROR: (?:failed to parse )?(?P<host>[^:\s]+(?:\.hcl:\d+)?)[,:][\d,-]*:? "
        r"(?P<why>[^\n]*(?:diagnostic|parsing)[^\n]*)",
        "the bake file {host} cannot be parsed: {why}",
        "render it again: python -m generator render",
        UsageError,
    ),
    _cause(
        "context-absent",
        r'unable to prepare context: path "(?P<host>[^"]+)" not found',
        "the folder {host}, a build context, is not there",
        "render again: python -m generator render",
        BuildFailed,
    ),
)


def find_cause(text: str) -> tuple[Cause, str, str] | None:
    """Find the cause that an error text names.

    Returns:
        the cause, the filled message and the filled remedy; None when the table knows nothing of it.

    """
    for cause in CAUSES:
        match = cause.pattern.search(text)
        if match is not None:
            groups = {key: value or "?" for key, value in match.groupdict().items()}
            return cause, cause.message.format(**groups), cause.remedy.format(**groups)
    return None
