"""Mutates migrated files and asks the proof of each: `python -m tests.with_torch.migration.mutate --out DIR`.

Runs in the new environment, after `run rebuild`. What a stock load does not show is no mutation, and not counted.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from conversion.failures import ConversionError
from conversion.models import model_record, model_spec, proof
from conversion.verify.prove_models import prove_file
from tests.with_torch.migration.case import Case, importing
from tests.with_torch.migration.mutations import Mutation, chosen, mutations
from tests.with_torch.migration.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OF_EACH = 5
TOO_LARGE = 10_000_000  # bytes; nothing is proven better by larger files
NOT_WALKED = {"scripted"}  # its file holds no Python objects


class Prover:
    """The proof of files against what extract recorded, without the probe: the graph alone must tell."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.sets = {entry.name: entry for entry in model_spec.load(run.out / "models.json").sets}
        self.manifest = model_record.read_manifest(run.out / "extracted")
        self.place = proof.Place.beside(self.manifest)

    def problems(self, case: Case, migrated: Path) -> list[str]:
        original = str(self.run.file(case))
        taken = model_record.read(self.run.out / "extracted" / self.manifest.entries[original])
        places = (str(original), str(migrated))
        try:
            return list(prove_file(self.sets[case.name], self.place, taken, *places, probed=False).problems)
        except ConversionError as error:
            return [str(error)]


def apart(function: Callable[[], Any]) -> Any:
    """What a function returns, in a process of its own: a library's classes remember the instances made before."""
    with tempfile.TemporaryFile("w+") as answer:
        child = os.fork()
        if not child:
            try:
                json.dump(function(), answer)
                answer.flush()
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", flush=True)
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        answer.seek(0)
        return json.loads(answer.read())


def mutants(case: Case, path: Path, count: int) -> list[Mutation]:
    return chosen(list(mutations(case.load(path))), count, case.name)


def tried(case: Case, mutation: Mutation, source: Path, target: Path) -> str:
    """Make a mutant: "" if it stands, else why it is none."""
    before = mutation.look(case.load(source))
    changed = mutation.apply(case.load(source))
    try:
        case.save(changed, target)
    except Exception as error:
        return f"can't be saved: {type(error).__name__}"
    try:
        after = mutation.look(case.load(target))
    except Exception:
        return ""  # gone or broken: the proof must say so too
    return "a stock load shows no change" if after == before else ""


def of_case(run: Run, prover: Prover, case: Case, count: int) -> Iterator[dict[str, Any]]:
    """What became of each mutation of a case's file, and of the file itself."""
    source = run.migrated(case)
    sound = apart(lambda: prover.problems(case, source))
    yield {"case": case.name, "kind": "unmutated", "where": "", "why": "", "seen": not sound, "problems": sound[:3]}
    for number in range(apart(lambda: len(mutants(case, source, count)))):
        target = run.out / "mutants" / case.name / f"{number}-{case.file}"
        target.parent.mkdir(parents=True, exist_ok=True)

        def make(number: int = number, target: Path = target) -> list[str]:
            mutation = mutants(case, source, count)[number]
            return [mutation.kind, mutation.where, tried(case, mutation, source, target)]

        kind, where, why = apart(make)
        seen = bool(why) or bool(apart(partial(prover.problems, case, target)))
        target.unlink(missing_ok=True)
        yield {"case": case.name, "kind": kind, "where": where, "why": why, "seen": seen}


def mutate(run: Run, count: int) -> int:
    prover, started = Prover(run), time.monotonic()
    report = json.loads((run.out / "parity.json").read_text())["models"]
    proven = {entry["set"] for entry in report if entry["agrees"]} - NOT_WALKED
    cases = [case for case in run.cases if case.name in proven and run.migrated(case).stat().st_size < TOO_LARGE]
    told: list[dict[str, Any]] = []
    for case in cases:
        with importing(run.code(case)):
            told += of_case(run, prover, case, count)
    tries = [entry for entry in told if entry["kind"] != "unmutated"]
    kinds = collections.Counter(entry["kind"] for entry in tries if not entry["why"])
    none = collections.Counter(f"{entry['kind']}: {entry['why']}" for entry in tries if entry["why"])
    through = [entry for entry in told if not entry["seen"]]
    summary = {"files": len(cases), "mutations": sum(kinds.values()), "kinds": kinds, "none": none, "through": through}
    (run.out / "mutations.json").write_text(json.dumps(summary, indent=1))
    for entry in through:
        print(f"got through: {entry}")
    for what, times in none.most_common():
        print(f"no mutation ({times}): {what}")
    seconds, total = f"{time.monotonic() - started:.0f} s", sum(kinds.values())
    print(f"{total} mutations of {len(kinds)} kinds in {len(cases)} files, {len(through)} got through; {seconds}")
    return 1 if through else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--of-each", type=int, default=OF_EACH)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    sys.dont_write_bytecode = True
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    only = [name for name in arguments.only.split(",") if name]
    return mutate(Run(arguments.out.resolve(), only), arguments.of_each)


if __name__ == "__main__":
    sys.exit(main())
