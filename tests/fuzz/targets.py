"""What is fuzzed: each target with its seeds, how they are made worse, and the function that takes the result."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from conversion.failures import ConversionError
from tests.fuzz import feed, mutate

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fuzz.mutate import Mutator

CORPUS = Path(__file__).parent / "corpus"
_TOP = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Target:
    """One kind of input. ``seeds``: globs of files, from the repository's top. ``documented``: what it may raise."""

    name: str
    seeds: tuple[str, ...]
    mutate: Mutator
    feed: Callable[[bytes], None]
    documented: tuple[type[Exception], ...] = ()

    @property
    def seed_inputs(self) -> tuple[bytes, ...]:
        """The content of the seeds."""
        return _contents(self.seeds)

    @property
    def corpus(self) -> list[Path]:
        """Inputs that once brought something about."""
        return sorted((CORPUS / self.name).glob("*"))

    def input(self, seed: int, number: int) -> bytes:
        """Make the input of a number; the same one always."""
        draw = random.Random(f"{self.name} {seed} {number}")
        return self.mutate(draw, self.seed_inputs)


@cache
def _contents(seeds: tuple[str, ...]) -> tuple[bytes, ...]:
    found = tuple(path.read_bytes() for glob in seeds for path in sorted(_TOP.glob(glob)) if path.is_file())
    if not found:
        raise AssertionError(f"no seed: {seeds}")
    return found


_RECIPES = ("generator/recipes/*.toml", "tests/golden/other-kinds.toml")
_SIGNED = ("tests/fuzz/seeds/bundle.json", "tests/fuzz/seeds/statement.json")
TARGETS = {
    target.name: target
    for target in (
        Target(name="recipe", seeds=_RECIPES, mutate=mutate.of_toml, feed=feed.recipe),
        Target(name="value", seeds=_RECIPES, mutate=mutate.toml_texts, feed=feed.value),
        Target(name="stack", seeds=("generator/recipes/stacks/*.toml",), mutate=mutate.of_toml, feed=feed.stack),
        Target(name="site", seeds=("tests/fuzz/seeds/site.toml",), mutate=mutate.of_toml, feed=feed.site),
        Target(name="lock", seeds=("tests/fuzz/seeds/*.lock.toml",), mutate=mutate.of_toml, feed=feed.lock),
        Target(
            name="events",
            seeds=("tests/unit/bake/streams/*.jsonl", "tests/fuzz/seeds/facts.jsonl"),
            mutate=mutate.of_json_lines,
            feed=feed.events,
        ),
        Target(name="registry", seeds=("tests/fuzz/seeds/*.http",), mutate=mutate.of_answers, feed=feed.registry),
        Target(name="page", seeds=("tests/fuzz/seeds/*.html",), mutate=mutate.of_bytes, feed=feed.page),
        Target(name="metadata", seeds=("tests/fuzz/seeds/metadata.json",), mutate=mutate.of_json, feed=feed.metadata),
        Target(name="results", seeds=("tests/fuzz/seeds/results.json",), mutate=mutate.of_json, feed=feed.results),
        Target(name="contents", seeds=("tests/fuzz/seeds/bytes.json",), mutate=mutate.of_json, feed=feed.contents),
        Target(name="report", seeds=("tests/fuzz/seeds/report.json",), mutate=mutate.of_json, feed=feed.report),
        Target(name="bundle", seeds=_SIGNED, mutate=mutate.of_json, feed=feed.bundle),
        Target(
            name="installed", seeds=("tests/fuzz/seeds/installed.json",), mutate=mutate.of_json, feed=feed.installed
        ),
        Target(
            name="model",
            seeds=("tests/fuzz/seeds/*.pt", "tests/fuzz/seeds/*.pt.gz"),
            mutate=mutate.of_bytes,
            feed=feed.model,
            documented=(ConversionError,),
        ),
        Target(name="source", seeds=("tests/fuzz/seeds/*.py.txt",), mutate=mutate.of_bytes, feed=feed.source),
        Target(
            name="log",
            seeds=("tests/unit/bake/failure/logs/*.txt", "tests/unit/bake/streams/errors/*.jsonl"),
            mutate=mutate.of_bytes,
            feed=feed.log,
        ),
    )
}
