"""The scenarios, in the order in which they run on one engine; each gives records of runs, as plain data.

A round empties the engine twice: once for each way. What builds on a warm engine comes right after that way's cold run.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from bake.errors import UsageError
from generator.recipe import Recipe
from tests.bench import images, variants
from tests.bench.by_bake import REPOSITORY, ByBake
from tests.bench.by_bake import TAG as BAKED
from tests.bench.by_hand import ByHand
from tests.bench.place import REGISTRY, Place

Record = dict[str, Any]
GUIDE, OURS = "guide", "ours"


class Scenario(str, Enum):
    """What can be measured; ``cold`` is always run, since the others build on it."""

    COLD = "cold"
    PUSH = "push"
    NOTHING = "nothing changed"
    CONVERSION = "conversion changed"
    SOURCE = "one .cu changed"
    TORCH = "torch changed"
    FRESH = "fresh runner"
    WHEELS = "fresh runner, wheels only"
    COMPILERS = "fresh runner, compiler cache only"

    @property
    def option(self) -> str:
        return self.value.replace(" .", "-").replace(",", "").replace(" ", "-")


USUAL = tuple(scenario for scenario in Scenario if scenario is not Scenario.TORCH)
STEPS, WHEELS, COMPILERS = "lab/uplift-cache", "lab/uplift-wheels", "lab/uplift-ccache"
# What a fresh runner does not find of these in the registry, and what it is told.
FRESH = {
    Scenario.FRESH: ((), ("--require-warm",)),
    Scenario.WHEELS: ((STEPS,), ("--require-warm",)),
    Scenario.COMPILERS: ((STEPS, WHEELS), ()),
}


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What stays the same over all rounds.

    ``base`` is the frozen image, ``extension`` the one whose source is changed ("" for none); ``say`` tells how far
    it is.
    """

    place: Place
    recipe: Recipe
    name: str
    base: str
    wanted: frozenset[Scenario]
    extension: str
    ca_bundle: Path | None
    assets: Path
    verify: bool
    say: Callable[[str], None]

    def run(self, number: int) -> Iterator[Record]:
        """One round, both ways; which of them begins alternates."""
        ways = (self._guide, self._ours) if number % 2 else (self._ours, self._guide)
        for way in ways:
            folder = self.place.work / f"round-{number}-{way.__name__.strip('_')}"
            self.say(f"round {number}: {way.__name__.strip('_')}: an empty engine with the base")
            self.place.clear_registry()
            self.place.empty()
            for record in way(folder, f"round-{number}"):
                yield {"round": number, **record}
                self.say(_line(record))
            shutil.rmtree(folder, ignore_errors=True)

    def _guide(self, folder: Path, sign: str) -> Iterator[Record]:
        hand = ByHand(self.place, self.recipe, self.name, folder, ca_bundle=self.ca_bundle, assets=self.assets)
        cold = hand.run()
        yield _record(GUIDE, Scenario.COLD, {**cold, "bytes": {"added": self._added(hand.tag)}})
        if Scenario.NOTHING in self.wanted:
            yield _record(GUIDE, Scenario.NOTHING, hand.run())
        if Scenario.PUSH in self.wanted:
            yield _record(GUIDE, Scenario.PUSH, self._push_by_hand(hand.tag, folder))
        if Scenario.CONVERSION in self.wanted and self.recipe.models:
            hand.change_conversion(sign)
            yield _record(GUIDE, Scenario.CONVERSION, hand.run())
        if self.verify:
            bake = ByBake(self.place, self.recipe, self.name, folder / "verify", ca_bundle=self.ca_bundle)
            yield {"way": GUIDE, "scenario": "verify", **bake.verify(hand.tag)}

    def _ours(self, folder: Path, sign: str) -> Iterator[Record]:
        bake = ByBake(self.place, self.recipe, self.name, folder, ca_bundle=self.ca_bundle)
        cold = bake.run()
        whole, needed = self._added(BAKED), self._needed()
        figures = {"added": whole, "needed": needed.total, "packages": needed.packages, "files": needed.files}
        yield _record(OURS, Scenario.COLD, {**cold, "bytes": figures})
        if Scenario.NOTHING in self.wanted:
            yield _record(OURS, Scenario.NOTHING, bake.run())
        if Scenario.PUSH in self.wanted:
            self._push_base(folder)
            before = self.place.stored_bytes()
            pushed = bake.run(*bake.push_options())
            yield _record(OURS, Scenario.PUSH, {**pushed, "pushed_bytes": self.place.stored_bytes() - before})
        if Scenario.CONVERSION in self.wanted and self.recipe.models:
            copy = variants.repository(folder, sign)
            changed = bake.run(code=copy)
            if Scenario.PUSH in self.wanted:
                before = self.place.stored_bytes()
                bake.run(*bake.push_options(), code=copy)
                changed["pushed_bytes"] = self.place.stored_bytes() - before
            yield _record(OURS, Scenario.CONVERSION, changed)
        if Scenario.SOURCE in self.wanted and self.extension:
            yield self._source_changed(bake, folder, cold)
        if Scenario.TORCH in self.wanted:
            other = folder / "torch.toml"
            other.write_text(
                variants.with_torch(variants.recipe_text(self.name), *variants.OTHER_TORCH), encoding="utf-8"
            )
            yield _record(OURS, Scenario.TORCH, bake.run("--tag", "uplift-bench:torch", recipe=str(other)))
        if self.verify:
            yield {"way": OURS, "scenario": "verify", **bake.verify(BAKED)}
        if self.wanted & FRESH.keys():
            yield from self._fresh(bake, folder)

    def _source_changed(self, bake: ByBake, folder: Path, cold: Record) -> Record:
        place = folder / "source"
        place.mkdir()
        recipe, assets, source = variants.changed_extension(self.name, self.extension, place)
        run = bake.run("--tag", "uplift-bench:source", recipe=str(recipe), assets=assets)
        figures = {
            "extension": self.extension,
            "source": source,
            "compile_seconds": bake.compile_seconds(run, self.extension),
            "cold_compile_seconds": bake.compile_seconds(cold, self.extension),
        }
        return _record(OURS, Scenario.SOURCE, {**run, **figures})

    def _fresh(self, bake: ByBake, folder: Path) -> Iterator[Record]:
        """Fill the registry from the warm engine; then bake on empty ones, with less and less in the registry."""
        self._push_base(folder)
        options = ("--push", "--registry", REPOSITORY, "--cache", f"{REGISTRY}/{STEPS}")
        filling = bake.run(*options)
        mark = self._emptied()
        with self.place.meter.measured() as pulling:
            self.place.call(["docker", "pull", "--quiet", f"{REPOSITORY}/{BAKED}"], cwd=folder)
        image = {
            "filling_seconds": filling["seconds"],
            "pull_seconds": round(pulling.seconds, 2),
            "image_bytes": self.place.traffic(mark).pulled_bytes,
        }
        for scenario, (missing, told) in FRESH.items():
            if scenario not in self.wanted:
                continue
            for repository in missing:
                self.place.forget(repository)
            mark = self._emptied()
            shutil.rmtree(bake.folder / "build")
            run = bake.run(*options, *told)
            yield _record(OURS, scenario, {**run, **image, "pulled_bytes": self.place.traffic(mark).pulled_bytes})

    def _emptied(self) -> int:
        """Make the engine a fresh one; gives a mark of what the registry had answered until then."""
        self.place.empty()
        return self.place.mark()

    def _push_by_hand(self, image: str, folder: Path) -> Record:
        self._push_base(folder)
        before = self.place.stored_bytes()
        name = f"{REPOSITORY}/{image}"
        with self.place.meter.measured() as cost:
            self.place.call(["docker", "tag", image, name], cwd=folder)
            self.place.call(["docker", "push", "--quiet", name], cwd=folder)
        return {**cost.as_data(), "pushed_bytes": self.place.stored_bytes() - before}

    def _push_base(self, folder: Path) -> None:
        """Put the base where the results go: a registry that has it already gets what is new only."""
        name = f"{REPOSITORY}/uplift-bench:base"
        self.place.call(["docker", "tag", self.base, name], cwd=folder)
        self.place.call(["docker", "push", "--quiet", name], cwd=folder)
        self.place.call(["docker", "image", "rm", name], cwd=folder)

    def _added(self, image: str) -> int:
        return images.added_bytes(self.place.engine, image, self.base)

    def _needed(self) -> images.Needed:
        roots = (*(self.recipe.patch.roots if self.recipe.patch else ()), *_model_roots(self.recipe))
        listed = [
            images.contents(self.place.engine, image, self.recipe.base.prefix, roots) for image in (self.base, BAKED)
        ]
        return images.needed(*listed)


