"""The packages of an environment and their files, as their RECORDs list them."""

from __future__ import annotations

import csv
import glob
import os
from dataclasses import dataclass
from typing import Iterator, List, Mapping, Tuple

from conversion.inventory import normalise

_RECORDS = os.path.join("lib", "python3*", "site-packages", "*.dist-info", "RECORD")


@dataclass(frozen=True)
class Package:
    """An installed package.

    Attributes:
        name: normalised. version: as its metadata folder says.
        record: the RECORD's path; it and all others count from the environment's folder.
        files: path → size in bytes, 0 where the RECORD has none; nothing outside the environment.
    """

    name: str
    version: str
    record: str
    files: Mapping[str, int]

    @property
    def site(self) -> str:
        """The folder that modules are imported from."""
        return os.path.dirname(os.path.dirname(self.record))


def packages(home: str) -> List[Package]:
    """List the packages of the environment at a folder, in order of their RECORDs' paths."""
    return [read(home, os.path.relpath(path, home)) for path in sorted(glob.glob(os.path.join(home, _RECORDS)))]


def fresh(home: str, base_home: str, every: List[Package]) -> List[Package]:
    """Those of an environment's packages that the base's lacks, or has otherwise."""
    return [
        package
        for package in every
        if _content(os.path.join(home, package.record)) != _content(os.path.join(base_home, package.record))
    ]


def read(home: str, record: str) -> Package:
    """Read one RECORD; one that can't be read lists nothing."""
    name, _, version = os.path.basename(os.path.dirname(record))[: -len(".dist-info")].rpartition("-")
    site = os.path.dirname(os.path.dirname(record))
    return Package(normalise(name), version, record, dict(_rows(os.path.join(home, record), site)))


def _rows(record: str, site: str) -> Iterator[Tuple[str, int]]:
    try:
        with open(record, encoding="utf-8", newline="") as file:
            for row in csv.reader(file):
                path, _, size = (*row, "", "", "")[:3]
                path = os.path.normpath(os.path.join(site, path)) if path else ".."
                if not os.path.isabs(path) and path.partition(os.sep)[0] != "..":
                    yield path, int(size) if size.isdigit() else 0
    except (OSError, ValueError, csv.Error):
        return


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
