"""Base against image: conflicts, differences, and what should have stayed as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conversion.environment.inventory import Inventory
from conversion.verify import packages, rows

if TYPE_CHECKING:
    from collections.abc import Iterable

BASE = Inventory(
    python="3.10.14",
    packages={
        "torch": "2.0.1+cu118",
        "nvidia-cublas-cu11": "11.10.3.66",
        "numpy": "1.26.4",
        "tensorflow": "2.11.1",
        "apex": "0.1+local.3",
    },
    conflicts=("The package `tensorflow` requires `protobuf<3.20`, but `4.1` is installed",),
)


def image(conflicts: Iterable[str] = (), python: str = "3.10.14", **changed: str) -> Inventory:
    kept = {**BASE.packages, **{name.replace("_", "-"): version for name, version in changed.items()}}
    return Inventory(python, {name: version for name, version in kept.items() if version}, tuple(conflicts))


def statuses(found: Iterable[rows.Row]) -> list[tuple[str, str]]:
    return [(row.subject, row.status) for row in found]


def test_a_conflict_of_the_base_only_informs_also_where_its_version_moved() -> None:
    moved = "The package `tensorflow` requires `protobuf<3.20`, but `5.0` is installed"
    found = list(packages.conflict_rows(BASE, image([moved])))
    assert statuses(found) == [("environment", "pass"), ("tensorflow", "info")]


def test_a_new_conflict_fails_with_its_line() -> None:
    line = "The package `tensorflow` requires `numpy<1.24`, but `1.26.4` is installed"
    (row,) = packages.conflict_rows(BASE, image([line]))
    assert (row.subject, row.status, row.detail) == ("tensorflow", "fail", line)


def test_differences_inform() -> None:
    found = list(packages.difference_rows(BASE, image(torch="2.11.0", apex="", new="1", python="3.10.15")))
    assert [(row.subject, row.expected, row.found, row.detail) for row in found] == [
        ("apex", "0.1+local.3", "not installed", "removed"),
        ("new", "not installed", "1", "added"),
        ("torch", "2.0.1+cu118", "2.11.0", "changed"),
        ("python", "3.10.14", "3.10.15", "changed"),
    ]
    assert {row.status for row in found} == {"info"}


def test_a_changed_package_that_the_recipe_does_not_name_fails() -> None:
    named = ["torch", "nvidia-*"]
    found = list(packages.constraint_rows(BASE, image(torch="2.11.0", numpy="2.0", apex="", nvidia_x="1"), named))
    assert statuses(found) == [("apex", "fail"), ("numpy", "fail")]
    assert statuses(packages.constraint_rows(BASE, image(torch="2.11.0", added="1"), named)) == [
        ("environment", "pass")
    ]
