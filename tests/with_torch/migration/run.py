"""Runs the migration corpus: `make` and `extract` in the old environment, `rebuild` and `keep` in the new one.

    python -m tests.with_torch.migration.run COMMAND --out DIR [--only NAME,…]

DIR stands at one place in both environments: the files keep their absolute paths. ``keep`` judges by what a stock
loader reads, and writes DIR/results.json; it fails if anything was lost or came out otherwise than expected.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from tests.with_torch.migration.case import Case, importing
from tests.with_torch.migration.corpus import all_cases

RELEASED = ["torch", "torch-geometric", "torch-scatter", "torch-sparse", "torch-cluster", "nvidia-*", "triton"]
ABSENT = ["pytorch3d", "torch-spline-conv"]
PRELOADED = """
import runpy, sys
import torch_geometric.nn, torch_geometric.transforms
del sys.argv[0]
runpy.run_module("conversion.models." + sys.argv[0], run_name="__main__", alter_sys=True)
"""


class Run:
    """The folder of one run of the corpus."""

    def __init__(self, out: Path, only: list[str]) -> None:
        self.out = out
        self.cases = [case for case in all_cases() if not only or case.name in only]

    def code(self, case: Case) -> Path:
        return self.out / "code" / case.name

    def file(self, case: Case) -> Path:
        return self.out / "files" / case.name / case.file

    def rebuilt(self, case: Case) -> Path:
        return self.out / "rebuilt" / str(self.file(case)).lstrip("/")

    def migrated(self, case: Case) -> Path:
        """What the image would hold: the file that was written anew, or the old one."""
        return self.rebuilt(case) if self.rebuilt(case).exists() else self.file(case)

    def extracted(self) -> set[str]:
        """The files that extract took."""
        manifest = json.loads((self.out / "extracted" / "manifest.json").read_text())
        return {entry["file"] for entry in manifest["models"]}

    def entry(self, case: Case) -> dict[str, Any]:
        return {
            "name": case.name,
            "files": [str(self.file(case))],
            "path": [str(self.code(case))],
            "needs": list(case.needs),
            "construct": case.construct,
            "probe": case.probe,
            "unprobed": None if case.probe else case.unprobed,
            "tolerance": case.tolerance,
        }


def write_code(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "net.py").write_text(text)


def make(run: Run) -> int:
    """Write the users' code and files, and models.json."""
    made, missing = [], {}
    for case in run.cases:
        if not case.possible():
            missing[case.name] = f"needs {', '.join(case.needs)}"
            continue
        write_code(run.code(case), case.code)
        run.file(case).parent.mkdir(parents=True, exist_ok=True)
        try:
            with importing(run.code(case)) as net:
                case.save(case.make(net), run.file(case))
        except Exception:
            traceback.print_exc()
            print(f"case {case.name} can't be made")
        made.append(run.entry(case))
    document = {"schema": 2, "released": RELEASED, "absent": ABSENT, "sets": made}
    (run.out / "models.json").write_text(json.dumps(document, indent=1))
    (run.out / "missing.json").write_text(json.dumps(missing, indent=1))
    print(f"{len(made)} files made, {len(missing)} not possible here")
    return 0


def conversion(run: Run, name: str, *arguments: str) -> int:
    """Run a module of conversion as a bake does, and keep what it said.

    The library is imported before the files' processes start, which a bake of few files need not do: 200 times 2 s.
    """
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        PRELOADED,
        name,
        "--spec",
        str(run.out / "models.json"),
        *arguments,
    ]
    started = time.monotonic()
    log = run.out / f"{name}.log"
    with log.open("w") as file:
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False)
    print(f"{name}: status {done.returncode} after {time.monotonic() - started:.1f} s", flush=True)
    if done.returncode not in {0, 1}:
        print(log.read_text()[-3000:])
    return done.returncode


