"""BuildKit's own lint of a rendered bake file: every target's Dockerfile through `docker buildx build --check`.

`docker buildx bake --check` can't follow links between targets ("unsupported context source target"), so each target is
checked alone, with an empty folder in place of every linked target and image. Nothing is built, and nothing pulled.
Run it where the bake file is meant to be used: its paths count from the working folder.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def targets_of(bake_file: Path) -> dict[str, dict[str, Any]]:
    """Return every target as `docker buildx bake --print` resolves it.

    Raises:
        subprocess.CalledProcessError: buildx refuses the file; its words are on stderr.
    """
    every = _printed(bake_file, ["--list", "type=targets,format=json"])
    names = [row["name"] for row in every if not row.get("group")]
    printed: dict[str, dict[str, Any]] = _printed(bake_file, ["--print", *names])["target"]
    return printed


def _printed(bake_file: Path, arguments: Sequence[str]) -> Any:
    command = ["docker", "buildx", "bake", "--progress", "quiet", "--file", str(bake_file), *arguments]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def check_command(target: Mapping[str, Any], *, placeholder: Path) -> list[str]:
    """Return the call that lints one target; `placeholder` is an empty folder."""
    command = ["docker", "buildx", "build", "--check", "--file"]
    context = target.get("context", ".")
    command.append(str(Path(context) / target.get("dockerfile", "Dockerfile")))
    for name in target.get("contexts", {}):
        command += ["--build-context", f"{name}={placeholder}"]
    for name, value in target.get("args", {}).items():
        command += ["--build-arg", f"{name}={value}"]
    if "target" in target:
        command += ["--target", target["target"]]
    return [*command, context]


def failures(bake_file: Path) -> Iterator[str]:
    """Yield what BuildKit complains about, one text a target."""
    with tempfile.TemporaryDirectory() as placeholder:
        for name, target in sorted(targets_of(bake_file).items()):
            command = check_command(target, placeholder=Path(placeholder))
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode:
                yield f"{name}:\n{done.stdout.strip() or done.stderr.strip()}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: the bake file's path; status 1 if there is anything to mend."""
    parser = argparse.ArgumentParser(prog="python -m lab.check_rendered", description=__doc__)
    parser.add_argument("bake_file", type=Path)
    bake_file = parser.parse_args(arguments).bake_file
    status = 0
    for text in failures(bake_file):
        sys.stderr.write(f"{text}\n")
        status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
