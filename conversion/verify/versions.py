"""Versions: of packages against the recipe, and of the CUDA that torch was built for, with its arch list."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import metadata
from typing import Any, Dict, Iterator, Mapping, Optional, Sequence

from conversion.environment.inventory import Inventory, normalise
from conversion.failures import ConversionError
from conversion.verify.rows import Row, judged
from conversion.verify.sass import serving, sm_name

_VERSION_FILE = re.compile(r"^[^/]+/(_?version|__init__)\.py$")
_VERSION_LINE = re.compile(r"^__version__\s*(?::[^=]*)?=\s*['\"]([^'\"]+)['\"]", re.MULTILINE)

# run in a process of its own: a broken torch may crash its interpreter
_ASK_TORCH = """
import json, torch
flags = getattr(torch._C, "_cuda_getArchFlags", lambda: "")() or ""
print(json.dumps({"version": torch.__version__, "cuda": torch.version.cuda, "archs": flags.split()}))
"""


def version_rows(expected: Mapping[str, str], found: Inventory) -> Iterator[Row]:
    """One row per package that the recipe names.

    A recipe's local version ("2.11.0+cu130") that the package's metadata doesn't carry, as on PyPI, is looked
    up in the package's own ``version.py``.
    """
    for name, version in expected.items():
        installed = found.packages.get(normalise(name))
        if installed is None:
            yield judged("version", name, version, "not installed", False)
            continue
        own = own_version(name) if "+" in version and "+" not in installed else None
        shown = own if own and own.partition("+")[0] == installed else installed
        detail = f"its metadata says {installed}" if shown != installed else ""
        yield judged("version", name, version, shown, same_version(version, shown), detail)


def same_version(expected: str, found: str) -> bool:
    """Whether a version is the expected one; a local label counts only where one is expected."""
    if "+" not in expected:
        found = found.partition("+")[0]
    return _plain(expected) == _plain(found)


def _plain(version: str) -> str:
    public, _, local = version.lower().partition("+")
    public = re.sub(r"(\.0)+$", "", public.lstrip("v"))
    return f"{public}+{re.sub(r'[-_]', '.', local)}" if local else public


def own_version(package: str) -> Optional[str]:
    """The ``__version__`` that a package's own version file has; nothing is imported."""
    try:
        files = metadata.distribution(package).files or []
    except metadata.PackageNotFoundError:
        return None
    for item in sorted((f for f in files if _VERSION_FILE.match(str(f))), key=lambda f: "version" not in str(f)):
        try:
            match = _VERSION_LINE.search(item.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if match:
            return match.group(1)
    return None


def absent_rows(names: Sequence[str], found: Inventory) -> Iterator[Row]:
    """One row per package that must not be installed."""
    for name in names:
        installed = found.packages.get(normalise(name))
        yield judged("absent", name, "not installed", installed or "not installed", installed is None)


def ask_torch() -> Dict[str, Any]:
    """What this interpreter's torch says of itself: version, CUDA version (or None), compiled archs ("sm_90").

    Works without a GPU: the arch flags are compiled in, though ``torch.cuda.get_arch_list`` is empty then.

    Raises:
        ConversionError: torch can't be imported.
    """
    command = [sys.executable, "-c", _ASK_TORCH]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        answer: Dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise ConversionError(f"torch can't be imported: {lines[-1]}") from None
    return answer


def cuda_rows(expected: Optional[str]) -> Iterator[Row]:
    """The CUDA version that torch was built for."""
    found = ask_torch()["cuda"]
    yield judged("cuda", "torch", expected or "none", found or "none (a CPU build)", found == expected)


def arch_rows(archs: Sequence[str]) -> Iterator[Row]:
    """One row per asked arch: torch's own kernels must run on it."""
    compiled = ask_torch()["archs"]
    have = {name[3:] for name in compiled if name.startswith("sm_")}
    for arch in archs:
        served = serving(arch, have)
        detail = "" if served in (None, sm_name(arch)) else f"served by sm_{served}"
        shown = " ".join(compiled) or "none (a CPU build)"
        yield judged("arch", arch, f"sm_{sm_name(arch)}", shown, served is not None, detail)
