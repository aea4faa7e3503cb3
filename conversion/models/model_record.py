"""What extract writes and rebuild and verify read: a manifest, and a record for each model file.

A record is JSON, with the probe's outputs beside it as a state dict: no object of the model's code or of a library is
in them, so any environment reads them.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Tuple

import torch

from conversion.failures import ConversionError, SpecError
from conversion.models.fresh import Made
from conversion.models.graph import Graph
from conversion.models.parity import Recorded

SCHEMA = 2
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Record:
    """One model file as the old environment knew it.

    Attributes:
        file: its absolute path, symbolic links resolved.
        graph: of what it holds.
        made: by node, how a library's module is made anew.
        unmade: by node, why a library's module can't be.
        probe: the outputs in both precisions; None where the recipe has no probe.
    """

    file: str
    graph: Graph
    made: Dict[int, Made]
    unmade: Dict[int, str]
    probe: Optional[Recorded]


@dataclass(frozen=True)
class Manifest:
    """An extraction.

    Attributes:
        torch, python, cpu: where it ran.
        owners: top-level module → name and version of its distribution, for all that the records name.
        absent: top-level modules of the distributions that rebuilding does without.
        entries: file → its record's name.
        sets: file → the name of its set.
    """

    torch: str
    python: str
    cpu: str
    owners: Mapping[str, Tuple[str, str]]
    absent: Tuple[str, ...]
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
    """Write a record to ``path`` and ``path``.outputs; the same record gives the same bytes."""
    document = {
        "schema": SCHEMA,
        "file": record.file,
        "graph": record.graph.to_json(),
        "made": {str(number): made.to_json() for number, made in record.made.items()},
        "unmade": {str(number): reason for number, reason in record.unmade.items()},
    }
    path.write_text(json.dumps(document), encoding="utf-8")
    if record.probe is not None:
        outputs = {"float32": list(record.probe.float32), "float64": list(record.probe.float64)}
        torch.save(outputs, str(path) + ".outputs")


def read(path: Path) -> Record:
    """Read a record that `write` wrote.

    Raises:
        ConversionError: it is of another schema.
    """
    document = json.loads(path.read_text(encoding="utf-8"))
    if document.get("schema") != SCHEMA:
        raise ConversionError(f"{path} is not a record of schema {SCHEMA}: extract again")
    outputs = Path(str(path) + ".outputs")
    probe = None
    if outputs.exists():
        probe = Recorded(**torch.load(str(outputs), map_location="cpu", weights_only=True))
    return Record(
        file=document["file"],
        graph=Graph.from_json(document["graph"]),
        made={int(number): Made(**made) for number, made in document["made"].items()},
        unmade={int(number): reason for number, reason in document["unmade"].items()},
        probe=probe,
    )


def write_manifest(
    folder: Path, owners: Mapping[str, Tuple[str, str]], absent: List[str], done: Mapping[str, Tuple[str, str]]
) -> None:
    """Write the manifest of an extraction done here and now; ``done``: file → its set and its record's name."""
    document = {
        "schema": SCHEMA,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "cpu": cpu_name(),
        "owners": {module: list(owner) for module, owner in sorted(owners.items())},
        "absent": sorted(absent),
        "models": [{"file": file, "set": name, "record": entry} for file, (name, entry) in sorted(done.items())],
    }
    (folder / MANIFEST).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Read an extraction's manifest.

    Raises:
        SpecError: there is none, or it is of another schema.
    """
    path = folder / MANIFEST
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise SpecError(f"{path} has schema {document['schema']}, not {SCHEMA}: extract again")
        models = document["models"]
        return Manifest(
            torch=document["torch"],
            python=document["python"],
            cpu=document["cpu"],
            owners={module: (name, version) for module, (name, version) in document["owners"].items()},
            absent=tuple(document["absent"]),
            entries={item["file"]: item["record"] for item in models},
            sets={item["file"]: item["set"] for item in models},
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SpecError(f"can't read the extraction's manifest {path}: {error}") from error
