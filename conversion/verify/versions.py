"""Versions of packages against the recipe, and packages that must be gone."""

from __future__ import annotations

import re
from importlib import metadata
from typing import Iterator, Mapping, Optional, Sequence

from conversion.environment.inventory import normalise
from conversion.verify.image import Image, Spec
from conversion.verify.rows import Row, judged

_VERSION_FILE = re.compile(r"^[^/]+/(_?version|__init__)\.py$")
_VERSION_LINE = re.compile(r"^__version__\s*(?::[^=]*)?=\s*['\"]([^'\"]+)['\"]", re.MULTILINE)


def rows(image: Image, spec: Spec) -> Iterator[Row]:
    """The rows of the packages that must be there, and of those that must not."""
    if spec.get("versions") or spec.get("absent"):
        yield from version_rows(spec.get("versions", {}), image.installed)
        yield from absent_rows(spec.get("absent", []), image.installed)


Installed = Mapping[str, metadata.Distribution]


def version_rows(expected: Mapping[str, str], found: Installed) -> Iterator[Row]:
    """One row per package that the recipe names.

    A recipe's local version ("2.11.0+cu130") that the package's metadata doesn't carry, as on PyPI, is looked
    up in the package's own ``version.py``.
    """
    for name, version in expected.items():
        package = found.get(normalise(name))
        if package is None:
            yield judged("version", name, version, "not installed", False)
            continue
        installed = str(package.version)
        own = own_version(package) if "+" in version and "+" not in installed else None
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


def own_version(package: metadata.Distribution) -> Optional[str]:
    """The ``__version__`` that a package's own version file has; nothing is imported."""
    files = package.files or []
    for item in sorted((f for f in files if _VERSION_FILE.match(str(f))), key=lambda f: "version" not in str(f)):
        try:
            match = _VERSION_LINE.search(item.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if match:
            return match.group(1)
    return None


def absent_rows(names: Sequence[str], found: Installed) -> Iterator[Row]:
    """One row per package that must not be installed."""
    for name in names:
        package = found.get(normalise(name))
        shown = "not installed" if package is None else str(package.version)
        yield judged("absent", name, "not installed", shown, package is None)
