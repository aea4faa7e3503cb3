"""All cases, in the order of the table."""

from __future__ import annotations

import importlib

from tests.with_torch.migration.case import CASES, Case
from tests.with_torch.migration.table import THEMES


def all_cases() -> list[Case]:
    """The cases of all themes.

    Raises:
        AssertionError: two have one name.
    """
    for theme in THEMES:
        importlib.import_module(f"tests.with_torch.migration.{theme}")
    cases = sorted(CASES, key=lambda case: THEMES.index(type(case).__module__.rpartition(".")[2]))
    names = [case.name for case in cases]
    assert len(set(names)) == len(names), sorted(name for name in names if names.count(name) > 1)
    return cases
