"""Loads a script of a context as a module: what stands there is no package, it runs inside builds."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

CONTEXTS = Path(__file__).parents[3] / "contexts"


def load(name: str) -> Any:
    """Load ``contexts/NAME``."""
    path = CONTEXTS / name
    known = f"context_{path.stem}"
    spec = importlib.util.spec_from_file_location(known, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[known] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module
