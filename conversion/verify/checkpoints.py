"""Tries every other checkpoint with the new torch: each must load on the CPU, as the pipeline's own call loads it.

Each file is loaded by ``torch.load(map_location="cpu", weights_only=False)``, plain pickles by pickle, in a process of
its own: one that crashes does not keep the others from being tried. A file that is no checkpoint of torch is told and
let pass.
"""

from __future__ import annotations

import glob
import gzip
import json
import os
import subprocess
import sys
import zipfile
import zlib
from typing import Iterator, List, Sequence, Set

from conversion.verify.image import Image, Spec
from conversion.verify.rows import FAIL, INFO, Row

EXPECTED = "loads on the CPU"
_GZIP = b"\x1f\x8b"
_PICKLE = b"\x80"  # how torch's older format starts


def rows(_image: Image, spec: Spec) -> Iterator[Row]:
    """The rows of the files that the recipe names, but those of models."""
    load = spec.get("load", {})
    known = [pattern for model_set in spec.get("models", {}).get("sets", []) for pattern in model_set["files"]]
    yield from checkpoint_rows(load.get("files", []), load.get("path", []), known)


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
    except (OSError, EOFError, ValueError, RuntimeError, zlib.error, zipfile.BadZipFile):
        return True  # torch says what is wrong with it


def _tried(files: Sequence[str], path: Sequence[str]) -> Iterator[Row]:
    if not files:
        return
    folders = [argument for folder in path for argument in ("--path", folder)]
    command = [sys.executable, "-m", "conversion.verify.load_checkpoints", *folders, "--", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
    rows = [Row(**json.loads(line)) for line in done.stdout.splitlines()]
    yield from rows
    if len(rows) < len(files):
        last = " / ".join([line for line in done.stderr.strip().splitlines() if line][-2:])
        yield Row("checkpoint", files[len(rows)], EXPECTED, "the check broke off", FAIL, last)
