"""Which files of newly installed packages are left out of an image, by their names and kinds. Pure.

Whatever may be needed stays: a file that a package of the base has too; static libraries of device code, which are
linked at run time; headers of packages that are not known to have them for builds alone, and all headers where somebody
can compile; a test folder that a module outside of tests imports.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections import Counter
from dataclasses import dataclass
from typing import AbstractSet, Callable, Dict, FrozenSet, Iterable, NamedTuple, Optional, Sequence, Set, Tuple

from conversion.kinds import HEADERS, STATIC, TESTS, is_archive, is_header, test_folder
from conversion.records import Package

KINDS = (STATIC, HEADERS, TESTS)
# Device code, which NVRTC's and nvJitLink's users link at run time (numba.cuda, CuPy).
_LINKED_AT_RUN_TIME = ("libcudadevrt.a", "libnvshmem_device.a")
# Packages whose headers are there for builds of other software. Triton's are none of these: it compiles with its own.
HEADERS_FOR_BUILDS = (
    "numpy",
    "torch",
    "torchaudio",
    "torchvision",
    "nvidia-cublas*",
    "nvidia-cuda-cccl*",
    "nvidia-cuda-crt*",
    "nvidia-cuda-cupti*",
    "nvidia-cuda-nvrtc*",
    "nvidia-cuda-runtime*",
    "nvidia-cudnn*",
    "nvidia-cufft*",
    "nvidia-cufile*",
    "nvidia-curand*",
    "nvidia-cusolver*",
    "nvidia-cusparse*",
    "nvidia-nccl*",
    "nvidia-nvjitlink*",
    "nvidia-nvshmem*",
    "nvidia-nvtx*",
)
# Packages that compile CUDA source at run time without a compiler on PATH, from headers of other packages.
COMPILE_AT_RUN_TIME = (
    "cuda-cccl",
    "cuda-parallel",
    "cupy*",
    "flashinfer*",
    "numba",
    "numba-cuda",
    "nvidia-cuda-nvcc*",
    "nvmath-python",
    "pycuda",
    "tilelang",
    "warp-lang",
)
_LICENCE = re.compile(r"(licen[cs]e|copying|notice)", re.IGNORECASE)
_TEST_FILE = re.compile(r"(test_.*|.*_test)\.py")


class Left(NamedTuple):
    """A file that is left out; ``path`` counts from the environment's folder."""

    path: str
    kind: str
    package: Package


@dataclass(frozen=True)
class Selection:
    """What is left out, in order of paths, and in words what stays although it is of a kind."""

    files: Tuple[Left, ...]
    kept: Tuple[str, ...] = ()


def select(
    new: Sequence[Package],
    every: Sequence[Package],
    kinds: Iterable[str],
    *,
    compilers: Sequence[str] = (),
    imported: Iterable[str] = (),
) -> Selection:
    """Choose the files to leave out. Pure.

    Args:
        new: the packages that the uplift installed. every: all packages, those too. kinds: of `KINDS`.
        compilers: programs on PATH that compile C or C++. imported: names of modules that others import.
    """
    wanted = in_order(kinds)
    able = [*compilers, *sorted(package.name for package in every if _matches(package.name, COMPILE_AT_RUN_TIME))]
    kept = [f"all headers, since {', '.join(able)} can compile at run time"] if HEADERS in wanted and able else []
    used = _with_parents(imported) if TESTS in wanted else frozenset()
    chosen: Dict[str, Dict[str, Left]] = {}
    for package in new:
        tests, needed = _test_folders(package, used) if TESTS in wanted else (frozenset(), ())
        kept.extend(f"{folder}, since others import it" for folder in needed)
        for path in package.files:
            kind = _kind(package, path, wanted, headers=not able, tests=tests)
            if kind is not None:
                chosen.setdefault(path, {})[package.record] = Left(path, kind, package)
    # A file that another package lists too is left out only if it would be of either.
    owners = Counter(path for package in every for path in package.files)
    found = (next(iter(by.values())) for path, by in sorted(chosen.items()) if len(by) == owners[path])
    return Selection(tuple(found), tuple(kept))


def in_order(kinds: Iterable[str]) -> Tuple[str, ...]:
    """Kinds in the order of `KINDS`, each once."""
    given = set(kinds)
    return tuple(kind for kind in KINDS if kind in given)


def named(path: str, kinds: Iterable[str]) -> Optional[str]:
    """Give the kind, of those given, that a file is of by its path alone."""
    given = set(kinds)
    rules: Dict[str, Callable[[str], object]] = {TESTS: test_folder, STATIC: is_archive, HEADERS: is_header}
    return next((kind for kind, rule in rules.items() if kind in given and rule(path)), None)


def _kind(
    package: Package, path: str, kinds: Sequence[str], *, headers: bool, tests: AbstractSet[str]
) -> Optional[str]:
    """The kind that a file is left out as; None: it stays."""
    name = os.path.basename(path)
    if _LICENCE.match(name):
        return None
    if test_folder(path) in tests:
        return TESTS
    if STATIC in kinds and is_archive(path) and name not in _LINKED_AT_RUN_TIME:
        return STATIC
    if HEADERS in kinds and headers and is_header(path) and _matches(package.name, HEADERS_FOR_BUILDS):
        return HEADERS
    return None


def _test_folders(package: Package, used: AbstractSet[str]) -> Tuple[FrozenSet[str], Tuple[str, ...]]:
    """A package's folders of tests that nobody else imports, and those that somebody does.

    A folder counts as one of tests where it holds ``test_*.py``: others of this name are libraries or data.
    """
    folders = {test_folder(path) for path in package.files if _TEST_FILE.fullmatch(os.path.basename(path))}
    known = sorted(folder for folder in folders if folder is not None)
    needed = tuple(folder for folder in known if os.path.relpath(folder, package.site).replace(os.sep, ".") in used)
    return frozenset(known).difference(needed), needed


def _with_parents(names: Iterable[str]) -> FrozenSet[str]:
    """Module names, and those of the packages that they are in."""
    found: Set[str] = set()
    for name in names:
        parent = name
        while parent and parent not in found:
            found.add(parent)
            parent = parent.rpartition(".")[0]
    return frozenset(found)


def _matches(name: str, globs: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, glob) for glob in globs)
