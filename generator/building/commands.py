"""``builder up``, ``down`` and ``ls``: makes the described builder, removes what was made so, shows what there is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generator.building.plan import BuilderPlan, plan_builder
from generator.errors import EnvironmentUnfit, UpliftError, UsageError

if TYPE_CHECKING:
    from bake.builder_facts import BuilderFacts
    from generator.reporter import Reporter
    from generator.resolve import Facts

_REMEDIES = {
    "docker-container": "let the engine pull that image, or name one that it can get: [builder.docker-container] image",
    "remote": "start buildkitd there and open its port, or mend the endpoint and the certificates",
    "kubernetes": "look at the pods (kubectl describe pod), the namespace, the quotas and [builder.kubernetes] timeout",
}


def up(reporter: Reporter, facts: Facts, *, replace: bool) -> None:
    """Make the described builder where it is not there yet, and start its BuildKit; its name goes to stdout.

    Raises:
        UsageError: no builder is described. EnvironmentUnfit: one of that name is not ours, was made from another
            description, can't be made, or does not start.
    """
    from bake import builder_notes, builders

    plan = _plan(facts)
    print_ = plan.fingerprint(_contents(plan))
    there = builders.look_up(plan.name)
    fresh = there is None or _must_be_made_again(reporter, plan, there, print_, replace=replace)
    if fresh:
        # Noted first: what an interruption leaves behind is known as ours, and made anew.
        builder_notes.write_note(plan.name, {"fingerprint": print_, "plan": plan.as_note()})
        try:
            builders.create(plan.as_data())
        except EnvironmentUnfit:
            builder_notes.write_note(plan.name, None)
            raise
        reporter.note(f"{plan.name}: made, driver {plan.driver}, {_count(len(plan.nodes), 'node')}; starting BuildKit")
    try:
        started = builders.boot(plan.name)
    except EnvironmentUnfit as error:
        if fresh:
            _undo(reporter, plan.name)
        what = "answer" if plan.driver == "remote" else "start"
        raise EnvironmentUnfit(
            f"BuildKit does not {what}: {error.message}", where=f"builder {plan.name}", remedy=_REMEDIES[plan.driver]
        ) from None
    _require_nodes(started, plan)
    _show(reporter, facts, plan, started, fresh=fresh)


def _plan(facts: Facts) -> BuilderPlan:
    from bake.reference import is_loopback, parse_reference

    described = facts.described
    if described is None or described.description.driver is None:
        raise UsageError(
            "no builder is described here",
            where=str(described.file) if described else None,
            remedy="write a table [builder] with name and driver into the site file, or into the recipe",
        )
    images = [facts.image if facts.registry else "", facts.base_mirror or facts.base, facts.toolkit_image or ""]
    hosts = {parse_reference(image).registry for image in images if image}
    return plan_builder(
        described.description,
        path=described.path,
        ca_bundle=facts.ca_bundle,
        registries=tuple(sorted(host for host in hosts if not is_loopback(host))),
    )


def _contents(plan: BuilderPlan) -> dict[str, bytes]:
    """Read the files that buildx will read, so that one that is missing is said before anything is made."""
    contents: dict[str, bytes] = {}
    for name in plan.files:
        try:
            contents[name] = Path(name).read_bytes()
        except OSError as error:
            raise EnvironmentUnfit(
                f"a file of the [builder] table can't be read: {error.strerror}", where=name, remedy="mend its path"
            ) from None
    return contents


def _must_be_made_again(
    reporter: Reporter, plan: BuilderPlan, there: BuilderFacts, print_: str, *, replace: bool
) -> bool:
    """Tell whether a builder that is there has to be made anew; it is removed then."""
    from bake import builder_notes, builders

    note = builder_notes.read_note(plan.name)
    if note is None or not builder_notes.is_as_noted(there, note):
        raise EnvironmentUnfit(
            f"there is a builder {plan.name} that `builder up` did not make; it is left as it is",
            remedy=f"choose another name in the [builder] table, or remove it: docker buildx rm {plan.name}",
        )
    known = note.get("fingerprint") == print_
    if known and len(there.nodes) == len(plan.nodes):
        return False
    changed = ", ".join(_differences(note.get("plan") or {}, plan.as_note())) or "a certificate file"
    if known:
        changed = "some of its nodes are missing"
    elif not replace:
        raise EnvironmentUnfit(
            f"the builder {plan.name} was made from another description; changed: {changed}",
            remedy="`builder up --replace` makes it anew; a docker-container's cache is kept",
        )
    reporter.note(f"{plan.name} is made anew: {changed}")
    builders.remove(plan.name, keep_state=True)
    return True


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Name what differs between two plans, in a few words."""
    names = {"driver": "driver", "config": "BuildKit's settings"}
    found = [text for key, text in names.items() if old.get(key) != new.get(key)]
    before, after = old.get("nodes") or [], new["nodes"]
    if [node.get("endpoint") for node in before] != [node["endpoint"] for node in after]:
        found.append("endpoints")
    elif [node.get("platforms") for node in before] != [node["platforms"] for node in after]:
        found.append("platforms")
    options = [{key for key, _ in _pairs(one, other)} for one, other in zip(before, after, strict=False)]
    return found + sorted(set().union(*options))


