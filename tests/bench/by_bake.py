"""Runs our bake on the bench's engine, and reads what it recorded of itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from bake.buildx import results
from generator.recipe import Recipe
from tests.bench.bounds import critical_path, executed
from tests.bench.place import REGISTRY, Place
from tests.bench.variants import TOP

TAG = "uplift-bench:by-bake"
REPOSITORY = f"{REGISTRY}/lab"
NO_STORES = ("--cache", "none", "--wheels", "none", "--compiler-cache", "none")


class ByBake:
    """Our way of one recipe: the command line, with a build folder of its own.

    Args:
        place: engine and meter. recipe: what is uplifted. name: the recipe's name or path. folder: an empty folder.
            ca_bundle: of the place.
    """

    def __init__(self, place: Place, recipe: Recipe, name: str, folder: Path, *, ca_bundle: Path | None) -> None:
        self.place = place
        self.recipe = recipe
        self.name = name
        self.folder = folder
        self._variables = {"GENERATOR_CA_BUNDLE": str(ca_bundle)} if ca_bundle else {}
        folder.mkdir(parents=True)

    def run(
        self, *options: str, code: Path = TOP, recipe: str | None = None, assets: Path | None = None
    ) -> dict[str, Any]:
        """Bake; gives cost, steps, the targets that ran, where wheels came from, and the critical path.

        Args:
            options: further ones. code: the tree that is run. recipe: another than the usual one. assets: folder.

        Raises:
            BuildFailed: it failed.
        """
        name = recipe or self.name
        variables = {**self._variables, **({"GENERATOR_ASSETS_DIR": str(assets)} if assets else {})}
        arguments = ("bake", "-o", "build", "--progress", "plain", *options)
        if "--tag" not in options:
            arguments += ("--tag", TAG)
        (self.folder / "build" / results.FILE_NAME).unlink(missing_ok=True)
        with self.place.meter.measured() as cost:
            self.place.generator(name, *arguments, cwd=self.folder, code=code, variables=variables)
        record = results.load(self.folder / "build")
        path = critical_path(record, self.graph(code, name))
        return {
            **cost.as_data(),
            "steps": steps_of(record),
            "ran": executed(record),
            "wheels": record.data.get("wheels", {}),
            "critical_path": {"targets": list(path.targets), "seconds": round(path.seconds, 2)},
        }

    def graph(self, code: Path, name: str) -> dict[str, list[str]]:
        """Targets by the target that waits for them."""
        self.place.generator(name, "plan", "--format", "json", cwd=self.folder, code=code)
        said = json.loads((self.place.work / "stdout").read_text())
        return {target["name"]: target["waits_for"] for target in said["targets"]}

    def push_options(self) -> tuple[str, ...]:
        """Options that push the image alone: no wheels, no caches."""
        return ("--push", "--registry", REPOSITORY, *NO_STORES)

    def compile_seconds(self, run: dict[str, Any], extension: str) -> float:
        """Seconds of the longest step of an extension's target in a run: its compile."""
        found = [step["seconds"] for step in run["steps"] if step["target"] == f"wheel-{extension}"]
        return max(found, default=0.0)

    def verify(self, image: str) -> dict[str, Any]:
        """Check an image by name with our own checks; gives the number of rows, and those that failed."""
        folder = self.folder / "verify"
        shutil.rmtree(folder, ignore_errors=True)
        arguments = ("verify", image, "--format", "json", "-o", "verify")
        self.place.generator(
            self.name, *arguments, cwd=self.folder, code=TOP, allowed=(0, 4), variables=self._variables
        )
        rows = json.loads((folder / "verify/report.json").read_text())["rows"]
        failed = [
            {key: row[key] for key in ("check", "subject", "expected", "found")}
            for row in rows
            if row["status"] == "fail"
        ]
        return {"rows": len(rows), "failed": failed}


def steps_of(record: results.Results) -> list[dict[str, Any]]:
    """Steps that ran: target, name, kind, and when, in seconds since the bake began."""
    found = [
        (step.started, {"target": target, "name": step.name, "kind": step.kind, "seconds": step.seconds})
        for target in record.targets
        for step in record.steps_of(target)
        if not step.cached and step.started is not None and step.kind in ("instruction", "export")
    ]
    first = min((started for started, _ in found), default=0.0)
    ordered = sorted(found, key=lambda entry: entry[0])
    return [{**step, "started": round(started - first, 2)} for started, step in ordered]
