"""Which NVIDIA driver a CUDA release needs, and how an image says so to the NVIDIA Container Toolkit. Pure.

Sources: NVIDIA, *CUDA Toolkit Release Notes*, table "CUDA Toolkit and Minimum Required Driver Versions", and *CUDA
Compatibility*, "Minor Version Compatibility"; the language of NVIDIA_REQUIRE_CUDA: *NVIDIA Container Toolkit*,
"Specialized Configurations with Docker" (a space is an or, a comma an and; ``cuda``, ``driver``, ``arch``, ``brand``).
"""

from __future__ import annotations

# Release of CUDA -> the Linux driver that came with it.
_DRIVERS = {
    "11.8": "520.61.05",
    "12.1": "530.30.02",
    "12.4": "550.54.14",
    "12.6": "560.28.03",
    "12.8": "570.26",
    "12.9": "575.51.03",
    "13.0": "580.65.06",
}


def oldest_driver(cuda: str) -> str:
    """Give the driver that runs all of a CUDA release, on every card that it knows, as ">=570.26"; "": not known."""
    return f">={_DRIVERS[cuda]}" if cuda in _DRIVERS else ""


def requirement(cuda: str) -> str:
    """Give NVIDIA_REQUIRE_CUDA for a CUDA release.

    Older drivers of the same major release run it too, by minor version compatibility, on cards that they know: none of
    these knows Blackwell, compute capability 10.0 and later, since that came with CUDA 12.8.
    """
    major, _, minor = cuda.partition(".")
    whole = f"cuda>={cuda}"
    return whole if minor == "0" else f"{whole} cuda>={major}.0,arch<10.0"
