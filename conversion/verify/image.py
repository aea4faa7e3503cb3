"""The image as its checks see it: what it was made to be, what is installed, and what earlier targets left of it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

from conversion.environment import inventory
from conversion.environment.inventory import Inventory, normalise
from conversion.failures import ConversionError, SpecError, read_json
from conversion.verify.archs import arch_list

Spec = Mapping[str, Any]


@dataclass(frozen=True)
class Image:
    """Where a check finds what it compares; each part is read when a check first asks for it.

    Attributes:
        prefix: the environment's folder. uv: the program that lists it; it runs the environment's Python.
        base_inventory_file: the base's inventory. base: the base's root.
        extracted: the folder that extract wrote. patch_report_file: what patch wrote.
    """

    prefix: str
    uv: Optional[str]
    base_inventory_file: Path
    base: Optional[Path] = None
    extracted: Optional[Path] = None
    patch_report_file: Optional[Path] = None

    @cached_property
    def inventory(self) -> Inventory:
        """What is installed in the image, as its Python tells uv.

        Raises:
            SpecError: no uv was given.
        """
        if self.uv is None:
            raise SpecError("no --uv was given")
        return inventory.collect(self.uv, self.prefix)

    @cached_property
    def sites(self) -> List[str]:
        """The folders of packages, for this Python's version; found by their places, so that nothing of them runs.

        Raises:
            ConversionError: there is none.
        """
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        places = ("local/lib", "lib", "lib64")
        found = [
            os.path.join(self.prefix, place, python, packages)
            for place in places
            for python in (version, "python3")  # the second is Debian's
            for packages in ("site-packages", "dist-packages")
        ]
        there = list(dict.fromkeys(os.path.realpath(folder) for folder in found if os.path.isdir(folder)))
        if not there:
            raise ConversionError(f"{self.prefix} has no folder of packages for {version}")
        return there

    @cached_property
    def installed(self) -> Dict[str, metadata.Distribution]:
        """The packages in these folders by normalised name, read from their metadata alone."""
        found: Dict[str, metadata.Distribution] = {}
        for package in metadata.distributions(path=self.sites):
            name = package.metadata["Name"]
            if name:
                found.setdefault(normalise(name), package)
        return found

    @cached_property
    def base_inventory(self) -> Inventory:
        """What is installed in the base."""
        return inventory.load(self.base_inventory_file)

    @cached_property
    def patch_report(self) -> Dict[str, Any]:
        """The report of patch.

        Raises:
            SpecError: none was given.
        """
        if self.patch_report_file is None:
            raise SpecError("no --patch-report was given")
        document: Dict[str, Any] = read_json(self.patch_report_file)
        return document


def read_spec(path: Path, archs: str) -> Dict[str, Any]:
    """The specification that the generator wrote, with other archs in place of its own where some are given.

    Raises:
        SpecError: it can't be read or is no specification.
    """
    spec = read_json(path)
    if not isinstance(spec, dict) or "prefix" not in spec:
        raise SpecError(f"{path} is no specification of a verification: it has no prefix")
    listed = arch_list(archs)
    if listed:
        spec["cards"] = listed
    if listed and spec.get("archs"):  # a stack without torch has none
        spec["archs"] = listed
    return spec
