"""What extract writes and rebuild and verify read: a manifest, and one record per model file.

A record holds tensors, plain Python values and the bytes of the checkpoint's other keys, and no object of the
model's code or of a library, so any torch can load it.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

import torch

from conversion.failures import ConversionError, SpecError
from conversion.loading import load_checkpoint, to_bytes

FORMAT = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint around its module.

    Attributes:
        kind: "dict", "OrderedDict", or None where the checkpoint is the module.
        keys: all keys in their order, the module's among them.
        rest: the other keys, each with its value as torch saved it.
    """

    kind: Optional[str]
    keys: Tuple[Any, ...] = ()
    rest: Tuple[Tuple[Any, bytes], ...] = ()


@dataclass(frozen=True)
class ProbeRun:
    """A recorded probe: what went in, what came out."""

    seed: int
    inputs: Mapping[str, Any]
    outputs: List[Tuple[str, Any]]


@dataclass(frozen=True)
class Record:
    """One model as the old environment knew it.

    Attributes:
        file: its absolute path, symbolic links resolved.
        model_set: the name of its set.
        class_name: the module's class.
        positional, keyword: the constructor's arguments.
        state: the state dict, its entries plain tensors.
        metadata: the state dict's own version notes.
        requires_grad: by parameter name.
        modules: see `conversion.attributes.read_modules`.
        checkpoint: the rest of the file.
        probe: None where the recipe has none.
    """

    file: str
    model_set: str
    class_name: str
    positional: Tuple[Any, ...]
    keyword: Mapping[str, Any]
    state: Mapping[str, Any]
    metadata: Mapping[str, Any]
    requires_grad: Mapping[str, bool]
    modules: Dict[str, Dict[str, Any]]
    checkpoint: Checkpoint
    probe: Optional[ProbeRun]


@dataclass(frozen=True)
class Manifest:
    """The records of an extraction (file → record's file name), the files' sets, and where it ran."""

    torch: str
    cpu: str
    entries: Mapping[str, str]
    sets: Mapping[str, str]


def cpu_name() -> str:
    """The processor's name and its widest vector instructions, on which the last bits of results depend."""
    name, flags = platform.processor() or platform.machine(), set()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            elif key.strip() == "flags":
                flags = set(value.split())
                break
    except OSError:
        pass
    vectors = next((flag for flag in ("avx512f", "avx2", "avx") if flag in flags), "")
    return f"{name}, {vectors}" if vectors else name


def write(record: Record, path: Path) -> None:
    """Write a record; the same record gives the same bytes."""
    content = {**vars(record), "format": FORMAT}
    content["checkpoint"] = vars(record.checkpoint)
    content["probe"] = None if record.probe is None else vars(record.probe)
    path.write_bytes(to_bytes(content))


def read(path: Path) -> Record:
    """Read a record that `write` wrote."""
    content = load_checkpoint(str(path))
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise ConversionError(f"{path} is not a record of format {FORMAT}: extract again")
    content["checkpoint"] = Checkpoint(**content["checkpoint"])
    content["probe"] = None if content["probe"] is None else ProbeRun(**content["probe"])
    return Record(**content)


def write_manifest(folder: Path, done: Mapping[str, Tuple[str, str]]) -> None:
    """Write the manifest of an extraction done here and now: file → its set and its record's file name."""
    document = {
        "format": FORMAT,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "cpu": cpu_name(),
        "models": [{"file": file, "set": name, "record": entry} for file, (name, entry) in sorted(done.items())],
    }
    (folder / MANIFEST).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Read an extraction's manifest.

    Raises:
        SpecError: there is none, or it is of another format.
    """
    path = folder / MANIFEST
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise SpecError(f"{path} has format {document['format']}, not {FORMAT}: extract again")
        entries = {item["file"]: item["record"] for item in document["models"]}
        sets = {item["file"]: item["set"] for item in document["models"]}
        return Manifest(torch=document["torch"], cpu=document["cpu"], entries=entries, sets=sets)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SpecError(f"can't read the extraction's manifest {path}: {error}") from error
