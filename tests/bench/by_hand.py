"""Does the guide's steps on the bench's engine, one after the other, and measures each."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path
from typing import Any

from generator.recipe import Recipe
from generator.resolve.assets import asset_folder
from tests.bench.guide import MODELS, BuildStep, RunStep, Step, steps
from tests.bench.meter import Cost
from tests.bench.place import Place
from tests.bench.variants import CHANGED_MODULE, TOP, changed_module

TAG = "uplift-bench:by-hand"


class ByHand:
    """The guide's way of one recipe.

    Args:
        place: engine and meter. recipe: what is uplifted. name: the recipe's name or path. folder: the person's working
            folder. ca_bundle: of the place. assets: where fetched assets lie.
    """

    def __init__(
        self, place: Place, recipe: Recipe, name: str, folder: Path, *, ca_bundle: Path | None, assets: Path
    ) -> None:
        self.place = place
        self.recipe = recipe
        self.folder = folder
        self._ca_bundle = ca_bundle
        self._assets = assets
        self.tag = TAG
        self.steps = steps(recipe, self.tag)
        folder.mkdir(parents=True)
        self._prepare(name)

    def _prepare(self, name: str) -> None:
        """Lay out what the person has before the first step: scripts, specification, source and installer."""
        shutil.copytree(TOP / "conversion", self.folder / "conversion", ignore=shutil.ignore_patterns("__pycache__"))
        if self.recipe.models:
            self.place.generator(name, "render", "-o", "rendered", cwd=self.folder, code=TOP)
            shutil.copy(self.folder / "rendered/contexts/extract" / MODELS, self.folder / MODELS)
        for step in self.steps:
            for asset in step.files if isinstance(step, BuildStep) else ():
                if asset in self.recipe.assets:
                    self._lay_out(asset)

    def _lay_out(self, asset: str) -> None:
        entry = self.recipe.assets[asset]
        file = asset_folder(self._assets, asset, entry.url) / entry.file_name
        if ".tar" not in file.name:
            shutil.copy(file, self.folder)
            return
        unpacked = self.folder / f"{asset}.unpacked"
        with tarfile.open(file) as archive:
            archive.extractall(unpacked, filter="data")
        next(unpacked.iterdir()).rename(self.folder / asset)

    def change_conversion(self, sign: str) -> None:
        """Change the conversion scripts in the person's folder, not what they do."""
        file = self.folder / CHANGED_MODULE
        file.write_text(changed_module(file.read_text(encoding="utf-8"), sign), encoding="utf-8")

    def run(self) -> dict[str, Any]:
        """Do all steps; gives the cost of the whole and of each.

        Raises:
            BuildFailed: a step failed.
        """
        entries: list[dict[str, Any]] = []
        with self.place.meter.measured() as whole:
            for step in self.steps:
                with self.place.meter.measured() as cost:
                    self._do(step)
                entries.append({"name": step.name, **cost.as_data()})
        return {**_joined(whole, entries), "steps": entries}

    def _do(self, step: Step) -> None:
        if isinstance(step, RunStep):
            self.place.call(self.run_command(step), cwd=self.folder)
            return
        context = self.folder / f"context-{step.tag.rpartition(':')[2]}"
        if not context.exists():
            context.mkdir()
        (context / "Dockerfile").write_text(step.dockerfile, encoding="utf-8")
        for name in step.files:
            self._into(context, name)
        secret = [f"--secret=id=ca-bundle,src={self._ca_bundle}"] if self._ca_bundle else []
        # No attestations, as in our bakes: the guide's engine may make none either.
        self.place.call(
            ["docker", "build", "--provenance=false", "--progress=plain", *secret, "-t", step.tag, context],
            cwd=self.folder,
        )

    def _into(self, context: Path, name: str) -> None:
        """Put a file or folder where the build finds it, by a rename: the person's folder is the context there."""
        if name in self.recipe.assets and not (self.folder / name).exists():
            name = self.recipe.assets[name].file_name
        if (self.folder / name).exists():
            shutil.rmtree(context / name, ignore_errors=True)
            (self.folder / name).rename(context / name)

    def run_command(self, step: RunStep) -> list[str | Path]:
        """The ``docker run`` call of a step; folders that it writes are made."""
        volumes = []
        for place, name in step.folders.items():
            path = self.folder / name
            if not path.exists():
                path.mkdir()
            volumes.append(f"--volume={path}:{place}")
        options = ["--rm", "--network=none", "--env=PYTHONPATH=/uplift", "--env=PYTHONDONTWRITEBYTECODE=1", *volumes]
        return ["docker", "run", *options, f"--entrypoint={step.program}", step.image, *step.arguments]


def _joined(whole: Cost, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """The cost of the whole; its clients' CPU is in the steps too."""
    return {**whole.as_data(), "steps_seconds": round(sum(entry["seconds"] for entry in entries), 2)}
