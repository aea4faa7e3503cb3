"""Records the zoo's outputs in one environment, and compares with them in another.

python -m tests.with_torch.across record FILE
python -m tests.with_torch.across compare FILE     exit status 1 if an output disagrees
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import torch

from conversion.models import model_spec, parity, probe
from tests.with_torch import zoo


def recorded(name: str) -> parity.Recorded:
    """What a case gives in both precisions, each from a module of its own."""
    case = zoo.CASES[name]
    described = {"seed": 904, "sizes": zoo.SIZES, "calls": case.calls}
    (models,) = model_spec.parse({"schema": 2, "sets": [{"name": name, "files": ["/m"], "probe": described}]}).sets
    assert models.probe is not None
    runs = {kind: probe.outputs(models.probe, case.make(), zoo.FILE, kind) for kind in ("float32", "float64")}
    return parity.Recorded(**runs)


def main(what: str, file: str) -> int:
    warnings.filterwarnings("ignore")
    found: dict[str, Any] = {name: vars(recorded(name)) for name in zoo.CASES}
    if what == "record":
        torch.save(found, file)
        return 0
    old = torch.load(file, weights_only=False)
    failed = 0
    for name, runs in found.items():
        verdict = parity.compare(parity.Recorded(**old[name]), parity.Recorded(**runs))
        failed += not verdict.agrees
        sys.stdout.write(f"{'agrees' if verdict.agrees else 'DIFFERS'} {name}: {verdict.text}\n")
    return min(failed, 1)


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
