"""From a builder's description to what buildx is told: endpoints, driver options, the text of buildkitd.toml. Pure.

What the options mean: docs.docker.com/build/builders/drivers/; how buildx reads their texts: its driver/*/factory.go;
buildkitd.toml: docs/buildkitd.toml.md of moby/buildkit.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from generator.recipe.builder import Buildkitd, Description, Kubernetes, Node, Remote, with_defaults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

# The most easily made again, says BuildKit; here they are the most expensive: installer, compiler cache, sources.
KEPT = ("type==source.local", "type==exec.cachemount", "type==source.git.checkout")
_FILES = ("cacert", "cert", "key")


@dataclass(frozen=True, kw_only=True)
class NodePlan:
    """One call of ``buildx create``: ``endpoint`` is None where buildx takes the current engine or cluster."""

    endpoint: str | None = None
    platforms: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class BuilderPlan:
    """A builder as it is to be: ``config`` is the text of buildkitd.toml, "" where there is to be none."""

    name: str
    driver: str
    nodes: tuple[NodePlan, ...]
    config: str = ""
    files: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """Give all of it as plain data, the same for the same description."""
        return json.loads(json.dumps(dataclasses.asdict(self)))  # type: ignore[no-any-return]

    def as_note(self) -> dict[str, Any]:
        """Give the plan as it may be noted in a file: values of variables, which may be secret, as digests."""
        data = self.as_data()
        for node in data["nodes"]:
            for key, value in node["options"].items():
                if key.startswith("env."):
                    node["options"][key] = hashlib.sha256(value.encode()).hexdigest()
        return data

    def fingerprint(self, contents: Mapping[str, bytes]) -> str:
        """Give a digest of the plan and of the files that it names, by path: buildx copies these into the builder."""
        sums = {path: hashlib.sha256(contents[path]).hexdigest() for path in self.files if path in contents}
        text = json.dumps([self.as_data(), sums], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def plan_builder(
    description: Description,
    *,
    path: Callable[[str], Path],
    ca_bundle: Path | None = None,
    registries: tuple[str, ...] = (),
) -> BuilderPlan:
    """Plan a builder.

    Args:
        description: with a driver. path: makes a path of the description absolute.
        ca_bundle: the place's CAs: trusted for each of the registries too. registries: hosts that a bake talks to.
    """
    driver = description.driver or "docker-container"
    config, files = "", set[str]()
    if driver != "remote":
        access = _registries(description.buildkitd or Buildkitd(), path, ca_bundle, registries)
        config = buildkitd_toml(description.buildkitd or Buildkitd(), access)
        files |= {file for row in access.values() for file in row.get("ca", ())}
    nodes = tuple(_nodes(description, path))
    files |= {node.options[key] for node in nodes for key in _FILES if key in node.options}
    return BuilderPlan(name=description.name, driver=driver, nodes=nodes, config=config, files=tuple(sorted(files)))


def _nodes(description: Description, path: Callable[[str], Path]) -> Iterator[NodePlan]:
    if not description.nodes:
        options = driver_options(description, Remote(), path)
        yield NodePlan(endpoint=description.endpoint, platforms=description.platforms, options=options)
    for node in description.nodes:
        options = driver_options(description, node, path)
        yield NodePlan(endpoint=node.endpoint, platforms=node.platforms, options=options)


def driver_options(description: Description, node: Remote | Node, path: Callable[[str], Path]) -> dict[str, str]:
    """Give the driver's options for one node, by buildx's names, as buildx reads them."""
    if description.driver == "kubernetes":
        return _kubernetes(description.kubernetes or Kubernetes())
    if description.driver == "remote":
        found = with_defaults(node, description.remote)
        texts = {key: getattr(found, key) for key in Remote.model_fields if getattr(found, key)}
        return {key: str(path(text)) if key in _FILES else text for key, text in texts.items()}
    section = description.docker_container
    if section is None:
        return {}
    plain = section.model_dump(by_alias=True, exclude_none=True, exclude={"env"})
    return {key: str(value) for key, value in plain.items()} | {f"env.{key}": text for key, text in section.env.items()}


def _kubernetes(section: Kubernetes) -> dict[str, str]:
    options: dict[str, str] = {}
    for key, value in section.model_dump(by_alias=True, exclude_none=True).items():
        if key == "tolerations":
            rows = [",".join(f"{name}={text}" for name, text in row.items()) for row in value]
            options |= {key: ";".join(rows)} if rows else {}
        elif key in ("nodeselector", "labels", "annotations"):
            options |= {key: ",".join(f"{name}={text}" for name, text in value.items())} if value else {}
        elif isinstance(value, dict):  # requests, limits, qemu
            options |= {f"{key}.{name}": _text(inner) for name, inner in value.items()}
        else:
            options[key] = _text(value)
    return options


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _registries(
    settings: Buildkitd, path: Callable[[str], Path], ca_bundle: Path | None, registries: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    """Give the tables of registries: those described, and the place's CAs for each that a bake talks to."""
    tables: dict[str, dict[str, Any]] = {}
    for host in sorted({*settings.registry, *(registries if ca_bundle else ())}):
        said = settings.registry.get(host)
        table = said.model_dump(exclude_none=True) if said else {}
        own = [str(path(file)) for file in table.pop("ca", ())]
        bundle = [str(ca_bundle)] if ca_bundle and not table.get("http") else []
        authorities = list(dict.fromkeys([*own, *bundle]))
        mirrors = list(table.pop("mirrors", ()))
        lists = {"mirrors": mirrors, "ca": authorities}
        tables[host] = {**table, **{key: value for key, value in lists.items() if value}}
    return tables


def buildkitd_toml(settings: Buildkitd, registries: Mapping[str, Mapping[str, Any]]) -> str:
    """Write buildkitd.toml.

    BuildKit collects garbage by a list of policies, one after the other; the first that is told applies to what it
    lists, the last to all that is left. A worker's own ``reservedSpace`` would bring the default policies back.
    """
    gc = settings.gc
    space = {
        "reservedSpace": gc.reserved_space,
        "maxUsedSpace": gc.max_used_space,
        "minFreeSpace": gc.min_free_space,
    }
    lines = ["[worker.oci]", "  gc = true"]
    if settings.max_parallelism is not None:
        lines.append(f"  max-parallelism = {settings.max_parallelism}")
    first = {"filters": list(KEPT), "keepDuration": gc.keep_duration, **space}
    for policy in (first, {"all": True, **space}):
        lines += ["", "  [[worker.oci.gcpolicy]]", *(f"    {key} = {_toml(value)}" for key, value in policy.items())]
    for host, table in sorted(registries.items()):
        lines += ["", f"[registry.{_toml(host)}]", *(f"  {key} = {_toml(value)}" for key, value in table.items())]
    return "".join(f"{line}\n" for line in lines)


def _toml(value: Any) -> str:
    """Write a value: TOML's basic strings, lists and booleans are JSON's, but for one control character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
