"""Breaks bakes at random moments and bakes again: ``python -m tests.faults``, as root; README.md says more."""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.engine.network.processes import PREFIX
from tests.engine.network.switch import FOLDERS
from tests.faults.kinds import FAULTS, Trial, strike, undisturbed
from tests.faults.place import Place


def options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=int(time.time()), help="what decides the moments (default: the time)"
    )
    parser.add_argument("--moments", type=int, default=50, help="faults of each kind (default %(default)s)")
    parser.add_argument("--kind", action="append", choices=list(FAULTS), help="repeatable; default: all")
    parser.add_argument("--minutes", type=float, help="begin no further fault after so many")
    parser.add_argument("--json", type=Path, help="write every trial to this file, anew after each")
    return parser.parse_args(arguments)


def table(trials: list[Trial]) -> str:
    """Say for each kind how it went."""
    rows = [
        "| fault | moments | struck | first bake had done | again, same digest | tracebacks | leaks |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for kind in FAULTS:
        made = [trial for trial in trials if trial.kind == kind]
        if made:
            counts = (
                len(made),
                sum(trial.struck for trial in made),
                sum(trial.first == 0 for trial in made),
                sum(trial.again == 0 and trial.same for trial in made),
                sum(trial.tracebacks for trial in made),
                sum(bool(trial.leaks) for trial in made),
            )
            rows.append(f"| {kind} | " + " | ".join(map(str, counts)) + " |")
    return "\n".join(rows)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns 1 where a fault was not overcome."""
    wanted = options(arguments)
    trials: list[Trial] = []
    work = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-faults-", dir=FOLDERS))
    ends = time.monotonic() + (wanted.minutes or float("inf")) * 60
    sys.stderr.write(f"seed {wanted.seed}\n")
    try:
        with Place(work=work, chance=random.Random(wanted.seed)) as place:
            expected = {push: undisturbed(place, push=push) for push in (True, False)}
            sys.stderr.write(f"undisturbed, to a registry and to the engine: {expected}\n")
            for number in range(wanted.moments):
                for kind in wanted.kind or FAULTS:
                    if time.monotonic() > ends:
                        continue
                    trials.append(strike(place, kind, number, expected))
                    sys.stderr.write(f"{trials[-1].as_data() if not trials[-1].good else kind}\n")
                    if wanted.json:
                        data = {"seed": wanted.seed, "trials": [trial.as_data() for trial in trials]}
                        wanted.json.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    finally:
        shutil.rmtree(work, ignore_errors=True)
        sys.stdout.write(f"{table(trials)}\n")
    return 0 if all(trial.good for trial in trials) else 1


if __name__ == "__main__":
    sys.exit(main())
