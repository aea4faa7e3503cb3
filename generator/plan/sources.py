"""The targets that fetch what extensions are made of, and the one that reads what these require. Pure.

They wait for no toolchain: what can't come in is told right after the new stack is there, while the compiles begin.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from generator.plan import specs
from generator.plan.fetching import IMAGES, asset, locked_files
from generator.plan.graph import ContextFile, Kind, Target
from generator.plan.names import INVENTORY, REQUIREMENTS, TOOLS, TORCH, WANTED, fetch_target, source_target
from generator.recipe.groups import BUILD, prebuilt_group

if TYPE_CHECKING:
    from collections.abc import Mapping

    from generator.recipe.model import Recipe


def source(recipe: Recipe, name: str, locked: Mapping[str, Mapping[str, str]]) -> Target:
    """Plan the fetch of one extension: its prebuilt wheel, its sdist, archive or repository."""
    extension = recipe.extensions[name]
    made_of = extension.asset_name
    group = prebuilt_group(name) if extension.prebuilt else ""
    return Target(
        name=source_target(name),
        kind=Kind.SOURCE,
        description=f"{name} {extension.version}: {extension.fetched}",
        inputs={TOOLS: TOOLS, INVENTORY: INVENTORY} if group else {TOOLS: TOOLS},
        images=IMAGES,
        assets={"assets": specs.asset_variable(made_of)} if made_of else {},
        values={
            "what": _what(recipe, name),
            "group": group,
            "locked": group in locked,
            "package": name,
            "version": extension.version,
            "full_version": specs.full_version(recipe, name),
            "source": extension.source,
            "compiles": extension.compiles,
            **({"asset": asset(recipe, made_of)} if made_of else {}),
            **extension.values(recipe.stack),
        },
        files=locked_files(group, locked),
        args={specs.checksum_variable(made_of): specs.checksum_variable(made_of)} if made_of else {},
    )


def _what(recipe: Recipe, name: str) -> str:
    extension = recipe.extensions[name]
    if not extension.prebuilt:
        return f"The source of {name} {extension.version}: what is compiled, and what says beforehand what it requires."
    fallback = "; its sdist where there is no such wheel" if extension.compiles else ""
    return f"{name} {specs.full_version(recipe, name)}, prebuilt for the new stack{fallback}."


def requirements(locked: Mapping[str, Mapping[str, str]], preferred: Mapping[str, tuple[str, ...]]) -> Target:
    """Plan the wheels of what extensions require and the environment lacks."""
    return Target(
        name=REQUIREMENTS,
        kind=Kind.REQUIREMENTS,
        description="the wheels of what the extensions require and the environment lacks",
        inputs={TOOLS: TOOLS, WANTED: WANTED},
        images=IMAGES,
        values={
            "locked": REQUIREMENTS in locked,
            "options": tuple(("--prefer", pin) for pin in preferred.get(REQUIREMENTS, ())),
        },
        files=(*specs.conversion_files("environment", "requirements"), *locked_files(REQUIREMENTS, locked)),
    )


def wanted(recipe: Recipe) -> Target:
    """Plan the check of what all extensions require."""
    compiles = any(extension.compiles for extension in recipe.extensions.values())
    return Target(
        name=WANTED,
        kind=Kind.WANTED,
        description="what the extensions require, read before they are compiled",
        inputs={
            TOOLS: TOOLS,
            INVENTORY: INVENTORY,
            TORCH: TORCH,
            **({fetch_target(BUILD): fetch_target(BUILD)} if compiles else {}),
            **{source_target(name): source_target(name) for name in recipe.extensions},
        },
        from_base=compiles,
        values={
            **specs.environment(recipe),
            "build_requires": recipe.toolkit.build_requires if compiles and recipe.toolkit else (),
            "extensions": [
                {
                    "name": name,
                    "compiles": extension.compiles,
                    "env": dict(sorted(extension.env.items())),
                    "commit": extension.stated_commit,
                }
                for name, extension in recipe.extensions.items()
            ],
        },
        files=(
            ContextFile(path="metadata.py", package="contexts", resource="wanted/metadata.py"),
            ContextFile(path="source_tree.py", package="contexts", resource="wheel/source_tree.py"),
            *specs.conversion_files("environment", "requirements"),
            ContextFile(path="requirements.json", text=_spec(recipe)),
        ),
    )


def _spec(recipe: Recipe) -> str:
    """Write what ``conversion.requirements.check`` reads."""
    entries = [
        {"name": name, "version": specs.full_version(recipe, name), "requires": extension.requires}
        for name, extension in recipe.extensions.items()
    ]
    return json.dumps({"extensions": entries}, indent=2, ensure_ascii=False) + "\n"
