"""Publishes a verified image: layers first, the tag of its content next, and the tags that people use last.

buildx refuses to push by digest with the engine's own BuildKit ("push-by-digest is currently not implemented for docker
driver"), so the image is first exported to nowhere, beside its verification: that compresses its layers and gives the
digest. Then BuildKit pushes it, layers before manifest, under the tag that this digest gives. That name is nobody's
yet: whatever breaks, the tags in use still name the image from before. Signed statements are attached to it, where
something signs. Tags move at the end, by a copy of the manifest.
"""

from __future__ import annotations

import dataclasses
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bake.errors import EnvironmentUnfit, Interrupted, UpliftError
from bake.progress.events import State
from bake.reference import parse_reference
from bake.registry import Pushed, Registry, failure_of
from bake.registry import troubles as trouble
from bake.registry.answer import Outcome
from bake.registry.layer_sizes import MIB, layers_in, listed, too_large
from bake.registry.referrers import attach
from bake.retry import Trouble, retried
from generator.baking import tags
from generator.baking.digests import digest_in, held_to
from generator.baking.statements import statements_of
from generator.compression import FORM
from generator.job import run
from generator.plan.names import IMAGE
from generator.reuse import image_store
from generator.trust.attached import signed

if TYPE_CHECKING:
    from bake.buildx.driver import BakeOutcome
    from bake.reference import Reference
    from bake.retry import Try
    from generator.job import Job

_QUERY = re.compile(r"\?_state=[^\s\"]*?(?=[\s\"]|: \d{3}\b)")  # an upload's state is of no use to anyone who reads
_AT_ONCE = 8  # mounts that are asked for at the same time
_TIMEOUT = 30.0  # seconds; a manifest is small, and registries on object stores are slow to write


def publish(job: Job, built: BakeOutcome) -> tuple[BakeOutcome, tags.Publication]:
    """Push the image that was built and verified.

    Args:
        built: the bake, which exported the image without a name.

    Returns:
        how it went (it may have failed), and what is in the registry now.

    Raises:
        BuildFailed: nobody told the digest of what was verified.
    """
    target = parse_reference(job.facts.image)
    repository = tags.repository_of(job.facts.image)
    digest = digest_in(built.metadata)
    if not digest:
        held_to(built, built).raise_for_failure()
    named = tags.content_tag(target.tag or "latest", digest)
    registry = _registry(job, target)
    output = f"type=image,name={repository}:{named},push=true,store=false,{FORM}"

    def say(text: str) -> None:
        job.reporter.note(f"push: {text}; what arrived there is not sent again")

    tries: tuple[Try, ...] = ()
    if _is_whole(registry, dataclasses.replace(target, tag=named), digest):
        exported = dataclasses.replace(built, steps=(), started=built.completed)
    else:
        _mount_base(job, registry, target)
        exported, tries = retried(
            lambda: run(job, (IMAGE,), overrides={f"{IMAGE}.output": output, f"{IMAGE}.tags": ""}),
            lambda outcome: _trouble(outcome, registry),
            job.facts.pushing,
            say,
        )
    done = tags.Publication(repository=repository, digest=digest, tags=(f"{repository}:{named}",), tries=tries)
    if exported.failure is not None:
        told = _told(exported.failure, _trouble(exported, None), tries)
        return dataclasses.replace(exported, failure=told), dataclasses.replace(done, tags=())
    pushed = dataclasses.replace(target, digest=digest_in(exported.metadata))
    if (held := held_to(built, exported)).failure is not None:
        registry.untag(dataclasses.replace(target, tag=named))  # where it can't: the next push writes it anew
        return held, dataclasses.replace(done, tags=())
    _warn_of_large_layers(job, registry, pushed)
    failure, done = _attach(job, registry, pushed, done)
    if failure is None:
        _keep(job, registry, pushed)
        failure, done = tags.name(job.facts, registry, pushed, done, job.reporter.note)
    if failure is not None:
        exported = dataclasses.replace(exported, state=State.FAILED, failure=failure)
    return exported, done


