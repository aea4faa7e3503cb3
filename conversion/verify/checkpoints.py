"""Tries every other checkpoint with the new torch: each must load on the CPU, as the pipeline's own call loads it.

    python -m conversion.verify.checkpoints --path DIR … -- FILE …

Each file is loaded by ``torch.load(map_location="cpu", weights_only=False)``, plain pickles by pickle, in a process of
its own: one that crashes does not keep the others from being tried. A file that is no checkpoint of torch is told and
let pass.
"""

from __future__ import annotations

import argparse
import collections
import glob
import gzip
import json
import os
import subprocess
import sys
import zipfile
import zlib
from dataclasses import asdict
from functools import partial
from typing import Iterator, List, Sequence, Set

from conversion import failures
from conversion.verify.rows import FAIL, INFO, Row, judged

EXPECTED = "loads on the CPU"
_GZIP = b"\x1f\x8b"
_PICKLE = b"\x80"  # how torch's older format starts


def checkpoint_rows(patterns: Sequence[str], path: Sequence[str], known: Sequence[str]) -> Iterator[Row]:
    """One row per file that the patterns name.

    Args:
        patterns: globs of files inside the image.
        path: folders that go on sys.path, for classes that a checkpoint names.
        known: globs of files that another check covers.
    """
    covered = _files(known)
    found: List[str] = []
    for pattern in patterns:
        matches = sorted(_files([pattern]))
        if not matches:
            yield Row("checkpoint", pattern, "", "no such file", INFO)
        found.extend(file for file in matches if file not in covered and file not in found)
    yield from _tried([file for file in found if _is_checkpoint(file)], path)
    for file in found:
        if not _is_checkpoint(file):
            yield Row("checkpoint", file, "", "no checkpoint of torch", INFO)


def _files(patterns: Sequence[str]) -> Set[str]:
    matches = (path for pattern in patterns for path in glob.glob(pattern, recursive=True))
    return {os.path.realpath(path) for path in matches if os.path.isfile(path)}


def _is_checkpoint(file: str) -> bool:
    """Whether the file is an archive with a pickle in it, as torch writes them, or one bare pickle, gzipped or not."""
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                return any(name.endswith("data.pkl") for name in archive.namelist())
        with open(file, "rb") as opened:
            start = opened.read(2)
        if start == _GZIP:
            with gzip.open(file) as unpacked:
                start = unpacked.read(2)
        return start[:1] == _PICKLE
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile):
        return True  # torch says what is wrong with it


def _tried(files: Sequence[str], path: Sequence[str]) -> Iterator[Row]:
    if not files:
        return
    folders = [argument for folder in path for argument in ("--path", folder)]
    command = [sys.executable, "-m", "conversion.verify.checkpoints", *folders, "--", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
    rows = [Row(**json.loads(line)) for line in done.stdout.splitlines()]
    yield from rows
    if len(rows) < len(files):
        last = " / ".join([line for line in done.stderr.strip().splitlines() if line][-2:])
        yield Row("checkpoint", files[len(rows)], EXPECTED, "the check broke off", FAIL, last)


def summary(path: Sequence[str], file: str) -> str:
    """Load one file, with classes from these folders; gives what it holds in words.

    Raises:
        ConversionError: it can't be loaded.
    """
    from conversion.models import loading

    with loading.import_path(path):
        value = loading.load(file)
    if isinstance(value, dict):
        kinds = collections.Counter(type(item).__name__ for item in value.values())
        return f"a dict of {', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))}"
    return f"a {type(value).__module__}.{type(value).__qualname__}"


def main() -> int:
    """Print a row per file, as soon as it is known."""
    parser = argparse.ArgumentParser(prog="python -m conversion.verify.checkpoints", description=__doc__)
    parser.add_argument("--path", action="append", default=[])
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    from conversion.models import isolate, loading  # torch comes with the second, once for all of the forks

    del loading
    for outcome in isolate.each(partial(summary, options.path), options.files):
        bad = outcome.error is not None
        detail = str(outcome.error if bad else outcome.result)
        row = judged("checkpoint", outcome.file, EXPECTED, "does not load" if bad else "loads", not bad, detail)
        print(json.dumps(asdict(row)), flush=True)
    return 0


if __name__ == "__main__":
    failures.run(main)
