"""Fetches the programs that the build itself uses, by hash: uv, and ``packaging``, which reads versions and tags.

    python -m fetch.tools --out DIR FILE=SHA256...

uv runs where wheels are resolved, and in the frozen image, without the network. Both are wheels; no code of theirs runs
here.
"""

from __future__ import annotations

import argparse
import fnmatch
import sys
import zipfile
from pathlib import Path

from . import download
from .pages import listed

UV = "uv-*.data/scripts/uv"


def main() -> None:
    """Fetch and lay out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("files", nargs="+", metavar="FILE=SHA256")
    options = parser.parse_args()
    files = dict(entry.rsplit("=", 1) for entry in options.files)
    fetched = options.out / "wheels"
    found = download.fetch_all([listed(name, sha256, None).wanted(sha256) for name, sha256 in files.items()], fetched)
    for wheel in sorted(fetched.iterdir()):
        if wheel.name.startswith("packaging-"):
            wheel.replace(options.out / "packaging.whl")
        elif wheel.name.startswith("uv-"):
            lay_out_uv(wheel, options.out / "uv")
            wheel.unlink()
        else:
            sys.exit(f"fetch: nobody knows what {wheel.name} is for")
    fetched.rmdir()
    download.write_list(found, options.out / "files.json")


def lay_out_uv(wheel: Path, place: Path) -> None:
    """Take the program out of its wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = fnmatch.filter(archive.namelist(), UV)
        place.write_bytes(archive.read(name))
    place.chmod(0o755)


if __name__ == "__main__":
    main()
