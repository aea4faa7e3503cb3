"""Benches the guide's way against our bake: ``python -m tests.bench``, as root; see README.md beside this file."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bake.errors import BuildFailed, EnvironmentUnfit, Interrupted, UpliftError, UsageError
from generator.console.reporter import Reporter
from generator.recipe import Recipe, load_recipe
from lab.base_image import ca_bundle
from tests.bench import bounds, report
from tests.bench.place import Place, require_fit
from tests.bench.scenarios import Bench, Scenario, chosen
from tests.engine.network.processes import PREFIX
from tests.engine.network.switch import FOLDERS
from tests.engine.small import TOP

SAVED = "tests/bench/results/{}-{}-cores.json"
BASE_AND_REGISTRY = 2  # times the base: on the engine, and its blobs with those of the image in the registry


def options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("-r", "--recipe", default="demo", help="shipped recipe or path (default %(default)s)")
    names = ", ".join(scenario.option for scenario in Scenario)
    usual = f"one of {names}; repeatable; default: all but {Scenario.TORCH.option}"
    parser.add_argument("--scenario", action="append", default=[], metavar="NAME", help=usual)
    parser.add_argument("--rounds", type=int, default=1, help="how often all is run (default %(default)s)")
    parser.add_argument("--extension", help="extension whose source is changed (default: the recipe's first sdist)")
    parser.add_argument("--no-verify", action="store_true", help="do not check the images")
    parser.add_argument("--disk-gib", type=float, help="room that a bake takes beside its base (default: the recipe's)")
    parser.add_argument("--assets", type=Path, default=Path(), help="folder of assets that were fetched")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file (they go to stdout as well)")
    parser.add_argument("--against", type=Path, help=f"saved results (default: {SAVED.format('RECIPE', 'CORES')})")
    parsed = parser.parse_args(arguments)
    if parsed.rounds < 1:
        parser.error("--rounds: at least one")
    return parsed


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    chosen_options = options(arguments)
    reporter = Reporter()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that everything is cleared away
    try:
        bench(chosen_options, reporter)
    except UpliftError as error:
        reporter.failure(error)
        return error.exit_status
    except KeyboardInterrupt:
        reporter.failure(Interrupted("interrupted"))
        return Interrupted.exit_status
    return 0


def bench(wanted: argparse.Namespace, reporter: Reporter) -> None:
    """Run all rounds; results are written after each, so that an interrupted bench leaves what it has."""
    scenarios = chosen(wanted.scenario)
    name = str(Path(wanted.recipe).resolve()) if wanted.recipe.endswith(".toml") else wanted.recipe
    recipe = load_recipe(name).recipe
    extension = _extension(recipe, wanted.extension)
    room = recipe.image.disk_gib if wanted.disk_gib is None else wanted.disk_gib
    require_fit(BASE_AND_REGISTRY * base_bytes(recipe), room)
    runs: list[dict[str, object]] = []
    bundle = ca_bundle(os.environ)
    work = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-work-", dir=FOLDERS))
    try:
        with Place(recipe.base.image, work) as place:
            version = place.engine.docker("version", "--format", "{{.Server.Version}}")
            facts = report.machine(version, place.meter.group.source)
            one = Bench(
                place=place,
                recipe=recipe,
                name=name,
                base=recipe.base.image,
                wanted=scenarios,
                extension=extension,
                ca_bundle=bundle,
                assets=wanted.assets.resolve(),
                verify=not wanted.no_verify,
                say=reporter.note,
            )
            for number in range(1, wanted.rounds + 1):
                for record in one.run(number):
                    runs.append(record)
                    _write(wanted, report.document(recipe.name, recipe.base.image, facts, runs))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    data = report.document(recipe.name, recipe.base.image, facts, runs)
    reporter.data(report.markdown(data))
    _compare(data, wanted.against)


def _compare(data: dict[str, Any], file: Path | None) -> None:
    """Hold the ratios against those of a saved run, where there is one.

    Raises:
        BuildFailed: one got worse.
    """
    saved = file or TOP / SAVED.format(data["recipe"], data["machine"]["cores"])
    if file is None and not saved.exists():
        return
    try:
        table = json.loads(saved.read_text(encoding="utf-8"))["table"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"no results of a bench: {error}", where=str(saved)) from None
    if found := bounds.worse(data["table"], table):
        raise BuildFailed(
            "\n".join(("slower than it was", *found)), where=str(saved), remedy="find out why, or save this run"
        )


def base_bytes(recipe: Recipe) -> int:
    """Bytes of the base on the machine's engine.

    Raises:
        EnvironmentUnfit: it isn't there.
    """
    command = ["docker", "image", "inspect", "--format", "{{.Size}}", recipe.base.image]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        remedy = f"run `{recipe.base.remedy}`" if recipe.base.remedy else "pull it"
        raise EnvironmentUnfit(f"the base {recipe.base.image} is not on this engine", remedy=remedy)
    return int(done.stdout)


def _extension(recipe: Recipe, name: str | None) -> str:
    sdists = [key for key, extension in recipe.extensions.items() if extension.source == "sdist"]
    if name and name not in sdists:
        raise UsageError(
            f"{name} is no sdist of the recipe", where="--extension", remedy=f"choose of: {', '.join(sdists)}"
        )
    return name or next(iter(sdists), "")


def _write(wanted: argparse.Namespace, data: dict[str, object]) -> None:
    for path, text in ((wanted.json, json.dumps(data, indent=1) + "\n"), (wanted.markdown, report.markdown(data))):
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
