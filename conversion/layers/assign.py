"""Writes how the difference between two images is shared out over layers.

    python -m conversion.layers.assign --old OLD --new NEW --limit-mib N --parts N --out parts.json

OLD and NEW are mounted file systems. parts.json is what `conversion.layers.copy_layer` reads:
``{"removed": [path, …], "folders": [path, …], "parts": [[[path, link, …], …], …]}``.
"""

from __future__ import annotations

import argparse
import json
import os
import zlib
from typing import List, Optional, Sequence

from conversion import failures
from conversion.layers.packing import MIB, Part, capacity, share_out
from conversion.layers.trees import Difference, compare

_BLOCK = 1 << 20
# zstd as BuildKit uses it (level 3) makes libraries up to a quarter smaller than zlib's fastest level does.
_BETTER = 0.75


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Compare, share out, check and write."""
    parser = argparse.ArgumentParser(prog="python -m conversion.layers.assign")
    for option in ("--old", "--new", "--out"):
        parser.add_argument(option, required=True)
    for option in ("--limit-mib", "--parts"):
        parser.add_argument(option, required=True, type=int)
    given = parser.parse_args(arguments)
    limit = given.limit_mib * MIB
    found = compare(given.old, given.new)
    shared = share_out(found, capacity(limit))
    print(
        f"{len(found.files)} files new or changed, {sum(found.files.values()) / MIB:.1f} MiB; "
        f"{len(found.removed)} entries removed; {len(shared)} layers of at most {given.limit_mib} MiB",
        flush=True,
    )
    _require_count(len(shared), given.parts, given.limit_mib)
    _require_small(shared, given.new, limit)
    _write(found, shared, given.out)
    return 0


def _require_count(needed: int, planned: int, limit_mib: int) -> None:
    if needed > planned:
        raise failures.ConversionError(
            f"the new stack needs {needed} layers of at most {limit_mib} MiB, and {planned} are planned: "
            f"write installed-mib = {needed * limit_mib} into the recipe's [stack], or raise layer-limit-mib"
        )


def _require_small(shared: Sequence[Part], new: str, limit: int) -> None:
    """Refuse a file that no compression gets below the limit."""
    for part in shared:
        if part.weight <= capacity(limit) or not part.pieces:
            continue
        path = part.pieces[0].paths[0]
        size = compressed_size(os.path.join(new, path), stop=int(limit / _BETTER))
        if size * _BETTER > limit:
            raise failures.ConversionError(
                f"/{path} is too large for a layer of {limit / MIB:.0f} MiB: it has {part.weight / MIB:.0f} MiB, "
                f"at least {size * _BETTER / MIB:.0f} MiB when compressed, and one file can't be split: "
                "raise layer-limit-mib, and the limit of the registry or of the proxy before it"
            )
        print(f"/{path} has {part.weight / MIB:.1f} MiB and a layer of its own; compressed about {size / MIB:.0f} MiB")


def compressed_size(path: str, *, stop: int) -> int:
    """Compress a file quickly, and count; beyond ``stop`` bytes no more is done."""
    packer = zlib.compressobj(1)
    size = 0
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(_BLOCK), b""):
            size += len(packer.compress(block))
            if size > stop:
                return size
    return size + len(packer.flush())


def _write(found: Difference, shared: Sequence[Part], out: str) -> None:
    lists: List[List[Sequence[str]]] = [[piece.paths for piece in part.pieces] for part in shared]
    text = json.dumps({"removed": found.removed, "folders": found.folders, "parts": lists})
    os.makedirs(os.path.dirname(out) or ".", exist_ok=True)
    with open(out, "w", encoding="ascii") as file:
        file.write(text)


if __name__ == "__main__":
    failures.run(main)
