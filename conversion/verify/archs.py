"""Compute capabilities, as people and compilers write them, and which compiled code serves which card.

A cubin made for X.Y runs on a device X.Z with Z >= Y (CUDA C++ Programming Guide, "Binary Compatibility");
one made for an architecture-specific target (sm_90a) runs on that compute capability alone, one for a family
(sm_120f) on its major version from that minor on.
"""

from __future__ import annotations

import re
from typing import Iterable, List, Optional, Tuple

from conversion.failures import ConversionError

_ARCH = re.compile(r"^(\d+)\.(\d)([af]?)$")


def sm_name(arch: str) -> str:
    """The name that compilers use: "12.0" → "120", "9.0a" → "90a".

    Raises:
        ConversionError: not an arch.
    """
    match = _ARCH.match(arch)
    if match is None:
        raise ConversionError(f"{arch!r} is no compute capability like 9.0 or 12.0")
    return "".join(match.groups())


def serving(arch: str, available: Iterable[str]) -> Optional[str]:
    """The entry of `available` (as "90", "90a") that serves the arch ("9.0"); the exact one if it is there."""
    wanted = sm_name(arch)
    have = set(available)
    if wanted in have:
        return wanted
    if wanted[-1] in "af":  # an arch-specific target asks for just that
        return None
    for suffix in ("a", "f"):
        if wanted + suffix in have:
            return wanted + suffix
    lower = [name for name in have if _runs_on_later_minor(name, wanted)]
    return max(lower, key=lambda name: int(name.rstrip("f")), default=None)


def _runs_on_later_minor(name: str, wanted: str) -> bool:
    if name.endswith("a"):
        return False
    number = name.rstrip("f")
    return number[:-1] == wanted[:-1] and int(number) <= int(wanted)


def in_order(targets: Iterable[str]) -> List[str]:
    """Targets as compilers name them, by number: {"120", "90a"} → ["sm_90a", "sm_120"]."""
    return [f"sm_{name}" for name in sorted(targets, key=lambda item: (int(item.rstrip("af")), item))]


def number(arch: str) -> Tuple[int, int]:
    """A compute capability as numbers that can be compared: "12.0a" → (12, 0)."""
    major, _, minor = arch.rstrip("af").partition(".")
    return int(major), int(minor)


def arch_list(text: str) -> List[str]:
    """The archs of a ``TORCH_CUDA_ARCH_LIST``: "9.0;12.0+PTX" asks for SASS of 9.0 and 12.0."""
    return [arch.partition("+")[0] for arch in re.split(r"[;,\s]+", text) if arch]