def extract(run: Run) -> int:
    """Status 1 is right: files that must be refused are among them."""
    return 0 if conversion(run, "extract", "--out", str(run.out / "extracted"), "--limit", "60") in {0, 1} else 1


def rebuild(run: Run) -> int:
    for case in run.cases:
        if case.later:
            write_code(run.code(case), case.later)
    places = ["--extracted", str(run.out / "extracted"), "--out", str(run.out / "rebuilt")]
    status = conversion(run, "rebuild", *places, "--report", str(run.out / "parity.json"), "--limit", "60")
    return 0 if status in {0, 1} else 1


def said_of(run: Run, case: Case, log: str) -> str:
    """What a command said of a case's file: the lines from its name to the next file's."""
    lines, wanted, taken = (run.out / f"{log}.log").read_text().splitlines(), str(run.file(case)), []
    inside = False
    for line in lines:
        if str(run.out / "files") in line:
            inside = wanted in line
        if inside:
            taken.append(line)
    return "\n".join(taken)


def judge(run: Run, case: Case, entry: dict[str, Any] | None) -> dict[str, Any]:
    """What became of a case: its outcome, and the reason of a refusal or a loss."""
    if str(run.file(case)) not in run.extracted():
        outcome, reason = "refused", said_of(run, case, "extract")
        if not reason:
            outcome, reason = "lost", "neither extracted nor refused by name"
    elif entry is None:
        outcome, reason = "lost", "extracted, and not in the report"
    elif not entry["agrees"]:
        outcome, reason = "refused", "\n".join(map(str, entry["problems"]))
    else:
        outcome, reason = entry["outcome"], ""
        try:
            with importing(run.code(case)) as net:
                case.keep(case.load(run.migrated(case)), net)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            outcome, reason = "lost", f"{type(error).__name__}: {error} (line {where.lineno}: {where.line})"
    if outcome == "refused" and run.rebuilt(case).exists():
        outcome, reason = "lost", "refused, and yet a file was written: " + reason
    right = outcome == case.outcome and (outcome != "refused" or case.reason in reason)
    return {
        "name": case.name,
        "kind": case.kind,
        "title": case.title,
        "expected": case.outcome,
        "outcome": outcome,
        "reason": reason,
        "right": right,
    }


def keep(run: Run) -> int:
    report = json.loads((run.out / "parity.json").read_text())["models"]
    missing = json.loads((run.out / "missing.json").read_text())
    entries = {entry["set"]: entry for entry in report}
    results = [judge(run, case, entries.get(case.name)) for case in run.cases if case.name not in missing]
    (run.out / "results.json").write_text(json.dumps(results, indent=1))
    wrong = [result for result in results if not result["right"]]
    for result in wrong:
        print(f"{result['name']}: {result['outcome']}, expected {result['expected']}: {result['reason'][:1500]}\n")
    counts = {
        outcome: sum(r["outcome"] == outcome for r in results) for outcome in sorted({r["outcome"] for r in results})
    }
    print(f"{len(results)} cases: {counts}; not as expected: {len(wrong)}")
    return 1 if wrong else 0


def untouched(run: Run) -> int:
    """Hold the cases themselves against the files that were not migrated, in the environment that made them."""
    failing = 0
    for case in run.cases:
        try:
            with importing(run.code(case)) as net:
                case.keep(case.load(run.file(case)), net)
        except NotImplementedError:
            continue
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            failing += 1
            print(f"{case.name}: {type(error).__name__}: {error} (line {where.lineno}: {where.line})")
    print(f"{failing} of {len(run.cases)} cases do not hold on their own file")
    return 1 if failing else 0


COMMANDS = {"make": make, "extract": extract, "rebuild": rebuild, "keep": keep, "untouched": untouched}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    arguments.out.mkdir(parents=True, exist_ok=True)
    only = [name for name in arguments.only.split(",") if name]
    return COMMANDS[arguments.command](Run(arguments.out.resolve(), only))


if __name__ == "__main__":
    sys.exit(main())
