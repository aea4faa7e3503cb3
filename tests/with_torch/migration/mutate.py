"""Mutates migrated files and asks the proof of each: `python -m tests.with_torch.migration.mutate --out DIR`.

Runs in the new environment, after `run rebuild`. What a stock load does not show is no mutation, and not counted.
"""

from __future__ import annotations

import argparse
import collections
import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch

from conversion.failures import ConversionError
from conversion.models import check, proof, records, spec
from tests.with_torch.migration.case import Case, importing
from tests.with_torch.migration.mutations import Mutation, chosen, mutations
from tests.with_torch.migration.run import Run

OF_EACH = 8
TOO_LARGE = 10_000_000  # bytes; nothing is proven better by larger files
NOT_WALKED = {"scripted"}  # its file holds no Python objects


class Prover:
    """The proof of files against what extract recorded, without the probe: the graph alone must tell."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.sets = {entry.name: entry for entry in spec.load(run.out / "models.json").sets}
        self.manifest = records.read_manifest(run.out / "extracted")
        self.place = proof.Place.beside(self.manifest)

    def problems(self, case: Case, migrated: Path) -> list[str]:
        original = str(self.run.file(case))
        taken = records.read(self.run.out / "extracted" / self.manifest.entries[original])
        places = (str(original), str(migrated))
        try:
            return list(check.prove_file(self.sets[case.name], self.place, taken, *places, probed=False).problems)
        except ConversionError as error:
            return [str(error)]


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


def mutate(run: Run, count: int) -> int:
    prove = Prover(run).problems
    report = json.loads((run.out / "parity.json").read_text())["models"]
    proven = {entry["set"] for entry in report if entry["agrees"]}
    kinds: collections.Counter[str] = collections.Counter()
    none: collections.Counter[str] = collections.Counter()
    through: list[dict[str, Any]] = []
    files, started = 0, time.monotonic()
    for case in run.cases:
        source = run.migrated(case)
        if case.name not in proven - NOT_WALKED or source.stat().st_size > TOO_LARGE:
            continue
        files += 1
        with importing(run.code(case)):
            sound = prove(case, source)
            if sound:
                through.append(
                    {"case": case.name, "kind": "unmutated", "where": "", "why": f"does not hold: {sound[:3]}"}
                )
            for number, mutation in enumerate(mutants(case, source, count)):
                target = run.out / "mutants" / case.name / f"{number}-{case.file}"
                target.parent.mkdir(parents=True, exist_ok=True)
                why = tried(case, mutation, source, target)
                if why:
                    none[f"{mutation.kind}: {why}"] += 1
                    continue
                kinds[mutation.kind] += 1
                if not prove(case, target):
                    through.append({"case": case.name, "kind": mutation.kind, "where": mutation.where})
                target.unlink()
    total = sum(kinds.values())
    summary = {"files": files, "mutations": total, "kinds": kinds, "none": none, "through": through}
    (run.out / "mutations.json").write_text(json.dumps(summary, indent=1))
    for entry in through:
        print(f"got through: {entry}")
    for what, times in none.most_common():
        print(f"no mutation ({times}): {what}")
    seconds = f"{time.monotonic() - started:.0f} s"
    print(f"{total} mutations of {len(kinds)} kinds in {files} files, {len(through)} got through; {seconds}")
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
