"""Where CUDA's libraries come from when torch runs under the image's own environment.

A folder of LD_LIBRARY_PATH comes before what torch's own packages bring, whose libraries name their places by RUNPATH
(ld.so(8)): another libcudnn or libnvJitLink there breaks torch (pytorch issues 111469, 152783).
"""

from __future__ import annotations

import filecmp
import glob
import os
import re
import subprocess
import sys
from typing import Dict, Iterator, List, Optional, Tuple

from conversion.failures import ConversionError
from conversion.verify.image import Image, Spec
from conversion.verify.rows import FAIL, INFO, PASS, Row, judged

CHECK = "library"
_TIMEOUT = 300  # seconds
# torch is imported as by any program. What its libraries load by name only when they need it, such as the parts of
# cuDNN, is asked for by name too: where the loader finds it somewhere, it finds it there before torch's own.
_ASK = """
import ctypes, glob, os, re, torch
site = os.path.dirname(os.path.dirname(os.path.abspath(torch.__file__)))
for path in sorted(glob.glob(site + "/nvidia/*/lib/*.so*")):
    if re.match("lib(cudnn|cublas|nvrtc|nvJitLink|nccl)", os.path.basename(path)):
        try:
            ctypes.CDLL(os.path.basename(path))
        except OSError:
            pass
print("site", site)
print("files")
for line in open("/proc/self/maps"):
    print(line.rstrip("\\n").partition("/")[1] + line.rstrip("\\n").partition("/")[2])
"""
_LIBRARY = re.compile(r"lib(cu[a-zA-Z]\w*|nccl|nv[a-zA-Z]\w*(-builtins)?|torch\w*|c10\w*)\.so[.0-9]*$")
_OF_DRIVER = ("libcuda.", "libnvidia-")  # the machine's, not the image's


def rows(_image: Image, spec: Spec) -> Iterator[Row]:
    """The rows of torch's libraries; none for a stack without torch."""
    if "cuda" in spec:
        yield from library_rows()


def library_rows() -> Iterator[Row]:
    """A row per library that comes from elsewhere than torch's packages, and one that says where the others come from.

    Raises:
        ConversionError: torch can't be imported.
    """
    site, found = loaded()
    own = {name: path for name, path in found.items() if path.startswith(f"{site}/")}
    for name, path in sorted(found.items()):
        if name not in own:
            yield _stranger(name, path, beside(name, site))
    folders: Dict[str, List[str]] = {}
    for name, path in sorted(own.items()):
        folders.setdefault(os.path.relpath(os.path.dirname(path), site), []).append(name)
    text = "; ".join(f"{folder}: {', '.join(names)}" for folder, names in sorted(folders.items()))
    yield judged(CHECK, "torch", f"libraries from {site}", f"{len(own)} from there", bool(own), text)


def _stranger(name: str, path: str, own: Optional[str]) -> Row:
    if own is None:
        return Row(CHECK, name, "", path, INFO, "torch's packages have none: the image's is taken")
    if _same(path, own):
        return Row(CHECK, name, own, path, PASS, "another place, the same content")
    search = os.environ.get("LD_LIBRARY_PATH", "")
    why = f"LD_LIBRARY_PATH={search} comes before torch's own" if search else "the loader's cache has it"
    remedy = "take its folder out of that variable of the base, or set it to torch's folder first"
    return Row(CHECK, name, own, path, FAIL, f"another one than torch's is loaded: {why}; {remedy}")


def loaded() -> Tuple[str, Dict[str, str]]:
    """The folder that torch is installed in, and the libraries of CUDA and torch in a process of torch's: name → path.

    Raises:
        ConversionError: torch can't be imported.
    """
    command = [sys.executable, "-c", _ASK]
    done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace", timeout=_TIMEOUT)
    match = re.search(r"^site (/.*)\nfiles\n", done.stdout, re.MULTILINE)
    if done.returncode or match is None:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise ConversionError(f"torch can't be imported: {lines[-1]}")
    site = os.path.realpath(match.group(1))
    paths = sorted({path for path in done.stdout[match.end() :].splitlines() if path})
    named = {os.path.basename(path): path for path in paths}
    return site, {name: path for name, path in named.items() if _LIBRARY.match(name) and not _driver(name)}


def _driver(name: str) -> bool:
    return name.startswith(_OF_DRIVER)


def beside(name: str, site: str) -> Optional[str]:
    """The file of a name that torch's packages have; None: they have none."""
    places = [f"{site}/torch/lib/{name}", *glob.glob(f"{site}/nvidia/*/lib/{glob.escape(name)}")]
    places += glob.glob(f"{site}/cusparselt/lib/{glob.escape(name)}")
    return next((path for path in places if os.path.isfile(path)), None)


def _same(path: str, own: str) -> bool:
    try:
        return filecmp.cmp(path, own, shallow=False)
    except OSError:
        return False
