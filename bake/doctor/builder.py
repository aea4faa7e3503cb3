"""Looks at the buildx builder that bakes use: whether it exists, runs, is new enough and keeps what is dear."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bake.buildx.builder_facts import certificate_folder
from bake.buildx.builders import boot
from bake.doctor.finding import Engine, Finding, Say, Subject, error, ok, warning
from bake.engine.facts import version_of
from bake.reference import is_loopback, parse_reference
from bake.units import size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bake.buildx.builder_facts import BuilderFacts, NodeFacts

NAME = "builder"
# What rendered Dockerfiles need: see MINIMAL_ENGINE; the engine's own BuildKit has no version of its own to tell.
MINIMAL_BUILDKIT = (0, 12)
ENOUGH = 10 * 2**30  # bytes: CUDA's installer (5.4 GB), a compiler cache, and sources
_STARTED = ("docker-container", "kubernetes")  # drivers that start BuildKit by themselves
_GC_REMEDIES = {
    "docker": 'in the engine\'s daemon.json: {"builder": {"gc": {"enabled": true, "policy": [{"all": true, '
    '"reservedSpace": "30GB"}]}}} (before Engine 28: "keepStorage")',
    "remote": "[worker.oci] and [[worker.oci.gcpolicy]] in the buildkitd.toml of that BuildKit",
}
_GC_REMEDY = "make it again with [[worker.oci.gcpolicy]] in a buildkitd.toml: see docs/builders.md"


def check(subject: Subject, engine: Engine) -> Iterator[Finding]:
    """Ask buildx; a BuildKit that buildx starts by itself need not run yet."""
    facts = engine.builder
    down = [node for node in facts.nodes if not node.running]
    nodes = f"{len(facts.nodes)} node{'' if len(facts.nodes) == 1 else 's'}"
    if not down:
        platforms = dict.fromkeys(platform for node in facts.nodes for platform in node.platforms[:1])
        versions = dict.fromkeys(node.version for node in facts.nodes if version_of(node.version) > (0, 0, 0))
        texts = [f"{nodes} running", *(f"BuildKit {text}" for text in versions), ", ".join(platforms)]
        yield ok(NAME, f"the builder {facts.name}, driver {facts.driver}: {', '.join(filter(None, texts))}")
    elif facts.driver in _STARTED:
        yield ok(
            NAME,
            f"the builder {facts.name}, driver {facts.driver}: {len(down)} of {nodes} not started yet; bakes do that",
            partial(_boot, facts.name),
        )
    elif not facts.own:  # the engine's own: the check of the engine says it
        yield _unanswered(facts, down)
    yield from _versions(facts)
    yield from _kept(facts)
    yield from _loopback(subject, facts)
    yield from _authorities(subject, facts)


def _unanswered(facts: BuilderFacts, down: list[NodeFacts]) -> Finding:
    texts = ", ".join(f"{node.name} ({node.endpoint}){f': {node.error}' if node.error else ''}" for node in down)
    message = f"{len(down)} of {len(facts.nodes)} nodes of the builder {facts.name} do not answer: {texts}"
    remedy = "start buildkitd there, or make the builder again with another endpoint or certificates (docs/builders.md)"
    return (error if len(down) == len(facts.nodes) else warning)(NAME, message, remedy)


def _boot(name: str, say: Say) -> None:
    say(f"starting BuildKit of {name}")
    boot(name)


def _versions(facts: BuilderFacts) -> Iterator[Finding]:
    for node in facts.nodes:
        if (0, 0, 0) < version_of(node.version) < MINIMAL_BUILDKIT:
            needed = ".".join(map(str, MINIMAL_BUILDKIT))
            yield error(
                NAME,
                f"BuildKit {needed} or later is needed, {node.name} of {facts.name} has {node.version}",
                "update it; for a builder of buildx: docker buildx rm, then make it again",
            )


def _kept(facts: BuilderFacts) -> Iterator[Finding]:
    for node in facts.nodes:
        if node.kept is not None and node.kept < ENOUGH:
            yield warning(
                NAME,
                f"garbage collection on {node.name} leaves {size(node.kept)} to cache mounts and local files: the "
                f"compiler cache and a 5.4 GB installer do not outlive it",
                _GC_REMEDIES.get(facts.driver, _GC_REMEDY),
            )


def _authorities(subject: Subject, facts: BuilderFacts) -> Iterator[Finding]:
    """Say where a BuildKit in a container was not given the place's CAs: it does not see those of its machine."""
    if subject.ca_bundle is None or facts.driver not in _STARTED:
        return
    for host in _hosts(subject):
        if not is_loopback(host) and any(certificate_folder(host) not in node.certificates for node in facts.nodes):
            yield warning(
                NAME,
                f"the builder {facts.name} was made without a CA for {host}; it may not trust that registry",
                f'make it again with [registry."{host}"] ca = ["{subject.ca_bundle}"] in a buildkitd.toml: '
                "see docs/builders.md",
            )


def _hosts(subject: Subject) -> list[str]:
    base = parse_reference(subject.base).registry if subject.base else ""
    return sorted({base, (subject.registry or "").partition("/")[0]} - {""})


def _loopback(subject: Subject, facts: BuilderFacts) -> Iterator[Finding]:
    """Say that 127.0.0.1 is another machine to a builder elsewhere."""
    if not any(node.elsewhere for node in facts.nodes):
        return
    for host in _hosts(subject):
        if is_loopback(host):
            yield warning(
                NAME,
                f"{host} is not this machine's registry to the builder {facts.name}, but its own machine's",
                "give the registry by a name that both can reach, or a docker-container the network of the host: "
                "docker buildx create --driver-opt network=host",
            )
