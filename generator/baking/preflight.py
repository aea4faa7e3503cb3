"""What a bake needs of the place: engine, buildx, the base image, disk, registry; checked before it starts."""

from __future__ import annotations

import dataclasses
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bake import doctor
from bake.ahead import Ahead
from bake.buildx import builders, results
from bake.buildx.client import load_clients
from bake.doctor.engine_registry import calls_insecure
from bake.engine.facts import image_facts, require_buildx
from bake.errors import EnvironmentUnfit, UsageError
from bake.reference import parse_reference
from bake.registry import Outcome, Registry
from generator.baking.assets import assets_at_hand
from generator.baking.base_image import configuration, inherited, require_python
from generator.baking.delivery import Destination
from generator.job import Preflight
from generator.plan import disk
from generator.plan.names import TOOLCHAIN
from generator.plan.specs import asset_variable
from generator.resolve.assets import requests_here
from generator.reuse import registry_cache

if TYPE_CHECKING:
    from bake.buildx.builder_facts import BuilderFacts
    from bake.doctor import Engine, Subject
    from generator.console.reporter import Reporter
    from generator.job import Rendered
    from generator.recipe import Recipe
    from generator.resolve.facts import Facts

GIB, MIB = 2**30, 2**20


@dataclass(frozen=True, kw_only=True)
class BuildxProbe:
    """What docker's command line is asked, which takes its time: the builder, None where that failed; its version.

    The check of the builder says why it failed, with all else that is wrong.
    """

    builder: Ahead[BuilderFacts | None]
    buildx: Ahead[str]


def ask(facts: Facts) -> BuildxProbe:
    """Begin to ask about buildx; the answers come while the recipe is planned and rendered."""

    def builder() -> BuilderFacts | None:
        try:
            return builders.look_up(facts.builder)
        except EnvironmentUnfit:
            return None

    return BuildxProbe(builder=Ahead(builder), buildx=Ahead(require_buildx))


def preflight(
    reporter: Reporter,
    recipe: Recipe,
    facts: Facts,
    probe: BuildxProbe,
    rendered: Rendered,
    *,
    destination: Destination,
    targets: tuple[str, ...] = (),
) -> Preflight:
    """Check the surroundings before anything starts, and find out what only they can tell; all mistakes at once.

    The engine's own builder takes the base from the engine; any other one gets it from its registry, which is asked
    for the digest. A folder whose last bake was done needs no more room: its steps are cached.

    Args:
        probe: what ``ask`` began. destination: where the image goes. targets: what is baked; none: everything.

    Raises:
        EnvironmentUnfit: what is missing, and how to mend it. UsageError: no wheels for the base's Python, or an image
            that brings steps of its own along.
    """
    cache = registry_cache.ask(facts)
    assets = assets_at_hand(reporter, recipe, facts, _needed_assets(recipe, rendered, targets))
    load_clients()  # while buildx is still answering
    builder = probe.builder.answer()
    built_for(builder, facts)
    room = disk.needed_gib(rendered.graph, facts.disk_gib, targets)
    subject = subject_of(recipe, facts, builder, probe, room_gib=room, pushes=destination is Destination.REGISTRY)
    with closing(doctor.Engine(subject)) as engine:
        base = at_hand(facts.base, facts.base_mirror, builder, engine)
        fetcher = at_hand(facts.fetcher, facts.fetcher_mirror, builder, engine)
        subject = dataclasses.replace(subject, base=base, fetcher=fetcher)
        _require_fit(reporter, subject, engine, rendered, destination)
        found = inputs_found(recipe, facts, rendered, builder, engine)
        for image in filter(None, (found.fetcher, found.toolkit)):
            configuration(image, builder, facts, engine)
        require_python(recipe, found.base, builder, engine)
        if not found.inherited.known:
            reporter.warning(
                f"nobody tells which user {found.base} ends as, and which driver it requires: the image ends as root"
            )
        return dataclasses.replace(
            found,
            assets=assets,
            caches=registry_cache.reachable(facts.caches, cache, warn=reporter.warning),
        )


def inputs_found(
    recipe: Recipe, facts: Facts, rendered: Rendered, builder: BuilderFacts | None, engine: Engine
) -> Preflight:
    """Find out which images a bake starts from, and what the base brings along; all of the rest is left as it is.

    Raises:
        EnvironmentUnfit: the engine or a registry does not tell. UsageError: a base with steps of its own.
    """
    images = [(facts.base, facts.base_mirror), (facts.fetcher, facts.fetcher_mirror)]
    base, fetcher = (pinned(at_hand(*image, builder, engine), builder, facts, engine) for image in images)
    toolkit = _toolkit_image(recipe, facts, rendered)
    if toolkit is not None:
        with suppress(EnvironmentUnfit):  # where all wheels are there, nobody needs it
            toolkit = pinned(toolkit, builder, facts, engine)
    told = builder is not None and bool(builder.platform)
    return Preflight(
        base=base,
        fetcher=fetcher,
        toolkit=toolkit,
        platform=built_for(builder, facts),
        certain=told and all("@" in image for image in (base, fetcher, toolkit) if image),
        own_builder=is_own(builder),
        context=builder.context if builder else None,
        insecure=bool(facts.registry) and calls_insecure(engine, parse_reference(facts.image).registry),
        inherited=inherited(base, builder, facts, engine),
    )


def _toolkit_image(recipe: Recipe, facts: Facts, rendered: Rendered) -> str | None:
    if recipe.toolkit is None or TOOLCHAIN not in rendered.graph.names:
        return None
    return facts.toolkit_image or recipe.toolkit.devel_image


