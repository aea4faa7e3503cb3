"""Proves an image: everything that the recipe promises, one row per fact.

    python -m conversion.verify.checks --spec verify.json --base-inventory inventory.json --extracted DIR
        --patch-report FILE --archs "9.0;12.0" --uv /tools/uv --out report.json

Runs inside the image, without network or GPU. The exit status is 0 once the report is written, whatever the
rows say: who reads the report decides. A check that fails by itself is a failing row.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Tuple

from conversion import failures
from conversion.environment import inventory
from conversion.verify import checkpoints, packages, patch_rows, torch_load_audit, versions
from conversion.verify.device_rows import device_rows
from conversion.verify.model_rows import model_rows
from conversion.verify.rows import FAIL, Row, guarded, report
from conversion.verify.sass import extension_row
from conversion.verify.torch_libraries import driver_rows, library_rows

Check = Tuple[str, str, Callable[[], Iterable[Row]]]


def checks(spec: Dict[str, Any], options: argparse.Namespace) -> List[Check]:
    """The visible list of checks, in the report's order: check, subject, work."""
    image: List[inventory.Inventory] = []

    def found() -> inventory.Inventory:
        if not image:
            image.append(inventory.collect(options.uv, spec["prefix"]))
        return image[0]

    def base() -> inventory.Inventory:
        return inventory.load(options.base_inventory)

    expected: Dict[str, str] = spec.get("versions", {})
    absent: List[str] = spec.get("absent", [])
    archs = list(spec.get("archs", []))
    if archs and options.archs:
        archs = arch_list(options.archs)
    named = [*expected, *absent, *spec.get("release", [])]
    work: List[Check] = [
        ("version", "environment", lambda: versions.version_rows(expected, found())),
        ("absent", "environment", lambda: versions.absent_rows(absent, found())),
    ]
    if "cuda" in spec:
        work.append(("cuda", "torch", lambda: versions.cuda_rows(spec["cuda"])))
        work.append(("library", "torch", library_rows))
    if archs:
        work.append(("arch", "torch", lambda: versions.arch_rows(archs)))
    work.extend(("sass", name, _sass(name, archs)) for name in spec.get("extensions", []))
    asked = spec.get("driver")
    if asked:
        work.append(("driver", "image", lambda: driver_rows(asked["require"], asked["oldest"], os.environ)))
    cards = arch_list(options.archs) or spec.get("cards", [])
    if cards:
        work.append(("device", "image", lambda: device_rows(spec, cards, base())))
    if spec.get("models", {}).get("sets"):
        work.append(("model", "models", lambda: model_rows(spec["models"], str(options.extracted), _base(options))))
    load: Dict[str, List[str]] = spec.get("load", {})
    if load.get("files"):
        sets = spec.get("models", {}).get("sets", [])
        known = [pattern for model_set in sets for pattern in model_set["files"]]
        path = load.get("path", [])
        work.append(
            ("checkpoint", "files", lambda: checkpoints.checkpoint_rows(load["files"], path, known)),
        )
    if spec.get("patch_roots"):
        work.append(("patch", "patched files", lambda: patch_rows.patched_file_rows(_patch_report(options))))
        work.append(("patch", "source", lambda: patch_rows.root_rows(spec["patch_roots"])))
    if spec.get("look_roots"):
        fresh = torch_load_audit.fresh_packages(expected)
        roots = spec.get("patch_roots", [])
        work.append(("torch-load", "elsewhere", lambda: torch_load_audit.look_rows(spec["look_roots"], roots, fresh)))
    work.append(("conflict", "environment", lambda: packages.conflict_rows(base(), found())))
    work.append(("constraint", "environment", lambda: packages.constraint_rows(base(), found(), named)))
    work.append(("difference", "environment", lambda: packages.difference_rows(base(), found())))
    return work


def arch_list(text: str) -> List[str]:
    """The archs of a ``TORCH_CUDA_ARCH_LIST``: "9.0;12.0+PTX" asks for SASS of 9.0 and 12.0."""
    return [arch.partition("+")[0] for arch in re.split(r"[;,\s]+", text) if arch]


def _sass(name: str, archs: List[str]) -> Callable[[], Iterable[Row]]:
    return lambda: [extension_row(name, archs)]


def _base(options: argparse.Namespace) -> str:
    if options.base is None:
        raise failures.SpecError("no --base was given")
    return str(options.base)


def _patch_report(options: argparse.Namespace) -> Dict[str, Any]:
    if options.patch_report is None:
        raise failures.SpecError("no --patch-report was given")
    document: Dict[str, Any] = failures.read_json(options.patch_report)
    return document


def verify(spec: Dict[str, Any], options: argparse.Namespace) -> Dict[str, Any]:
    """Run every check; returns the report's document."""
    rows: List[Row] = []
    for check, subject, work in checks(spec, options):
        done = guarded(check, subject, work)
        rows.extend(done)
        failed = [row for row in done if row.status == FAIL]
        print(f"{check} {subject}: {len(done)} rows, {len(failed)} failed", flush=True)
        for row in failed:
            print(f"  FAIL {row.check} {row.subject}: expected {row.expected}, found {row.found}; {row.detail}")
    return report(str(spec.get("recipe", "")), rows)


def main() -> int:
    """Write the report to ``--out``."""
    parser = argparse.ArgumentParser(prog="python -m conversion.verify.checks", description=__doc__)
    parser.add_argument("--spec", required=True, type=Path)
    parser.add_argument("--archs", default="", help="in place of the specification's, as in TORCH_CUDA_ARCH_LIST")
    parser.add_argument("--base-inventory", required=True, type=Path)
    parser.add_argument("--base", type=Path, help="the base's root")
    parser.add_argument("--extracted", type=Path)
    parser.add_argument("--patch-report", type=Path)
    parser.add_argument("--uv", required=True)
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()
    spec = failures.read_json(options.spec)
    if not isinstance(spec, dict) or "prefix" not in spec:
        raise failures.SpecError(f"{options.spec} is no specification of a verification: it has no prefix")
    document = verify(spec, options)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    failures.run(main)
