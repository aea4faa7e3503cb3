from __future__ import annotations

import os
from typing import Any

import pytest

# What the program says as a step of GitHub Actions is tested with variables of the tests' own: where these tests run as
# such a step, they stay out of its annotations and summary.
for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
    os.environ.pop(name, None)


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist, with -n
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests with an engine in one process: they share engine, images and build cache."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 - not there where tests run inside images

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "engine" if nodeid.startswith("tests/engine/") else nodeid

    return Scheduling(config, log)