def _model_roots(recipe: Recipe) -> tuple[str, ...]:
    """The folders above the first wildcard of the recipe's model files."""
    found = set()
    for models in recipe.models.values():
        for pattern in models.files:
            plain = pattern.partition("*")[0]
            found.add(plain.rpartition("/")[0])
    return tuple(sorted(found))


def _record(way: str, scenario: Scenario, data: Record) -> Record:
    return {"way": way, "scenario": scenario.value, **data}


def _line(record: Record) -> str:
    if record["scenario"] == "verify":
        return f"  {record['way']}: verify: {len(record['failed'])} of {record['rows']} rows failed"
    return (
        f"  {record['way']}: {record['scenario']}: {record['seconds']:.1f} s, {record['cpu_seconds']:.0f} CPU seconds"
    )


def chosen(names: list[str]) -> frozenset[Scenario]:
    """Scenarios by the names of the command line; none: all but the long ones.

    Raises:
        UsageError: there is no scenario of a name.
    """
    known = {scenario.option: scenario for scenario in Scenario}
    for name in names:
        if name not in known:
            raise UsageError(
                f"there is no scenario {name!r}", where="--scenario", remedy=f"choose of: {', '.join(known)}"
            )
    return frozenset({Scenario.COLD, *(known[name] for name in names)} if names else USUAL)
