"""What is installed in the image, for its bill of materials: read from files, where nothing of it has run.

    python -m conversion.verify.installed --prefix PREFIX --out installed.json

Packages of the environment by their metadata, of conda by ``conda-meta``, of Debian and Ubuntu by dpkg's database. The
same image gives the same file. It never fails a build: what can't be read is left out.

``{"schema": 1, "os": {"id", "version"}, "python": [{"name", "version"}], "conda": [{"name", "version", "build"}],
"dpkg": [{"name", "version", "architecture"}]}``
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Dict, Iterator, List

from conversion import failures
from conversion.verify.image import Image

SCHEMA = 1
_DPKG = "var/lib/dpkg"


def python_packages(prefix: str) -> List[Dict[str, str]]:
    """The packages of an environment, by name."""
    try:
        installed = Image(prefix, None, Path()).installed
    except failures.ConversionError:
        return []
    return [{"name": name, "version": package.version or ""} for name, package in sorted(installed.items())]


def conda_packages(prefix: str) -> List[Dict[str, str]]:
    """The packages that conda installed into an environment, by name."""
    found = []
    for file in sorted(Path(prefix, "conda-meta").glob("*.json")):
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
            found.append({key: str(data[key]) for key in ("name", "version", "build")})
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
    return found


def dpkg_packages(root: Path) -> List[Dict[str, str]]:
    """The packages of Debian's database, one file or a folder of them, by name; those that were removed are none."""
    found = []
    for file in (root / _DPKG / "status", *sorted((root / _DPKG / "status.d").glob("*"))):
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        for stanza in text.split("\n\n"):
            fields = dict(_fields(stanza))
            # Files of distroless images have no status.
            if fields.get("Package") and fields.get("Status", "installed").split()[-1:] == ["installed"]:
                named = (("name", "Package"), ("version", "Version"), ("architecture", "Architecture"))
                found.append({key: fields.get(field, "") for key, field in named})
    return sorted(found, key=lambda package: (package["name"], package["architecture"]))


def system(root: Path) -> Dict[str, str]:
    """The distribution, as os-release(5) names it."""
    for place in ("etc/os-release", "usr/lib/os-release"):
        try:
            lines = (root / place).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        values = dict(line.partition("=")[::2] for line in lines)
        return {key: values.get(name, "").strip("\"'") for key, name in (("id", "ID"), ("version", "VERSION_ID"))}
    return {"id": "", "version": ""}


def _fields(stanza: str) -> Iterator[List[str]]:
    for line in stanza.splitlines():
        if line and not line[0].isspace():
            yield [part.strip() for part in line.partition(":")[::2]]


def main() -> int:
    """Write what is installed to ``--out``."""
    parser = argparse.ArgumentParser(prog="python -m conversion.verify.installed", description=__doc__)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--root", type=Path, default=Path("/"), help="the image's root")
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()
    document = {
        "schema": SCHEMA,
        "os": system(options.root),
        "python": python_packages(options.prefix),
        "conda": conda_packages(options.prefix),
        "dpkg": dpkg_packages(options.root),
    }
    options.out.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    failures.run(main)