def _pairs(one: dict[str, Any], other: dict[str, Any]) -> set[tuple[str, str]]:
    return set(one.get("options", {}).items()) ^ set(other["options"].items())


def _undo(reporter: Reporter, name: str) -> None:
    from bake import builder_notes, builders

    try:
        builders.remove(name)
    except UpliftError as error:
        reporter.warning(f"what was made of {name} may still be there: {error}")
    builder_notes.write_note(name, None)


def _require_nodes(started: BuilderFacts, plan: BuilderPlan) -> None:
    down = [node for node in started.nodes if not node.running]
    if down:
        texts = [f"{node.name} ({node.endpoint}): {node.error or node.status or 'no answer'}" for node in down]
        raise EnvironmentUnfit(
            "\n  ".join([f"{len(down)} of {_count(len(started.nodes), 'node')} of {plan.name} do not answer:", *texts]),
            remedy=_REMEDIES[plan.driver],
        )


def _show(reporter: Reporter, facts: Facts, plan: BuilderPlan, started: BuilderFacts, *, fresh: bool) -> None:
    reporter.data(plan.name)
    state = "runs" if fresh else "is there, as described, and runs"
    for node in started.nodes:
        platforms = ", ".join(node.platforms[:2]) + (" …" if len(node.platforms) > 2 else "")  # noqa: PLR2004
        version = f"BuildKit {node.version}" if node.version else "BuildKit"
        reporter.note(f"  {node.name}: {node.endpoint}, {version}, {platforms}")
    used = "bakes here use it" if facts.builder == plan.name else f"this bake names {facts.builder}"
    reporter.note(f"{plan.name} {state}; {used}; from elsewhere: bake --builder {plan.name}")
    if plan.driver == "remote" and facts.ca_bundle is not None:
        reporter.note(
            "a remote BuildKit is not told of the CA bundle: its own buildkitd.toml has to name it "
            '([registry."HOST"] ca = ["FILE"])'
        )


def down(reporter: Reporter, facts: Facts, *, name: str | None, keep_state: bool) -> None:
    """Remove a builder that ``up`` made; without a name the described one. One that is not there is no failure.

    Raises:
        UsageError: none is named or described. EnvironmentUnfit: it is not ours, or buildx can't.
    """
    from bake import builder_notes, builders

    wanted = name or (facts.described.description.name if facts.described else None)
    if wanted is None:
        raise UsageError("no builder is named, and none is described here", remedy="builder down NAME")
    there = builders.look_up(wanted)
    if there is None:
        builder_notes.write_note(wanted, None)
        reporter.note(f"there is no builder {wanted}; nothing to do")
        return
    if not builder_notes.is_as_noted(there, builder_notes.read_note(wanted)):
        raise EnvironmentUnfit(
            f"`builder up` did not make the builder {wanted}; it is left as it is",
            remedy=f"docker buildx rm {wanted}, if it is to go",
        )
    builders.remove(wanted, keep_state=keep_state)
    builder_notes.write_note(wanted, None)
    kept = "; its cache is kept" if keep_state and there.driver == "docker-container" else ""
    reporter.note(f"{wanted} is removed{kept}")


def ls(reporter: Reporter, facts: Facts, *, form: str) -> None:
    """List the builders, and the described one where it is not there yet."""
    from bake import builders

    rows = [_row(one, facts) for one in builders.every()]
    described = facts.described
    if described and described.makes(described.description.name):
        name = described.description.name
        if not any(row["name"] == name for row in rows):
            driver = described.description.driver or ""
            row = {"name": name, "driver": driver, "nodes": "", "status": "not made yet", "made by": "`builder up`"}
            rows.append({**row, "used": facts.builder == name})
    rows.sort(key=lambda row: str(row["name"]))
    if form == "json":
        reporter.data(json.dumps({"builders": rows}, indent=2))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(title="builders", title_justify="left")
    for column in ("name", "driver", "nodes", "status", "made by", ""):
        table.add_column(column, overflow="fold")
    for row in rows:
        last = "bakes here use it" if row["used"] else ""
        keys = ("name", "driver", "nodes", "status", "made by")
        table.add_row(*(Text(str(row[key])) for key in keys), Text(last))
    reporter.data_console.print(table)


def _row(one: BuilderFacts, facts: Facts) -> dict[str, Any]:
    from bake import builder_notes

    running = sum(node.running for node in one.nodes)
    return {
        "name": one.name,
        "driver": one.driver,
        "nodes": len(one.nodes),
        "status": "running" if running == len(one.nodes) else f"{running} of {len(one.nodes)} running",
        "made by": "`builder up`" if builder_notes.is_as_noted(one, builder_notes.read_note(one.name)) else "",
        "used": one.name == facts.builder or (facts.builder is None and one.current),
    }


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
