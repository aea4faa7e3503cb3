"""Delivers an image of the image store in place of a bake: nothing is built, and nothing is moved that is there."""

from __future__ import annotations

import dataclasses
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

from bake import doctor
from bake.buildx.driver import BakeOutcome, BakeRequest, run_bake
from bake.engine.facts import look_up_image, name_image, remove_name
from bake.engine.pull import pull
from bake.errors import EnvironmentUnfit, Interrupted, UpliftError
from bake.progress.events import State, Step, StepKind
from bake.reference import parse_reference
from bake.registry import Registry
from generator.baking import tags
from generator.baking.preflight import inputs_found
from generator.baking.prepare import keys_for
from generator.baking.record import record, write_report
from generator.job import Job, Reuse, clear_verification
from generator.plan.names import IMAGE, VERIFY
from generator.reuse import image_store
from generator.verification.report import REPORT

if TYPE_CHECKING:
    from bake.buildx.builder_facts import BuilderFacts
    from generator.baking.preflight import BuildxProbe
    from generator.console.reporter import Reporter
    from generator.job import Preflight, Rendered
    from generator.recipe import Recipe
    from generator.resolve.facts import Facts
    from generator.reuse.image_store import Stored

_TIMEOUT, _TIMEOUT_OF_CHANGES = 5.0, 30.0  # seconds; as for wheels, and for a push


def deliver_stored(
    reporter: Reporter, recipe: Recipe, facts: Facts, probe: BuildxProbe, rendered: Rendered, *, push: bool
) -> bool:
    """Deliver the verified image of just these inputs, where the store has it; tells whether it did.

    With ``push`` the tags that were asked for move to it; otherwise the engine pulls it. Whatever stands in the way
    is no failure: the image is baked, and the checks before that say what is wrong, all of it. So it is where an image
    has no digest, or nobody tells what the builder builds for.

    Raises:
        EnvironmentUnfit: a tag could not be written, or the record. BuildFailed: the report. Interrupted: Ctrl-C.
    """
    started = time.time()
    try:
        found = _inputs(recipe, facts, rendered, probe.builder.answer())
    except Interrupted:
        raise
    except UpliftError:
        return False
    if not found.certain:
        return False
    keys = keys_for(facts, rendered, found)
    job = Job(
        reporter=reporter,
        recipe=recipe,
        facts=facts,
        rendered=rendered,
        preflight=found,
        reuse=Reuse(keys=keys),
        driver=run_bake,
    )
    tag = image_store.tag_of(keys, facts, found)
    stored = image_store.look_up(recipe, facts, _registry(job), tag, platform=found.platform)
    if isinstance(stored, str):
        if stored:
            reporter.warning(f"the image is baked, and not taken from the image store ({tag}): {stored}")
        return False
    if not push and not _on_engine(job, stored):
        return False
    clear_verification(rendered.folder)
    write_report(rendered.folder, stored.report)
    failure, more, place = None, {}, "on this engine"
    if push:
        failure, done = _name(job, stored)
        more, place = {"published": done.as_data()}, f"pushed as {_listed(done.tags)}"
    outcome = _outcome(job, stored, started, failure)
    path = record(job, outcome, more={**more, "stored": str(stored.image)})
    outcome.raise_for_failure()
    reporter.data(f"{facts.image}@{stored.image.digest}")
    reporter.note(
        f"{facts.image} was made and verified before of just these inputs, nothing is built; it is {place} "
        f"({outcome.seconds:.1f} s); checks in {rendered.folder / VERIFY / REPORT}, the record in {path}"
    )
    return True


def _inputs(recipe: Recipe, facts: Facts, rendered: Rendered, builder: BuilderFacts | None) -> Preflight:
    with closing(doctor.Engine(doctor.Subject(builder=facts.builder, known_builder=builder))) as engine:
        return inputs_found(recipe, facts, rendered, builder, engine)


def _registry(job: Job, timeout: float = _TIMEOUT) -> Registry:
    return Registry(
        parse_reference(job.facts.image).registry,
        ca_bundle=job.facts.ca_bundle,
        keyring=job.facts.keyring,
        timeout=timeout,
        insecure=job.preflight.insecure or None,
    )


def _name(job: Job, stored: Stored) -> tuple[EnvironmentUnfit | None, tags.Publication]:
    """Move the tags; the one of the content is there, unless the first bake had other names."""
    facts, digest, registry = job.facts, str(stored.image.digest), _registry(job, _TIMEOUT_OF_CHANGES)
    repository = tags.repository_of(facts.image)
    named = tags.content_tag(parse_reference(facts.image).tag or "latest", digest)
    done = tags.Publication(repository=repository, digest=digest, tags=(), tries=())
    failure, tries = tags.move(facts, registry, stored.image, named, job.reporter.note)
    if failure is not None:
        return failure, dataclasses.replace(done, tries=tries)
    done = dataclasses.replace(done, tags=(f"{repository}:{named}",), tries=tries[1:])
    return tags.name(facts, registry, stored.image, done, job.reporter.note)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(name.rpartition(":")[2] for name in names)


def _on_engine(job: Job, stored: Stored) -> bool:
    """Have the engine pull the image and give it its names; where it can't, a warning says so, and False.

    It is pulled by the store's tag, which goes afterwards: a name with the digest would keep the image on the engine
    when all others are gone.
    """
    context = job.preflight.context
    name = str(dataclasses.replace(stored.image, digest=None, tag=stored.tag))
    shown = sys.stderr.isatty() and job.facts.progress in ("auto", "rich")
    job.reporter.note(f"pulling {stored.image}")
    try:
        pull(name, keyring=job.facts.keyring, context=context, quiet=not shown)
        found, meant = (look_up_image(image, context=context) for image in (name, str(stored.image)))
        same = found is not None and meant is not None and found.id == meant.id
        if same:
            name_image(name, job.facts.names, context=context)
        remove_name(name, context=context)
    except EnvironmentUnfit as failure:
        job.reporter.warning(f"the image is baked, and not taken from the image store: {failure.message}")
        return False
    if not same:
        job.reporter.warning("the image is baked, and not taken from the image store: its tag has moved meanwhile")
    return same


def _outcome(job: Job, stored: Stored, started: float, failure: EnvironmentUnfit | None) -> BakeOutcome:
    """Tell it as a bake of two targets whose results were there; with what went wrong when it was delivered."""
    steps = tuple(
        Step(
            digest=str(stored.image.digest),
            name=f"from the image store: {stored.tag}",
            target=target,
            owner=target,
            stage="",
            position=None,
            label=f"from the image store: {stored.tag}",
            kind=StepKind.INSTRUCTION,
            state=State.CACHED,
        )
        for target in (IMAGE, VERIFY)
    )
    names = {"containerimage.digest": stored.image.digest, "image.name": ",".join(job.facts.names)}
    return BakeOutcome(
        request=BakeRequest(file=job.rendered.file, targets=(VERIFY, IMAGE)),
        state=State.FAILED if failure else State.DONE,
        failure=failure,
        started=started,
        completed=time.time(),
        steps=steps,
        metadata={IMAGE: names},
    )
