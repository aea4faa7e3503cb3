"""The image store: verified images, each in its own repository under a tag of all that it was made from.

What a bake makes is a function of its inputs. An image that is there under their hash, with the report of its
verification and the signature that this place asks for, needs no bake. The tag can be moved by whoever may push: a
signature holds good for one key.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bake.errors import Interrupted, UpliftError
from bake.reference import parse_reference
from bake.registry import Outcome, Pushed, failure_of
from bake.registry.answer import Answer
from bake.registry.referrers import Artifact, attach, attached
from generator.compression import FORM
from generator.job.reuse import KEY_DIGITS
from generator.plan.keys import Key
from generator.plan.names import IMAGE, VERIFY
from generator.plan.specs import verify_json
from generator.resolve.caches import KEY
from generator.reuse.store import IMAGES, RegistryStore
from generator.trust.attached import find
from generator.trust.statement import VERIFICATION
from generator.verification.report import VerificationReport, as_json, held_against, parse_report

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bake.reference import Reference
    from bake.registry import Registry
    from generator.job import Job, Preflight
    from generator.recipe import Recipe
    from generator.resolve.facts import Facts
    from generator.trust import Trust

REPORT = "application/vnd.image-uplift.verification.v1+json"


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A verified image of the store, by digest, with the report of its verification."""

    image: Reference
    tag: str
    report: VerificationReport


def tag_of(keys: Mapping[str, Key], facts: Facts, found: Preflight) -> str:
    """Give the tag of what a bake makes: a hash of the keys of image and verification, and of what no step reads.

    The labels that tell source and revision of the recipe are no part of it: they tell of the bake that made the image.
    Where something is signed, recipe and lock are, to the letter: the provenance names them so.
    """
    inputs = {
        **(facts.documents if facts.signer or facts.trust else {}),
        **{f"target {name}": keys[name].digest for name in (IMAGE, VERIFY)},
        "form": FORM,
        "version": facts.variables()["IMAGE_VERSION"],
        "time": os.environ.get("SOURCE_DATE_EPOCH") or found.inherited.created,
    }
    return f"{KEY}{Key(target=IMAGE, inputs=inputs).digest[:KEY_DIGITS]}"


def look_up(recipe: Recipe, facts: Facts, registry: Registry, tag: str, *, platform: str) -> Stored | str:
    """Look for a verified image; gives it, or why there is none that counts, "" where there is none.

    Args:
        platform: what it has to be for, such as ``linux/amd64``.

    Raises:
        Interrupted: Ctrl-C; whatever else goes wrong is told.
    """
    trust = _trust(facts)
    if facts.signer and not trust:  # nobody can tell what it signed itself, without a key
        return ""
    try:
        found = _store(facts, registry, trust).look_up(tag)
        if not found.reference:
            return found.refused or found.trouble
        image = dataclasses.replace(parse_reference(found.reference), tag=None)
        if why := _lacks(registry, image, platform):
            return why
        report = _report(recipe, facts, registry, image, trust)
    except Interrupted:
        raise
    except UpliftError as failure:
        return failure.message
    if report is None:
        return "no report of its verification is with it that passed"
    return Stored(image=image, tag=tag, report=report)


def _lacks(registry: Registry, image: Reference, platform: str) -> str:
    """Say what is wrong with an image of the store; "" where it is for this platform, and whole."""
    made_for = registry.image_config(image, platform) or {}
    if [made_for.get("os"), made_for.get("architecture")] != platform.split("/")[:2]:
        return f"it is not for {platform}"
    whole = registry.pushed(image)
    return "" if isinstance(whole, Pushed) and whole.complete else "not all of it is there"


def keep(job: Job, registry: Registry, image: Reference, tag: str) -> str:
    """Keep a verified image under a tag, with its report; gives what went wrong, "" where nothing did.

    Nothing is kept that nobody would take, that was made of inputs that can't be told for certain, or in the bake of a
    branch, whose steps the main branch does not take either.

    Raises:
        EnvironmentUnfit: the registry can't be asked. Interrupted: Ctrl-C.
    """
    facts, caches = job.facts, job.preflight.caches
    if caches.readonly or caches.branch or not job.preflight.certain or (facts.trust and facts.signer is None):
        return ""
    if job.report is None:
        return "it was not verified"
    if registry.digest_of(dataclasses.replace(image, digest=None, tag=tag)) != image.digest:
        said = as_json(dataclasses.replace(job.report, image=str(image.digest)))
        answer = attach(registry, image, (Artifact(kind=REPORT, content=said.encode()),))
        if answer.outcome is Outcome.ANSWERS:
            answer = registry.tag(image, tag)
        if answer.outcome is not Outcome.ANSWERS:
            return failure_of(answer, registry.host).message
    return _store(facts, registry, _trust(facts)).sign(tag, str(image.digest))


def _trust(facts: Facts) -> Trust:
    """Whose signatures count: who signs with a key takes what that key signed, and what others signed is made anew."""
    return (facts.signer.own if facts.signer else None) or facts.trust


def _store(facts: Facts, registry: Registry, trust: Trust) -> RegistryStore:
    """Give the repository of the image as a store."""
    repository = dataclasses.replace(parse_reference(facts.image), tag=None)
    return RegistryStore(repository=str(repository), registry=registry, kind=IMAGES, trust=trust, signer=facts.signer)


def _report(
    recipe: Recipe, facts: Facts, registry: Registry, image: Reference, trust: Trust
) -> VerificationReport | None:
    """Give a report that passed what the recipe asks for now; one that somebody trusted signed, where that counts."""
    wanted = json.loads(verify_json(recipe))
    for text in _reports(recipe, registry, image, trust):
        try:
            report = held_against(parse_report(text, image=facts.image), wanted)
        except ValueError:
            continue
        if report.passed and report.recipe == recipe.name:
            return report
    return None


def _reports(recipe: Recipe, registry: Registry, image: Reference, trust: Trust) -> Iterator[str | bytes]:
    if trust:
        found = find(registry, image, trust, name=f"image/{recipe.name}", kind=VERIFICATION)
        yield from (json.dumps(entry.predicate) for entry in found.verified)
        return
    artifacts = attached(registry, image, REPORT)
    if isinstance(artifacts, Answer):
        raise failure_of(artifacts, registry.host, doing=f"the report of {image}")
    yield from (artifact.content for artifact in artifacts)
