"""Benches compiled Python files: ``python -m tests.bench.bytecode --image IMAGE --python PYTHON --import torch``.

In containers of an image on the machine's engine: how long an import takes without .pyc files, the first time that it
writes them, and with them; what compiling all installed packages costs in seconds and bytes; see README.md beside this.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bake.errors import UpliftError, UsageError
from generator.console.reporter import Reporter
from tests.bench.report import machine

IMPORT = "import time; began = time.perf_counter(); import {modules}; print(time.perf_counter() - began)"
# All .pyc files below site-packages: how many, their bytes, and the bytes of an archive of them as zlib makes it.
COUNT = """\
import io, pathlib, sysconfig, tarfile, zlib
packages = pathlib.Path(sysconfig.get_path("purelib"))
found = sorted(packages.rglob("*.pyc"))
buffer = io.BytesIO()
with tarfile.open(fileobj=buffer, mode="w") as archive:
    for path in found:
        archive.add(path)
print(len(found), sum(path.stat().st_size for path in found), len(zlib.compress(buffer.getvalue())))
"""
COMPILE = "import compileall, sysconfig; compileall.compile_dir(sysconfig.get_path('purelib'), quiet=2, workers=0)"


def options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bytecode", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--image", required=True, help="an image on the machine's engine")
    parser.add_argument("--python", required=True, help="the environment's Python in it")
    parser.add_argument("--import", dest="modules", action="append", required=True, help="a module; repeatable")
    parser.add_argument("--times", type=int, default=5, help="how often each is done (default %(default)s)")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--markdown", type=Path, help="write the table to this file (it goes to stdout as well)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    wanted, reporter = options(arguments), Reporter()
    try:
        data = bench(wanted)
    except UpliftError as error:
        reporter.failure(error)
        return error.exit_status
    for path, text in ((wanted.json, json.dumps(data, indent=1) + "\n"), (wanted.markdown, markdown(data))):
        if path:
            path.write_text(text, encoding="utf-8")
    reporter.data(markdown(data))
    return 0


def bench(wanted: argparse.Namespace) -> dict[str, Any]:
    """Measure in two containers: in one an import writes its .pyc files, in the other all packages are compiled."""
    facts = machine(_docker("version", "--format", "{{.Server.Version}}"), "")
    imports = [IMPORT.format(modules=", ".join(wanted.modules))]
    with container(wanted.image, wanted.python) as python:
        python("-B", "-c", *imports)  # files come from the disk just once
        before = _counted(python)
        without = [float(python("-B", "-c", *imports)) for _ in range(wanted.times)]
        writing = float(python("-c", *imports))
        imported = _counted(python)
        after = [float(python("-B", "-c", *imports)) for _ in range(wanted.times)]
    with container(wanted.image, wanted.python) as python:
        began = time.monotonic()
        python("-c", COMPILE)
        seconds = time.monotonic() - began
        everything = _counted(python)
    return {
        "schema": 1,
        "machine": {name: value for name, value in facts.items() if name not in {"gpu", "cpu_and_memory_of"}},
        "modules": wanted.modules,
        "import_seconds": {"without": without, "writing": [writing], "with": after},
        "compile_seconds": round(seconds, 2),
        "files": {"before": before, "imported": imported, "all": everything},
    }


@contextmanager
def container(image: str, python: str) -> Iterator[Any]:
    """A container without network; gives what runs its Python with arguments and returns its stdout."""
    name = _docker("run", "--detach", "--rm", "--network=none", "--entrypoint=sleep", image, "86400")
    try:
        yield lambda *words: _docker("exec", "--env=PYTHONDONTWRITEBYTECODE=", name, python, *words)
    finally:
        _docker("rm", "--force", name)


def _counted(python: Any) -> dict[str, int]:
    count, size, compressed = (int(word) for word in python("-B", "-c", COUNT).split())
    return {"files": count, "bytes": size, "compressed": compressed}


def _docker(*command: str) -> str:
    done = subprocess.run(["docker", *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UsageError(
            done.stderr.strip()[-2000:], where=f"docker {command[0]}", remedy="give an image and its Python"
        )
    return done.stdout.strip()


def markdown(data: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    place, files = data["machine"], data["files"]

    def seconds(times: Sequence[float]) -> str:
        return f"{statistics.median(times):.2f} s"

    def added(which: str) -> tuple[str, str, str]:
        less = files["before"]
        size, packed = (files[which][key] - less[key] for key in ("bytes", "compressed"))
        return (str(files[which]["files"] - less["files"]), f"{size / 1e6:.1f} MB", f"{packed / 1e6:.1f} MB")

    head = ("", f"import {', '.join(data['modules'])}", "compiling", "files", "bytes", "compressed")
    times = data["import_seconds"]
    lines = (
        head,
        ("---",) * len(head),
        ("no .pyc, none written", seconds(times["without"]), "–", "–", "–", "–"),
        ("the first import writes them", seconds(times["writing"]), "–", *added("imported")),
        ("all packages compiled", seconds(times["with"]), f"{data['compile_seconds']:.1f} s", *added("all")),
    )
    facts = (
        f"{place['cores']} cores ({place['processor']}), Docker Engine {place['engine']}, load before "
        f"{place['load_before']}. Medians; all files were read before; compressed: an archive of just these, by zlib."
    )
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"# Compiled Python files\n\n{facts}\n\n{table}\n"


if __name__ == "__main__":
    sys.exit(main())