def _needed_assets(recipe: Recipe, rendered: Rendered, targets: tuple[str, ...]) -> list[str]:
    graph = rendered.graph
    needed = {name for target in targets or disk.EVERYTHING for name in (target, *graph.ancestors(target))}
    variables = {variable for name in needed for variable in graph[name].assets.values()}
    return [name for name in recipe.assets if asset_variable(name) in variables]


def _require_fit(
    reporter: Reporter, subject: Subject, engine: Engine, rendered: Rendered, destination: Destination
) -> None:
    builder = subject.known_builder
    # BuildKit on another machine needs no engine here, unless the image is to come here.
    remote = builder is not None and builder.driver in ("remote", "kubernetes")
    away = remote and destination is not Destination.ENGINE
    skipped = {
        doctor.engine.NAME: away,
        doctor.disk.NAME: away or _baked_before(rendered),
        doctor.registry.NAME: not subject.pushes,
        doctor.layers.NAME: not subject.pushes,
        # A bake needs no GPU, and says itself which asset or mirror it misses.
        **dict.fromkeys((doctor.driver.NAME, doctor.gpu_access.NAME, doctor.assets.NAME, doctor.mirrors.NAME), True),
    }
    only = frozenset(name for name, _ in doctor.CHECKS if not skipped.get(name))
    for finding in doctor.require_fit(subject, only=only, engine=engine):
        if finding.check == doctor.layers.NAME:
            reporter.warning(f"{finding.message}; {finding.remediation}")


def built_for(builder: BuilderFacts | None, facts: Facts) -> str:
    """Give the platform that is built for.

    Raises:
        EnvironmentUnfit: the lock's files are for another one.
    """
    platform = (builder.platform if builder else "") or facts.platform
    if facts.files and platform != facts.platform:
        raise EnvironmentUnfit(
            f"the files of the lock are for {facts.platform}, and this builder builds for {platform}",
            where=builder.name if builder else None,
            remedy="run `lock --upgrade` with this builder, or give another --lock or --builder",
        )
    return platform


def is_own(builder: BuilderFacts | None) -> bool:
    """Tell whether the engine's own BuildKit builds; where nobody told, the checks say so."""
    return builder is None or builder.own


def pinned(image: str, builder: BuilderFacts | None, facts: Facts, engine: Engine) -> str:
    """Give an image with the digest that the builder will get; as it is where nobody tells one.

    Args:
        engine: the engine that builds, which is asked where its own BuildKit is the builder.

    Raises:
        EnvironmentUnfit: a builder elsewhere is to use it, and no registry gives it.
    """
    if "@" in image:
        return image
    own = is_own(builder)
    if own:
        found = image_facts(engine.client, image)
        if found is not None:
            return image if found.digest is None else f"{image}@{found.digest}"
    reference = parse_reference(image)
    answer = Registry(reference.registry, ca_bundle=facts.ca_bundle, keyring=facts.keyring).manifest(reference)
    digest = answer.headers.get("docker-content-digest") if answer.outcome is Outcome.ANSWERS else None
    digest = digest or (None if own else builders.manifest_digest(image))
    if digest is None and builder is not None and not own:
        raise EnvironmentUnfit(
            f"the builder {builder.name} ({builder.driver}) gets images from registries, and "
            f"{reference.registry} does not give {image} ({answer.detail or answer.outcome.value})",
            remedy=f"push it there, or log in: docker login {reference.registry}",
        )
    return f"{image}@{digest}" if digest else image


def pinned_for(facts: Facts, image: str) -> str:
    """Give another image than the base with the digest that the builder will get; raises as ``pinned`` does."""
    builder = ask(facts).builder.answer()
    with closing(doctor.Engine(doctor.Subject(builder=facts.builder, known_builder=builder))) as engine:
        return pinned(image, builder, facts, engine)


def at_hand(image: str, moved: str | None, builder: BuilderFacts | None, engine: Engine) -> str:
    """Give an image by its name here: in the mirror of its registry, unless the engine that builds holds it."""
    return image if moved is None or (is_own(builder) and _held(image, engine)) else moved


def _held(image: str, engine: Engine) -> bool:
    """Tell whether the engine has an image; then no mirror is asked for it."""
    try:
        return image_facts(engine.client, image) is not None
    except EnvironmentUnfit:  # the checks say so, with all else that is wrong
        return True


def subject_of(
    recipe: Recipe,
    facts: Facts,
    builder: BuilderFacts | None,
    probe: BuildxProbe,
    *,
    room_gib: float,
    pushes: bool = False,
) -> Subject:
    """Say what the checks of the doctor are about.

    Args:
        builder: as it answered. room_gib: disk that the bake takes. pushes: the image goes to a registry.
    """
    return doctor.Subject(
        base=facts.base,
        base_remedy=f"run `{recipe.base.remedy}`" if recipe.base.remedy else "",
        registry=parse_reference(facts.image).registry if facts.registry else None,
        image=facts.image if facts.registry else None,
        pushes=pushes,
        keyring=facts.keyring,
        builder=facts.builder,
        known_builder=builder,
        ask_buildx=probe.buildx.answer,
        layer_limit=(facts.layer_limit_mib or 0) * MIB,
        disk=int(room_gib * GIB),
        ca_bundle=facts.ca_bundle,
        cuda=recipe.stack.cuda,
        netrc=facts.netrc,
        assets=requests_here(recipe, facts),
        assets_folder=facts.assets_folder,
        mirrors=tuple(dict.fromkeys(to for to in facts.mirrors.values() if "://" in to)),
    )


def _baked_before(rendered: Rendered) -> bool:
    """Tell whether the last bake of this folder was done: then its steps are cached and take no more room."""
    try:
        data = results.load(rendered.folder).data
        return bool(data.get("state") == "done" and "stored" not in data)
    except UsageError:
        return False
