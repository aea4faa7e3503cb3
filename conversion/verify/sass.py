"""Which GPUs a compiled library has machine code (SASS) for, read from the file and without a GPU.

PTX is no SASS: a driver can compile it, but at the first start and only for later devices, so it does not count.
"""

from __future__ import annotations

import re
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Dict, Iterator, List, Mapping, Sequence, Set

from conversion.environment.inventory import normalise
from conversion.failures import ConversionError
from conversion.verify.archs import in_order, serving, sm_name
from conversion.verify.fatbin import DeviceCode, device_code
from conversion.verify.image import Image, Spec
from conversion.verify.rows import FAIL, Row, guarded, judged


def rows(image: Image, spec: Spec) -> Iterator[Row]:
    """One row per extension of the recipe; one that can't be read keeps none of the others from being."""
    for name in spec.get("extensions", []):
        yield from guarded("sass", name, partial(extension_rows, name, spec.get("archs", []), image.installed))


def libraries_of(package: str, installed: Mapping[str, metadata.Distribution]) -> List[str]:
    """The absolute paths of an installed package's shared libraries.

    Raises:
        ConversionError: the package isn't installed, or its metadata lists no files.
    """
    found = installed.get(normalise(package))
    if found is None:
        raise ConversionError(f"{package} is not installed")
    files = found.files
    if files is None:
        raise ConversionError(f"{package} does not list its files")
    return sorted(str(Path(str(item.locate())).resolve()) for item in files if re.search(r"\.so(\.\d+)*$", str(item)))


def extension_rows(package: str, archs: Sequence[str], installed: Mapping[str, metadata.Distribution]) -> Iterator[Row]:
    """One row: every library of the package that has device code must have SASS for every arch."""
    expected = " ".join(f"sm_{sm_name(arch)}" for arch in archs)
    code: Dict[str, DeviceCode] = {}
    for library in libraries_of(package, installed):
        found = device_code(library)
        if found:
            code[Path(library).name] = found
    if not code:
        detail = "none of its libraries has device code: it was compiled without CUDA (FORCE_CUDA=1 is missing?)"
        yield Row("sass", package, expected, "no device code", FAIL, detail)
        return
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
    yield judged("sass", package, expected, " ".join(in_order(common)), not problems, detail)


def _substitutes(name: str, archs: Sequence[str], sass: Set[str]) -> Iterator[str]:
    for arch in archs:
        found = serving(arch, sass)
        if found is not None and found != sm_name(arch):
            yield f"{name} serves {arch} with sm_{found}"
