"""The targets that fetch what extensions are made of, and the one that reads what these require. Pure.

They wait for no toolchain: what can't come in is told right after the new stack is there, while the compiles begin.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bake.errors import UsageError
from generator.plan import specs
from generator.plan.graph import ContextFile, Kind, Target
from generator.plan.names import INVENTORY, REQUIREMENTS, TOOLS, TORCH, source_target

if TYPE_CHECKING:
    from generator.recipe.model import Recipe


def source(recipe: Recipe, name: str) -> Target:
    """Plan the fetch of one extension: its prebuilt wheel, its sdist, archive or repository."""
    extension = recipe.extensions[name]
    made_of = extension.asset_name
    return Target(
        name=source_target(name),
        kind=Kind.SOURCE,
        description=f"{name} {extension.version}: {extension.fetched}",
        inputs={TOOLS: TOOLS},
        assets={"assets": specs.asset_variable(made_of)} if made_of else {},
        from_base=True,
        values={
            **specs.environment(recipe),
            "package": name,
            "version": extension.version,
            "full_version": specs.full_version(recipe, name),
            "source": extension.source,
            "compiles": extension.compiles,
            **({"asset": asset(recipe, made_of)} if made_of else {}),
            **extension.values(recipe.stack),
        },
        files=tuple(
            ContextFile(path=script, package="contexts", resource=f"source/{script}") for script in extension.scripts
        ),
    )


def requirements(recipe: Recipe) -> Target:
    """Plan the check of what all extensions require, and the wheels of what the environment lacks of it."""
    compiles = any(extension.compiles for extension in recipe.extensions.values())
    return Target(
        name=REQUIREMENTS,
        kind=Kind.REQUIREMENTS,
        description="what the extensions require, read before they are compiled, and the wheels of what is missing",
        inputs={
            TOOLS: TOOLS,
            INVENTORY: INVENTORY,
            TORCH: TORCH,
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
            ContextFile(path="metadata.py", package="contexts", resource="requirements/metadata.py"),
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


def asset(recipe: Recipe, name: str) -> dict[str, object]:
    """Give what a build has to know of an asset to fetch it.

    Raises:
        UsageError: nobody knows its hash.
    """
    found = recipe.assets[name]
    if found.sha256 is None:  # a lock may know what the recipe does not: so this is no matter of the recipe alone
        raise UsageError(
            "it has no sha256, in the recipe or a lock; the build checks every file that it fetches",
            where=f"assets.{name}",
            remedy="run `lock`, or write the sha256 into the recipe",
        )
    return {"file": found.file_name, "sha256": found.sha256, "urls": (found.url, *found.alternatives)}
