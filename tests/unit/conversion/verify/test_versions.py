from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from conversion.verify import versions


@pytest.mark.parametrize(
    ("expected", "found", "same"),
    [
        ("2.11.0+cu130", "2.11.0+cu130", True),
        ("2.11.0+cu130", "2.11.0+cu128", False),
        ("2.11.0+cu130", "2.11.0", False),
        ("2.11.0", "2.11.0+cu130", True),
        ("2.11", "2.11.0", True),
        ("2.1.2+pt211-cu130", "2.1.2+pt211.cu130", True),
        ("2.1.2", "2.1.20", False),
        ("1.0rc1", "1.0RC1", True),
    ],
)
def test_same_version(expected: str, found: str, same: bool) -> None:
    assert versions.same_version(expected, found) is same


def test_version_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    found: Any = {"torch": SimpleNamespace(version="2.11.0"), "torch-geometric": SimpleNamespace(version="2.8.1")}
    monkeypatch.setattr(versions, "own_version", lambda package: {"2.11.0": "2.11.0+cu130"}.get(package.version))
    expected = {"torch": "2.11.0+cu130", "torch_geometric": "2.7.0", "torch-scatter": "2.1.2"}
    torch, geometric, scatter = versions.version_rows(expected, found)
    assert (torch.status, torch.found, torch.detail) == ("pass", "2.11.0+cu130", "its metadata says 2.11.0")
    assert (geometric.status, geometric.found) == ("fail", "2.8.1")
    assert (scatter.status, scatter.found) == ("fail", "not installed")


def test_the_own_version_file_of_a_package() -> None:
    class File:
        def __init__(self, name: str, content: str) -> None:
            self.name, self.content = name, content

        def __str__(self) -> str:
            return self.name

        def read_text(self, encoding: str) -> str:
            assert encoding == "utf-8"
            return self.content

    files = [
        File("torch/__init__.py", ""),
        File("torch/version.py", "from typing import Optional\n__version__: str = '2.11.0+cu130'\n"),
        File("torch/_inductor/version.py", "__version__ = '0'\n"),
    ]
    package: Any = SimpleNamespace(files=files)
    assert versions.own_version(package) == "2.11.0+cu130"


def test_absent_rows() -> None:
    found: Any = {"pytorch3d": SimpleNamespace(version="0.7.4")}
    there, gone = versions.absent_rows(["pytorch3d", "apex"], found)
    assert (there.status, there.found) == ("fail", "0.7.4")
    assert gone.status == "pass"
