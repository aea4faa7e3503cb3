"""The image as its checks see it: what it was made to be, what is installed, and what earlier targets left of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Dict, Mapping, Optional

from conversion.environment import inventory
from conversion.environment.inventory import Inventory
from conversion.failures import SpecError, read_json
from conversion.verify.archs import arch_list

Spec = Mapping[str, Any]


@dataclass(frozen=True)
class Image:
    """Where a check finds what it compares; each part is read when a check first asks for it.

    Attributes:
        prefix: the environment's folder. uv: the program that lists it.
        base_inventory_file: the base's inventory. base: the base's root.
        extracted: the folder that extract wrote. patch_report_file: what patch wrote.
    """

    prefix: str
    uv: str
    base_inventory_file: Path
    base: Optional[Path] = None
    extracted: Optional[Path] = None
    patch_report_file: Optional[Path] = None

    @cached_property
    def inventory(self) -> Inventory:
        """What is installed in the image."""
        return inventory.collect(self.uv, self.prefix)

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
