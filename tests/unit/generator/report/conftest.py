"""Records of bakes: one that ran, and small ones written by hand."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from bake.buildx.results import Results

RECORDS = Path(__file__).parent / "records"
ZERO = datetime(2026, 11, 23, 12, 0, 0, tzinfo=timezone.utc)
# What the demo's bake file of that day named as contexts.
DEMO_LINKS = {
    "tools": frozenset(),
    "patch": frozenset(),
    "extract": frozenset(),
    "inventory": frozenset({"tools"}),
    "torch": frozenset({"tools"}),
    "toolchain": frozenset({"tools"}),
    "wheel-torch-scatter": frozenset({"toolchain", "tools", "torch"}),
    "wheel-torch-spline-conv": frozenset({"toolchain", "tools", "torch"}),
    "rebuild": frozenset({"extract", "tools", "torch", "wheel-torch-scatter"}),
    "image": frozenset({"patch", "rebuild", "tools", "torch", "wheel-torch-scatter", "wheel-torch-spline-conv"}),
    "verify": frozenset({"extract", "image", "inventory", "patch", "tools"}),
}


def at(seconds):
    return None if seconds is None else (ZERO + timedelta(seconds=seconds)).isoformat(timespec="microseconds")


def step(name, start, end, *, kind="instruction", state="done", shared_with=""):
    return {
        "name": name,
        "kind": kind,
        "state": state,
        "started": at(start),
        "completed": at(end),
        "seconds": 0 if start is None or end is None else end - start,
        "cached": state == "cached",
        "shared_with": shared_with,
        "error": "",
    }


def recorded(targets, *, seconds, **more):
    """A record: targets with their steps; times in seconds since the bake began."""
    return Results(
        {
            "schema": 1,
            "recipe": "small",
            "state": "done",
            "started": at(0),
            "completed": at(seconds),
            "seconds": seconds,
            "requested": ["image"],
            "pushed": False,
            "failure": None,
            "targets": {
                name: {"state": "done", "started": None, "completed": None, "digest": None, "tags": [], "steps": steps}
                for name, steps in targets.items()
            },
            **more,
        }
    )


@pytest.fixture(scope="session")
def demo():
    return Results(json.loads((RECORDS / "demo.json").read_text(encoding="utf-8")))
