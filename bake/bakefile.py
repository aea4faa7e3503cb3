"""What the driver has to know of a bake file before buildx reads it: the names of its variables and targets."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bake.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_LINK = re.compile(r'"target:([^"]+)"')
_BLOCK = re.compile(r'^(?P<kind>variable|target|group)\s+"(?P<name>[^"$\\]+)"\s*\{', re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class BakeFile:
    """Names that a bake file declares, in its order, and which target names which others as a context."""

    variables: tuple[str, ...]
    targets: tuple[str, ...]
    groups: tuple[str, ...]
    links: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def needs(self, target: str) -> frozenset[str]:
        """All targets that a target needs, directly or through others."""
        found: set[str] = set()
        rest = [target]
        while rest:
            fresh = self.links.get(rest.pop(), frozenset()) - found
            found |= fresh
            rest += fresh
        return frozenset(found)


def read_bake_file(path: Path) -> BakeFile:
    """Read the names out of an HCL bake file.

    Raises:
        UsageError: the file cannot be read.

    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(
            f"the bake file cannot be read: {reason}",
            where=str(path),
            remedy="render it first: python -m generator render",
        ) from None
    return names_in(text)


def names_in(text: str) -> BakeFile:
    """Names of the top-level blocks in HCL text; blocks stand at the start of a line, as the renderer writes them."""
    names: dict[str, dict[str, None]] = {"variable": {}, "target": {}, "group": {}}
    links: dict[str, frozenset[str]] = {}
    blocks = [*_BLOCK.finditer(text)]
    ends = [*(block.start() for block in blocks[1:]), len(text)]
    for block, end in zip(blocks, ends, strict=False):
        names[block["kind"]].setdefault(block["name"])
        if block["kind"] == "target":
            links[block["name"]] = frozenset(_LINK.findall(text, block.end(), end))
    return BakeFile(
        variables=tuple(names["variable"]),
        targets=tuple(names["target"]),
        groups=tuple(names["group"]),
        links=links,
    )
