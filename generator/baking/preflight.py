"""What a bake needs of the place: engine, buildx, the base image, disk, registry; checked before it starts."""

from __future__ import annotations

import dataclasses
import json
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bake.errors import EnvironmentUnfit
from generator.baking.base_image import Inherited, inherited, require_python

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bake.ahead import Ahead
    from bake.buildx.builder_facts import BuilderFacts
    from bake.doctor import Engine, Subject
    from generator.console.reporter import Reporter
    from generator.recipe import Recipe
    from generator.resolve.resolve import Choices, Facts

GIB, MIB = 2**30, 2**20
_STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What the surroundings are.

    Args:
        base: the base image with its digest. inherited: what it brings along. own_builder: whether the engine's own
            BuildKit builds. platform: what the builder builds for when nothing else is asked; "" where it is not told.
            context: the docker context of the engine that builds, None: the current one. insecure: the engine calls the
            registry of the push insecure.
    """

    base: str
    own_builder: bool
    platform: str = ""
    context: str | None = None
    insecure: bool = False
    inherited: Inherited = field(default_factory=Inherited)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What was asked of docker's command line, which takes its time: the builder, None where that failed; its version.

    The check of the builder says why it failed, with all else that is wrong.
    """

    builder: Ahead[BuilderFacts | None]
    buildx: Ahead[str]


def ask(facts: Facts) -> Asked:
    """Begin to ask about buildx; the answers come while the recipe is planned and rendered."""
    from bake.ahead import Ahead
    from bake.buildx import builders
    from bake.engine import facts as engine

    def builder() -> BuilderFacts | None:
        try:
            return builders.look_up(facts.builder)
        except EnvironmentUnfit:
            return None

    return Asked(builder=Ahead(builder), buildx=Ahead(engine.require_buildx))


def require_fit(
    recipe: Recipe,
    facts: Facts,
    asked: Asked,
    *,
    folder: Path,
    push: bool,
    warn: Callable[[str], None],
    load: bool = True,
) -> Fit:
    """Check the surroundings and give the base image, pinned to its digest.

    The engine's own builder takes the base from the engine; any other one gets it from its registry, which is asked
    for the digest. A folder whose last bake was done needs no more room: its steps are cached.

    Args:
        asked: what ``ask`` began. push: the result goes to a registry. load: it goes to the engine, wherever it is
            built. warn: told what may go wrong.

    Raises:
        EnvironmentUnfit: what is missing, and how to mend it; all of it at once.
    """
    from bake import doctor
    from bake.buildx.client import load_clients

    load_clients()  # while buildx is still answering
    builder = asked.builder.answer()
    subject = dataclasses.replace(
        _subject(recipe, facts, push=push), known_builder=builder, ask_buildx=asked.buildx.answer
    )
    with closing(doctor.Engine(subject)) as engine:
        return _require_fit(subject, recipe, facts, engine, folder=folder, push=push, warn=warn, load=load)


def _require_fit(
    subject: Subject,
    recipe: Recipe,
    facts: Facts,
    engine: Engine,
    *,
    folder: Path,
    push: bool,
    warn: Callable[[str], None],
    load: bool,
) -> Fit:
    from bake import doctor
    from bake.doctor.engine_registry import calls_insecure
    from bake.reference import parse_reference

    builder = subject.known_builder
    facts = _at_hand(facts, builder, engine)
    subject = dataclasses.replace(subject, base=facts.base)
    # BuildKit on another machine needs no engine here, unless the image is to come here.
    away = builder is not None and builder.driver in ("remote", "kubernetes") and not load
    skipped = {
        doctor.engine.NAME: away,
        doctor.disk.NAME: away or _baked_before(folder),
        doctor.registry.NAME: not push,
        doctor.layers.NAME: not push,
        # A bake needs no GPU, and says itself which asset or mirror it misses.
        **dict.fromkeys((doctor.driver.NAME, doctor.gpu_access.NAME, doctor.assets.NAME, doctor.mirrors.NAME), True),
    }
    only = frozenset(name for name, _ in doctor.CHECKS if not skipped.get(name))
    warnings = doctor.require_fit(subject, only=only, engine=engine)
    for finding in warnings:
        if finding.check == doctor.layers.NAME:
            warn(f"{finding.message}; {finding.remediation}")
    own = builder is None or builder.own
    base = pinned(facts.base, builder, facts, engine)
    require_python(recipe, facts.base, builder, engine)
    brought = inherited(facts.base, builder, facts, engine)
    if not brought.known:
        warn(f"nobody tells which user {facts.base} ends as, and which driver it requires: the image ends as root")
    known = [node.platforms[0] for node in builder.nodes if node.platforms] if builder else []
    registry = parse_reference(facts.image).registry
    return Fit(
        base=base,
        inherited=brought,
        own_builder=own,
        platform=next(iter(known), "").rstrip("*"),
        context=builder.context if builder else None,
        insecure=push and calls_insecure(engine, registry),
    )


