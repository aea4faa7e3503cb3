"""What scripts inside a build tell whoever runs it: lines of JSON, ``{"uplift": KIND, "says": TEXT, NAME: VALUE, …}``.

``says`` is for people, and is what they are shown of it; the other names are for programs. Written by
``contexts/wheel/fact.py`` and by ``conversion``'s arrivals; no other output of a step is ever taken apart.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bake.progress.escapes import without_escapes

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST = 2**53  # up to which floats tell every whole number from the next
_START = '{"uplift": '


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One fact; ``values`` are as the script gave them: not every speaker in a build is one of ours."""

    kind: str
    says: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def number(self, name: str) -> float | None:
        """Give a value that a count, or seconds, may have; None for every other one, and where there is none."""
        value = self.values.get(name)
        return value if isinstance(value, (int, float)) and 0 <= value <= _MOST else None


def parse_fact(line: str) -> Fact | None:
    """Read a line of a step's output; None where it is anything but a fact."""
    if not line.startswith(_START):
        return None
    try:
        data = json.loads(line)
        kind, says = data.pop("uplift"), data.pop("says")
    except (ValueError, KeyError, RecursionError):
        return None
    if not isinstance(kind, str) or not isinstance(says, str):
        return None
    return Fact(kind=kind, says=" ".join(without_escapes(says).split()), values=data)
