"""What `make demo` says at its end: where the image is, how big, and how long each phase took."""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence


def read_times(path: Path) -> dict[str, int]:
    """Phase -> seconds, in the order of the phases; the file has one `name<TAB>seconds` a line."""
    pairs = (line.split("\t") for line in path.read_text().splitlines() if line)
    return {name: int(seconds) for name, seconds in pairs}


def summary(image: str, times: dict[str, int]) -> dict[str, object]:
    """Collect the figures of one run; `size_bytes` is the engine's own count for the pulled image."""
    answer = subprocess.run(["docker", "image", "inspect", image], check=True, capture_output=True, text=True)
    found = json.loads(answer.stdout)[0]
    repository = image.rpartition(":")[0]
    digests = (str(digest).partition("@") for digest in found.get("RepoDigests", []))
    return {
        "image": image,
        "digest": next((digest for name, _, digest in digests if name == repository), None),
        "size_bytes": found["Size"],
        "seconds": times,
        "total_seconds": sum(times.values()),
    }


def show(figures: dict[str, object], times: dict[str, int], console: Console) -> None:
    """Print the figures as a person reads them."""
    table = Table(title="make demo", title_justify="left", show_header=False)
    table.add_row("image", str(figures["image"]))
    table.add_row("digest", str(figures["digest"]))
    table.add_row("size", f"{int(str(figures['size_bytes'])) / 1e9:.2f} GB in the engine's store")
    for name, seconds in times.items():
        table.add_row(name, f"{seconds} s")
    table.add_row("all phases", f"{figures['total_seconds']} s")
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see demo.sh."""
    parser = argparse.ArgumentParser(prog="python -m lab.demo_summary", description=__doc__)
    parser.add_argument("--image", required=True, help="reference of the pulled image")
    parser.add_argument("--times", required=True, type=Path, help="file with one 'phase<TAB>seconds' a line")
    parser.add_argument("--json", required=True, type=Path, help="where the figures are written")
    options = parser.parse_args(arguments)
    times = read_times(options.times)
    figures = summary(options.image, times)
    options.json.write_text(json.dumps(figures, indent=2) + "\n")
    show(figures, times, Console(stderr=True))


if __name__ == "__main__":
    main()