def _attach(
    job: Job, registry: Registry, image: Reference, done: tags.Publication
) -> tuple[UpliftError | None, tags.Publication]:
    """Attach a signature and the signed statements; gives what went wrong, and what was done."""
    if job.facts.signer is None:
        return None, done
    try:
        said = statements_of(job, str(image.digest))
        artifacts = signed(registry, image, said, job.facts.signer, job.facts.trust)
        answer, tries = retried(
            lambda: attach(registry, image, artifacts),
            trouble.of_answer,
            job.facts.pushing,
            lambda text: job.reporter.note(f"statements: {text}"),
        )
        if answer.outcome is not Outcome.ANSWERS:
            raise failure_of(answer, registry.host)
    except UpliftError as failure:
        told = type(failure)(
            f"the image is pushed, and its signed statements are not attached: {failure.message}",
            where=f"{image.registry}/{image.repository}@{image.digest}",
            remedy=f"{failure.remedy or 'see above'}; no tag in use has moved, and the same command again goes on",
        )
        return told, done
    told_tries = tries if len(tries) > 1 else ()
    return None, dataclasses.replace(done, statements=tuple(said), tries=(*done.tries, *told_tries))


def _keep(job: Job, registry: Registry, image: Reference) -> None:
    """Keep the image in the image store; that it can't be is no failure of the push."""
    tag = image_store.tag_of(job.reuse.keys, job.facts, job.preflight)
    try:
        why = image_store.keep(job, registry, image, tag)
    except Interrupted:
        raise
    except UpliftError as failure:
        why = failure.message
    if why:
        job.reporter.warning(f"the image is not in the image store, so a bake of the same makes it again: {why}")


def _is_whole(registry: Registry, image: Reference, digest: str) -> bool:
    """Tell whether the registry has just this image, with every blob: then nothing is left to push."""
    try:
        found = registry.pushed(image)
    except UpliftError:
        return False
    return isinstance(found, Pushed) and found.complete and found.digest == digest != ""


def _mount_base(job: Job, registry: Registry, target: Reference) -> None:
    """Let the repository have the base's layers where its registry has the base in another one.

    BuildKit does so for layers that its store remembers to be from there. It does not know where an image comes from
    that was loaded from a file, nor one on the classic store; and containerd keeps no more than 4 KB of origins for a
    layer, by host without port (core/remotes/docker/handler.go): a layer that many images share has no room for one
    more. What can't be mounted BuildKit sends.
    """
    base = parse_reference(job.preflight.base)
    if base.registry != target.registry or base.repository == target.repository:
        return
    layers = layers_in(registry, base) or {}
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        list(pool.map(lambda digest: registry.mount(target.repository, digest, base.repository), layers))


def _warn_of_large_layers(job: Job, registry: Registry, image: Reference) -> None:
    """Hold the pushed manifest against the limit: a registry that took a layer may have a proxy that does not."""
    if job.facts.layer_limit_mib is None:
        return
    large = too_large(layers_in(registry, image) or {}, job.facts.layer_limit_mib * MIB)
    if large:
        job.reporter.warning(f"layers of more than {job.facts.layer_limit_mib} MiB are in the image: {listed(large)}")


def _registry(job: Job, target: Reference) -> Registry:
    return Registry(
        target.registry,
        ca_bundle=job.facts.ca_bundle,
        keyring=job.facts.keyring,
        timeout=_TIMEOUT,
        insecure=job.preflight.insecure or None,
    )


def _trouble(outcome: BakeOutcome, registry: Registry | None) -> Trouble | None:
    """Judge a push; a registry that limits requests is asked how long it wants to be left alone."""
    if outcome.failure is None:
        return None
    if isinstance(outcome.failure, Interrupted):
        return Trouble(reason="interrupted", passing=False)
    found = trouble.of_text("\n".join(step.error for step in outcome.failed) or str(outcome.failure))
    if registry is not None and found.reason.startswith("the registry limits"):
        return dataclasses.replace(found, after=trouble.retry_after(registry.probe().headers))
    return found


def _told(failure: UpliftError, trouble: Trouble | None, tries: tuple[Try, ...]) -> UpliftError:
    """Tell a failed push: how often it was tried, and that no tag in use has moved."""
    if isinstance(failure, Interrupted):
        return failure
    times = f"the push failed {len(tries)} times, the last time: " if len(tries) > 1 else "the push failed: "
    said = _QUERY.sub("", failure.message)
    kept = "no tag in use has moved; the same command again sends only what is missing"
    if trouble is None or not trouble.passing:
        return type(failure)(f"{times}{said}", where=failure.where, remedy=f"{failure.remedy} ({kept})")
    # A known cause begins with its meaning; of an unknown one only the text of the error is worth telling.
    text = said if isinstance(failure, EnvironmentUnfit) else f"{trouble.reason}\n  error: {said}"
    remedy = f"look at the registry's log and the network between; {kept}"
    return EnvironmentUnfit(f"{times}{text}", where=failure.where, remedy=remedy)
