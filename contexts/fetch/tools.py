"""Fetches the programs that the build itself uses, by hash: uv, and ``packaging``, which reads versions and tags.

    python -m fetch.tools --out DIR FILE=SHA256...

uv runs where wheels are resolved, and in the frozen image, without the network. Both are wheels, and pip fetches them:
it comes with Python (venv), and knows the default index.
"""

from __future__ import annotations

import argparse
import fnmatch
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from . import download

if TYPE_CHECKING:
    from collections.abc import Mapping

UV = "uv-*.data/scripts/uv"


def main() -> None:
    """Fetch and lay out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("files", nargs="+", metavar="FILE=SHA256")
    options = parser.parse_args()
    files = dict(entry.rsplit("=", 1) for entry in options.files)
    fetched = options.out / "wheels"
    pip_download(files, fetched)
    for wheel in sorted(fetched.iterdir()):
        if wheel.name.startswith("packaging-"):
            wheel.replace(options.out / "packaging.whl")
        elif wheel.name.startswith("uv-"):
            lay_out_uv(wheel, options.out / "uv")
            wheel.unlink()
        else:
            sys.exit(f"fetch: nobody knows what {wheel.name} is for")
    fetched.rmdir()
    download.write_list(files, options.out / "files.json")


def pip_download(files: Mapping[str, str], out: Path) -> None:
    """Fetch wheels by their names, held to their SHA-256; ends the program where one can't be had."""
    with tempfile.TemporaryDirectory() as folder:
        place, wanted = Path(folder, "venv"), Path(folder, "requirements.txt")
        try:
            venv.create(place, with_pip=True)
        except subprocess.CalledProcessError as error:
            said = (error.output or b"").decode(errors="replace").strip().rpartition("\n")[2]
            sys.exit(
                f"fetch: this image's Python makes no environment with pip (Debian: python3-venv): {said or error}"
            )
        lines = ("{}=={} --hash=sha256:{}\n".format(*name.split("-")[:2], sha256) for name, sha256 in files.items())
        wanted.write_text("".join(lines), encoding="utf-8")
        command = [str(place / "bin/python"), "-m", "pip", "download", "--disable-pip-version-check", "--no-cache-dir"]
        command += ["--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", f"--requirement={wanted}"]
        done = subprocess.run([*command, f"--dest={out}"], check=False)
    if done.returncode:
        sys.exit(f"fetch: pip can't fetch {', '.join(files)}; it says why above")


def lay_out_uv(wheel: Path, place: Path) -> None:
    """Take the program out of its wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = fnmatch.filter(archive.namelist(), UV)
        place.write_bytes(archive.read(name))
    place.chmod(0o755)


if __name__ == "__main__":
    main()