def pinned(image: str, builder: BuilderFacts | None, facts: Facts, engine: Engine) -> str:
    """Give an image with the digest that the builder will get; as it is where nobody tells one.

    Args:
        engine: the engine that builds, which is asked where its own BuildKit is the builder.

    Raises:
        EnvironmentUnfit: a builder elsewhere is to use it, and no registry gives it.
    """
    from bake.buildx import builders
    from bake.engine.facts import image_facts
    from bake.reference import parse_reference
    from bake.registry import Outcome, Registry

    if "@" in image:
        return image
    own = builder is None or builder.own
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
    from bake.doctor import Engine, Subject

    builder = ask(facts).builder.answer()
    with closing(Engine(Subject(builder=facts.builder, known_builder=builder))) as engine:
        return pinned(image, builder, facts, engine)


def _at_hand(facts: Facts, builder: BuilderFacts | None, engine: Engine) -> Facts:
    """Take the base from the mirror of its registry, unless the engine that builds holds it."""
    if facts.base_mirror is None or ((builder is None or builder.own) and _held(facts.base, engine)):
        return facts
    return dataclasses.replace(facts, base=facts.base_mirror)


def _held(image: str, engine: Engine) -> bool:
    """Tell whether the engine has an image; then no mirror is asked for it."""
    from bake.engine.facts import image_facts

    try:
        return image_facts(engine.client, image) is not None
    except EnvironmentUnfit:  # the checks say so, with all else that is wrong
        return True


def _subject(recipe: Recipe, facts: Facts, choices: Choices | None = None, *, push: bool = False) -> Subject:
    from bake.doctor import Subject
    from bake.reference import parse_reference
    from generator.commands import fetch

    return Subject(
        base=facts.base,
        base_remedy=f"run `{recipe.base.remedy}`" if recipe.base.remedy else "",
        registry=parse_reference(facts.image).registry if facts.registry else None,
        image=facts.image if facts.registry else None,
        pushes=push,
        keyring=facts.keyring,
        builder=facts.builder,
        layer_limit=(facts.layer_limit_mib or 0) * MIB,
        disk=int(facts.disk_gib * GIB),
        ca_bundle=facts.ca_bundle,
        cuda=recipe.stack.cuda,
        netrc=facts.netrc,
        assets=fetch.requests_here(recipe, facts),
        assets_folder=facts.assets_folder,
        mirrors=tuple(dict.fromkeys(to for to in facts.mirrors.values() if "://" in to)),
        folders=(choices.output,) if choices else (),
    )


def _baked_before(folder: Path) -> bool:
    """Tell whether the last bake of this folder was done: then its steps are cached and take no more room."""
    try:
        data = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(data, dict) and data.get("state") == "done"


def examine(
    reporter: Reporter, recipe: Recipe, facts: Facts, choices: Choices, *, form: str, fix: bool = False
) -> None:
    """Run every check of the doctor and show the findings; mend what can be and look again, if asked to.

    Raises:
        EnvironmentUnfit: at least one finding is an error.
    """
    from bake.doctor import Engine, mend, run_checks

    asked = ask(facts)
    builder = asked.builder.answer()
    subject = dataclasses.replace(_subject(recipe, facts, choices), known_builder=builder)
    with closing(Engine(subject)) as engine:
        subject = dataclasses.replace(subject, base=_at_hand(facts, builder, engine).base)
        findings = run_checks(dataclasses.replace(subject, ask_buildx=asked.buildx.answer), engine=engine)
    subject = dataclasses.replace(subject, known_builder=None)  # after mending, all is asked anew
    if fix:
        count = mend(findings, reporter.note)
        reporter.note(f"{count} mended; what is left is for you" if count else "nothing here can be mended by itself")
        findings = run_checks(subject) if count else findings
    rows = [
        {
            "check": entry.check,
            "severity": entry.severity.value,
            "message": entry.message,
            "remedy": entry.remediation,
        }
        for entry in findings
    ]
    if form == "json":
        reporter.data(json.dumps({"findings": rows}, indent=2, ensure_ascii=False))
    else:
        _show(reporter, rows)
    errors = [row["check"] for row in rows if row["severity"] == "error"]
    if errors:
        raise EnvironmentUnfit(f"not fit: {', '.join(errors)}", remedy="mend what the table names")


def _show(reporter: Reporter, rows: list[dict[str, str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title="doctor", title_justify="left")
    for column in ("check", "", "found", "what to do"):
        table.add_column(column, overflow="fold")
    for row in rows:
        mark = Text(row["severity"], style=_STYLES.get(row["severity"], ""))
        table.add_row(row["check"], mark, Text(row["message"]), Text(row["remedy"]))
    reporter.data_console.print(table)
