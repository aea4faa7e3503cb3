"""What `make real` says at its end: times, CPU seconds of the compiles, each model, and what the checks found."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from bake import untrusted
from bake.buildx import results
from lab.demo_summary import read_times

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FIRST = ("model", "sass", "ptx", "device")  # checks whose rows are shown one by one; of the others only the count
SHOWN = ("fail", "undecided")


def targets(baked: results.Results) -> dict[str, dict[str, Any]]:
    """For each target that ran: seconds in which its own steps ran, and what its compilers measured, if it has some."""
    compilers = {
        name: str(wheel.get("compilers", {}).get("measured", wheel.get("origin", "")))
        for name, wheel in baked.data.get("wheels", {}).items()
    }
    found = {}
    for name in baked.targets:
        seconds = sum(end - began for began, end in baked.busy(name))
        if seconds or name in compilers:
            found[name] = {"seconds": round(seconds, 1), "compilers": compilers.get(name, "")}
    return found


def figures(
    image: str, *, times: Mapping[str, int], baked: results.Results, report: Mapping[str, Any]
) -> dict[str, Any]:
    """Collect all that is shown; a report's row is as `verify` writes it."""
    rows = list(report["rows"])
    return {
        "image": image,
        "passed": report["passed"],
        "seconds": dict(times),
        "compile_cpu": baked.data.get("cpu", {}),
        "targets": targets(baked),
        "checks": {
            status: dict(Counter(row["check"] for row in rows if row["status"] == status))
            for status in dict.fromkeys(row["status"] for row in rows)
        },
        "rows": [row for row in rows if row["check"] in FIRST or row["status"] in SHOWN],
    }


def show(found: Mapping[str, Any], console: Console) -> None:
    """Print the figures as a person reads them."""
    phases = Table(title="make real", title_justify="left", show_header=False)
    for name, seconds in found["seconds"].items():
        phases.add_row(name, f"{seconds} s")
    if cpu := found["compile_cpu"]:
        phases.add_row("all compilers", f"{cpu['seconds']:.0f} CPU s on {cpu['cores']:.0f} cores")
    console.print(phases)

    made = Table("target", "its steps", "compilers", title="what was made", title_justify="left")
    for name, target in found["targets"].items():
        made.add_row(name, f"{target['seconds']:.1f} s", target["compilers"])
    console.print(made)

    rows = Table("", "check", "subject", "found", "detail", title="models, device code, failures", title_justify="left")
    for row in found["rows"]:
        rows.add_row(row["status"], row["check"], row["subject"], row["found"], row["detail"])
    console.print(rows)

    for status, checks in found["checks"].items():
        listed = ", ".join(f"{count} {check}" for check, count in checks.items())
        console.print(f"{status}: {sum(checks.values())} ({listed})")
    console.print(f"{found['image']}: " + ("verified" if found["passed"] else "NOT verified"))


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see real.sh."""
    parser = argparse.ArgumentParser(prog="python -m lab.real_summary", description=__doc__)
    parser.add_argument("--image", required=True, help="the image that was made")
    parser.add_argument("--build", required=True, type=Path, help="the build folder")
    parser.add_argument("--times", required=True, type=Path, help="file with one 'phase<TAB>seconds' a line")
    parser.add_argument("--json", required=True, type=Path, help="where the figures are written")
    options = parser.parse_args(arguments)
    report = json.loads(untrusted.read(options.build / "verify", "report.json"))
    baked = results.load(options.build)
    found = figures(options.image, times=read_times(options.times), baked=baked, report=report)
    options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    show(found, Console(stderr=True, soft_wrap=False, width=None))


if __name__ == "__main__":
    main()
