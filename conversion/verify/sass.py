"""Which GPUs a compiled library has machine code (SASS) for, read from the file and without a GPU.

A cubin made for X.Y runs on a device X.Z with Z >= Y (CUDA C++ Programming Guide, "Binary Compatibility");
one made for an architecture-specific target (sm_90a) runs on that compute capability alone, one for a family
(sm_120f) on its major version from that minor on. PTX is no SASS: a driver can compile it, but at the first
start and only for later devices, so it does not count.
"""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, Optional, Sequence, Set

from conversion.failures import ConversionError
from conversion.verify.fatbin import DeviceCode, device_code
from conversion.verify.rows import FAIL, Row, judged

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


def libraries_of(package: str) -> List[str]:
    """The absolute paths of an installed package's shared libraries.

    Raises:
        ConversionError: the package isn't installed, or its metadata lists no files.
    """
    try:
        files = metadata.distribution(package).files
    except metadata.PackageNotFoundError:
        raise ConversionError(f"{package} is not installed") from None
    if files is None:
        raise ConversionError(f"{package} does not list its files")
    return sorted(str(Path(str(item.locate())).resolve()) for item in files if re.search(r"\.so(\.\d+)*$", str(item)))


def extension_row(package: str, archs: Sequence[str]) -> Row:
    """One row: every library of the package that has device code must have SASS for every arch."""
    expected = " ".join(f"sm_{sm_name(arch)}" for arch in archs)
    code: Dict[str, DeviceCode] = {}
    for library in libraries_of(package):
        found = device_code(library)
        if found:
            code[Path(library).name] = found
    if not code:
        detail = "none of its libraries has device code: it was compiled without CUDA (FORCE_CUDA=1 is missing?)"
        return Row("sass", package, expected, "no device code", FAIL, detail)
    problems: List[str] = []
    notes: List[str] = []
    for name, (sass, ptx) in sorted(code.items()):
        lacking = [arch for arch in archs if serving(arch, sass) is None]
        if lacking:
            have = " ".join(in_order(sass)) or ("only PTX for " + " ".join(in_order(ptx)))
            problems.append(f"{name} lacks {' '.join('sm_' + sm_name(arch) for arch in lacking)} (has {have})")
        notes.extend(_substitutes(name, archs, sass))
    common = set.intersection(*(sass for sass, _ in code.values()))
    detail = "; ".join(problems or [f"{len(code)} libraries with device code: {', '.join(sorted(code))}", *notes])
    return judged("sass", package, expected, " ".join(in_order(common)), not problems, detail)


def _substitutes(name: str, archs: Sequence[str], sass: Set[str]) -> Iterator[str]:
    for arch in archs:
        found = serving(arch, sass)
        if found is not None and found != sm_name(arch):
            yield f"{name} serves {arch} with sm_{found}"


def in_order(targets: Iterable[str]) -> List[str]:
    """Targets as compilers name them, by number: {"120", "90a"} → ["sm_90a", "sm_120"]."""
    return [f"sm_{name}" for name in sorted(targets, key=lambda item: (int(item.rstrip("af")), item))]
