from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from conversion.verify import installed

STATUS = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9
Description: a library
 Version: 0 in a description

Package: gone
Status: deinstall ok config-files
Version: 1

Package: never
Status: unknown ok not-installed
Version: 1

"""


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_packages_of_debian_are_those_that_are_installed(tmp_path: Path) -> None:
    put(tmp_path / "var/lib/dpkg/status", STATUS)
    put(tmp_path / "var/lib/dpkg/status.d/base", "Package: base-files\nVersion: 12\nArchitecture: all\n")
    assert installed.dpkg_packages(tmp_path) == [
        {"name": "base-files", "version": "12", "architecture": "all"},
        {"name": "libc6", "version": "2.36-9", "architecture": "amd64"},
    ]
    assert installed.dpkg_packages(tmp_path / "none") == []


def test_packages_of_conda(tmp_path: Path) -> None:
    row = {"name": "python", "version": "3.11.9", "build": "h955ad1f_0"}
    put(tmp_path / "conda-meta/python-3.11.9.json", json.dumps({**row, "files": []}))
    put(tmp_path / "conda-meta/broken.json", "[" * 100_000)
    put(tmp_path / "conda-meta/other.json", "[]")
    assert installed.conda_packages(str(tmp_path)) == [row]


def test_the_distribution(tmp_path: Path) -> None:
    put(tmp_path / "usr/lib/os-release", 'NAME="Debian"\nID=debian\nVERSION_ID="12"\n')
    assert installed.system(tmp_path) == {"id": "debian", "version": "12"}
    put(tmp_path / "etc/os-release", "ID=ubuntu\n")
    assert installed.system(tmp_path) == {"id": "ubuntu", "version": ""}
    assert installed.system(tmp_path / "none") == {"id": "", "version": ""}


def test_what_is_not_there_is_left_out_and_the_file_is_written(tmp_path: Path) -> None:
    site = tmp_path / f"env/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    put(site / "Six-1.17.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: Six\nVersion: 1.17.0\n")
    put(site / "broken-1.dist-info/METADATA", "")
    for prefix, found in (("env", [{"name": "six", "version": "1.17.0"}]), ("none", [])):
        out = tmp_path / f"{prefix}.json"
        command = [sys.executable, "-m", "conversion.verify.installed", "--root", str(tmp_path)]
        subprocess.run([*command, "--prefix", str(tmp_path / prefix), "--out", str(out)], check=True)
        assert json.loads(out.read_text())["python"] == found
