"""All cases, in the order of the table."""

from __future__ import annotations

from tests.with_torch.migration import code, convolutions, files, graphs, identity, layers, state, values
from tests.with_torch.migration.case import CASES

THEMES = (values, identity, state, layers, code, files, convolutions, graphs)


def all_cases():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names), sorted(name for name in names if names.count(name) > 1)
    return CASES
