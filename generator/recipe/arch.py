"""CUDA compute capabilities: which exist, and which CUDA toolkit can compile for them.

Source: NVIDIA, *CUDA Compiler Driver NVCC*, section "GPU feature list", and the release notes of CUDA 11.8,
12.8 and 13.0 (13.0 dropped everything before Turing, 7.5). The releases: NVIDIA, *CUDA Toolkit Archive*, and the
versions of cuda-toolkit on PyPI.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ARCH = re.compile(r"(?P<major>\d{1,2})\.(?P<minor>\d)(?P<variant>[af]?)(?P<ptx>\+PTX)?\Z")

# capability -> (first CUDA release that compiles for it, last one; None: still does)
_SUPPORT: dict[str, tuple[tuple[int, int], tuple[int, int] | None]] = {
    "5.0": ((6, 5), (12, 9)),
    "5.2": ((6, 5), (12, 9)),
    "6.0": ((8, 0), (12, 9)),
    "6.1": ((8, 0), (12, 9)),
    "7.0": ((9, 0), (12, 9)),
    "7.5": ((10, 0), None),
    "8.0": ((11, 0), None),
    "8.6": ((11, 1), None),
    "8.7": ((11, 4), None),
    "8.9": ((11, 8), None),
    "9.0": ((11, 8), None),
    "10.0": ((12, 8), None),
    "10.3": ((12, 9), None),
    "11.0": ((13, 0), None),
    "12.0": ((12, 8), None),
    "12.1": ((12, 9), None),
}

RELEASES = (
    *(f"11.{minor}" for minor in range(9)),
    *(f"12.{minor}" for minor in (0, 1, 2, 3, 4, 5, 6, 8, 9)),
    *(f"13.{minor}" for minor in range(6)),
)


@dataclass(frozen=True, kw_only=True)
class Arch:
    """One compute capability as torch writes it, such as ``12.0``, ``9.0a`` or ``8.6+PTX``."""

    major: int
    minor: int
    variant: str = ""
    ptx: bool = False

    @property
    def capability(self) -> str:
        """The capability alone, ``12.0``."""
        return f"{self.major}.{self.minor}"

    @property
    def sm(self) -> str:
        """As NVIDIA's tools write it, ``sm_120``."""
        return f"sm_{self.major}{self.minor}{self.variant}"

    def __str__(self) -> str:
        return f"{self.capability}{self.variant}{'+PTX' if self.ptx else ''}"


def parse_arch(text: str) -> Arch:
    """Read one capability.

    Raises:
        ValueError: the text is not a capability that exists; the message says what to write instead.
    """
    match = _ARCH.match(text.strip())
    if match is None or f"{match['major']}.{match['minor']}" not in _SUPPORT:
        raise ValueError(f"{text!r} is not a compute capability{_suggestion(text)}")
    return Arch(
        major=int(match["major"]),
        minor=int(match["minor"]),
        variant=match["variant"],
        ptx=match["ptx"] is not None,
    )


def parse_arch_list(text: str) -> tuple[Arch, ...]:
    """Read a list separated by semicolons, commas or spaces, as ``TORCH_CUDA_ARCH_LIST`` is.

    Raises:
        ValueError: the list is empty or one of its entries is not a capability.
    """
    entries = [entry for entry in re.split(r"[;,\s]+", text) if entry]
    if not entries:
        raise ValueError('the list of compute capabilities is empty; write for example "9.0;12.0"')
    return tuple(dict.fromkeys(parse_arch(entry) for entry in entries))


def parse_release(text: str) -> str:
    """Read a release of CUDA.

    Raises:
        ValueError: there is none of that name; the message says which there are.
    """
    if text not in RELEASES:
        raise ValueError(f"{text!r} is not a CUDA release; known are {', '.join(RELEASES)}")
    return text


def unsupported(arch: Arch, cuda: str) -> str | None:
    """Say why this CUDA release can't compile for an arch; None where it can.

    Args:
        arch: the capability. cuda: the release as ``major.minor``, such as ``13.0``.
    """
    major, minor = (int(part) for part in cuda.split(".")[:2])
    first, last = _SUPPORT[arch.capability]
    if (major, minor) < first:
        return f"CUDA {cuda} can't compile for {arch} ({arch.sm}): CUDA {first[0]}.{first[1]} was the first that can"
    if last is not None and (major, minor) > last:
        return f"CUDA {cuda} can't compile for {arch} ({arch.sm}): CUDA {last[0]}.{last[1]} was the last that can"
    return None


def _suggestion(text: str) -> str:
    digits = re.sub(r"^(sm|compute)_", "", text.strip().lower())
    if re.fullmatch(r"\d{2,3}[af]?", digits):
        bare = digits.rstrip("af")
        guess = f"{bare[:-1]}.{bare[-1]}"
        if guess in _SUPPORT:
            return f'; write "{guess}"'
    if f"{digits}.0" in _SUPPORT:
        return f'; write "{digits}.0"'
    return f"; known are {', '.join(_SUPPORT)}"
