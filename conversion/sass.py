"""Which GPUs a compiled library has machine code (SASS) for, read with cuobjdump and without a GPU.

A cubin made for X.Y runs on a device X.Z with Z >= Y (CUDA C++ Programming Guide, "Binary Compatibility");
one made for an architecture-specific target (sm_90a) runs on that compute capability alone, one for a family
(sm_120f) on its major version from that minor on. PTX is no SASS: a driver can compile it, but at the first
start and only for later devices, so it does not count.
"""

from __future__ import annotations

import re
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, Optional, Sequence, Set, Tuple

from conversion.failures import ConversionError
from conversion.rows import FAIL, Row, judged

_ELF = re.compile(r"\.sm_(\d+[af]?)\.cubin\s*$")
_PTX = re.compile(r"\.sm_(\d+[af]?)\.ptx\s*$")
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


def listed(output: str, kind: str = "elf") -> Set[str]:
    """The targets in the output of ``cuobjdump --list-elf`` or ``--list-ptx``: {"90", "120"}."""
    pattern = _ELF if kind == "elf" else _PTX
    return {match.group(1) for match in map(pattern.search, output.splitlines()) if match}


def device_code(cuobjdump: str, library: str) -> Tuple[Set[str], Set[str]]:
    """The SASS and PTX targets of a library; both are empty where it has no device code.

    Raises:
        ConversionError: cuobjdump can't be run or can't read the file.
    """
    return _list(cuobjdump, library, "elf"), _list(cuobjdump, library, "ptx")


def _list(cuobjdump: str, library: str, kind: str) -> Set[str]:
    try:
        done = subprocess.run(
            [cuobjdump, f"--list-{kind}", library],
            capture_output=True,
            text=True,
            check=False,
            errors="replace",
        )
    except OSError as error:
        raise ConversionError(f"can't run {cuobjdump}: {error.strerror or error}") from error
    if done.returncode and "does not contain device code" not in done.stdout + done.stderr:
        raise ConversionError(f"cuobjdump can't read {library}: {(done.stderr or done.stdout).strip()}")
    return listed(done.stdout, kind)


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


def extension_row(package: str, archs: Sequence[str], cuobjdump: str) -> Row:
    """One row: every library of the package that has device code must have SASS for every arch."""
    expected = " ".join(f"sm_{sm_name(arch)}" for arch in archs)
    code: Dict[str, Tuple[Set[str], Set[str]]] = {}
    for library in libraries_of(package):
        sass, ptx = device_code(cuobjdump, library)
        if sass or ptx:
            code[Path(library).name] = (sass, ptx)
    if not code:
        detail = "none of its libraries has device code: it was compiled without CUDA (FORCE_CUDA=1 is missing?)"
        return Row("sass", package, expected, "no device code", FAIL, detail)
    problems: List[str] = []
    notes: List[str] = []
    for name, (sass, ptx) in sorted(code.items()):
        lacking = [arch for arch in archs if serving(arch, sass) is None]
        if lacking:
            have = " ".join(_sorted(sass)) or ("only PTX for " + " ".join(_sorted(ptx)))
            problems.append(f"{name} lacks {' '.join('sm_' + sm_name(arch) for arch in lacking)} (has {have})")
        notes.extend(_substitutes(name, archs, sass))
    common = set.intersection(*(sass for sass, _ in code.values()))
    detail = "; ".join(problems or [f"{len(code)} libraries with device code: {', '.join(sorted(code))}", *notes])
    return judged("sass", package, expected, " ".join(_sorted(common)), not problems, detail)


def _substitutes(name: str, archs: Sequence[str], sass: Set[str]) -> Iterator[str]:
    for arch in archs:
        found = serving(arch, sass)
        if found is not None and found != sm_name(arch):
            yield f"{name} serves {arch} with sm_{found}"


def _sorted(targets: Iterable[str]) -> List[str]:
    return [f"sm_{name}" for name in sorted(targets, key=lambda item: (int(item.rstrip("af")), item))]
