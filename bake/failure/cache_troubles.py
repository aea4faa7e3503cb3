"""What went wrong with the caches of a build that was none the worse for it: unreachable, refused, not written.

BuildKit reports a cache that is not there and one that can't be read in the same way, and goes on in both cases; with
``ignore-error=true`` it does so for one that can't be written too. The first is no news, the others are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bake.progress.events import State, StepKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bake.progress.events import Step

_ABSENT = re.compile(
    r"\bnot found\b|manifest unknown|MANIFEST_UNKNOWN|NAME_UNKNOWN|no such file|could not read index", re.IGNORECASE
)
_REQUEST = re.compile(r'.*(?:Head|Get|Post|Put|Patch) "[^"]*": ', re.DOTALL)
_LONGEST = 200  # characters of a reason


def troubles(steps: Iterable[Step]) -> list[str]:
    """Give a sentence for each different reason that caches could not be read or written for."""
    found: dict[tuple[str, str], set[str]] = {}
    for step in steps:
        if step.kind is not StepKind.CACHE or step.state is not State.FAILED:
            continue
        verb = "read" if step.label.startswith("importing") else "written"
        if verb == "written" or not _ABSENT.search(step.error):
            found.setdefault((verb, _reason(step.error)), set()).add(step.target)
    return [
        f"the build cache of {', '.join(sorted(targets))} could not be {verb}: {reason}"
        for (verb, reason), targets in found.items()
    ]


def _reason(error: str) -> str:
    """Give the end of a chain of errors, without the address, which differs from target to target."""
    text = _REQUEST.sub("", error)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
