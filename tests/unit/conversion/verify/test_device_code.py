"""SASS, archs and versions."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion.environment.inventory import Inventory
from conversion.failures import ConversionError
from conversion.verify import sass, versions

if TYPE_CHECKING:
    from collections.abc import Callable

    from conversion.verify.rows import Row


@pytest.mark.parametrize(
    ("arch", "available", "expected"),
    [
        ("9.0", ["90"], "90"),
        ("9.0", ["90", "90a"], "90"),
        ("9.0", ["90a"], "90a"),
        ("9.0", ["80", "86", "100"], None),
        ("9.0a", ["90"], None),
        ("9.0a", ["90a"], "90a"),
        ("8.6", ["80", "90"], "80"),
        ("8.9", ["80", "86", "90"], "86"),
        ("8.0", ["86"], None),
        ("12.0", ["100", "120"], "120"),
        ("12.0", ["100f", "120f"], "120f"),
        ("12.1", ["120"], "120"),
        ("12.1", ["120f"], "120f"),
        ("12.1", ["120a"], None),
        ("12.0", [], None),
    ],
)
def test_what_serves_an_arch(arch: str, available: list[str], expected: str | None) -> None:
    assert sass.serving(arch, available) == expected


@given(st.integers(5, 15), st.integers(0, 9), st.lists(st.tuples(st.integers(5, 15), st.integers(0, 9))))
def test_only_the_same_major_and_no_later_minor_serves(
    major: int, minor: int, available: list[tuple[int, int]]
) -> None:
    found = sass.serving(f"{major}.{minor}", [f"{a}{b}" for a, b in available])
    fitting = [(a, b) for a, b in available if a == major and b <= minor]
    assert found == (f"{major}{max(fitting)[1]}" if fitting else None)


@pytest.mark.parametrize("arch", ["12", "sm_120", "12.0.0", "", "9.0b"])
def test_what_is_no_arch(arch: str) -> None:
    with pytest.raises(ConversionError, match="no compute capability"):
        sass.sm_name(arch)


@pytest.fixture
def row_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, library: Any) -> Callable[..., Row]:
    """The row of a package with libraries that have code for what their names say: ``scatter_90_120_ptx.so``."""

    def row(*names: str) -> Row:
        files = []
        for name in names:
            archs = " ".join(part for part in name.split(".")[0].split("_") if part[0].isdigit())
            kind = "ptx" if "ptx" in name else "sass"
            files.append(str(library.write(tmp_path / name, **{kind: archs})))
        monkeypatch.setattr(sass, "libraries_of", lambda _package: files)
        return sass.extension_row("torch-scatter", ["9.0", "12.0"])

    return row


def test_every_library_with_device_code_has_every_arch(row_of: Callable[..., Row]) -> None:
    row = row_of("version.so", "scatter_90_120.so", "segment_120_90_100.so")
    assert (row.status, row.expected, row.found) == ("pass", "sm_90 sm_120", "sm_90 sm_120")
    assert row.detail.startswith("2 libraries with device code: scatter_90_120.so, segment_120_90_100.so")


def test_one_library_that_lacks_an_arch_fails_by_name(row_of: Callable[..., Row]) -> None:
    row = row_of("scatter_90_120.so", "segment_90.so")
    assert (row.status, row.found) == ("fail", "sm_90")
    assert row.detail == "segment_90.so lacks sm_120 (has sm_90)"


def test_ptx_is_not_sass(row_of: Callable[..., Row]) -> None:
    row = row_of("scatter_90_120_ptx.so")
    assert row.status == "fail"
    assert "lacks sm_90 sm_120 (has only PTX for sm_90 sm_120)" in row.detail


def test_another_target_that_serves_is_told(row_of: Callable[..., Row]) -> None:
    row = row_of("scatter_90a_120.so")
    assert row.status == "pass"
    assert "scatter_90a_120.so serves 9.0 with sm_90a" in row.detail


def test_a_cpu_build_fails(row_of: Callable[..., Row]) -> None:
    row = row_of("scatter.so")
    assert (row.status, row.found) == ("fail", "no device code")


def test_the_libraries_of_installed_packages() -> None:
    found = sass.libraries_of("pydantic_core")
    assert found
    assert all(path.startswith("/") and path.endswith(".so") for path in found)
    with pytest.raises(ConversionError, match="absent-package is not installed"):
        sass.libraries_of("absent-package")


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
    found = Inventory("3.10.14", {"torch": "2.11.0", "torch-geometric": "2.8.1"})
    monkeypatch.setattr(versions, "own_version", {"torch": "2.11.0+cu130"}.get)
    expected = {"torch": "2.11.0+cu130", "torch_geometric": "2.7.0", "torch-scatter": "2.1.2"}
    torch, geometric, scatter = versions.version_rows(expected, found)
    assert (torch.status, torch.found, torch.detail) == ("pass", "2.11.0+cu130", "its metadata says 2.11.0")
    assert (geometric.status, geometric.found) == ("fail", "2.8.1")
    assert (scatter.status, scatter.found) == ("fail", "not installed")


def test_the_own_version_file_of_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
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
    monkeypatch.setattr(metadata, "distribution", lambda _name: SimpleNamespace(files=files))
    assert versions.own_version("torch") == "2.11.0+cu130"


def test_absent_rows() -> None:
    there, gone = versions.absent_rows(["pytorch3d", "apex"], Inventory("3", {"pytorch3d": "0.7.4"}))
    assert (there.status, there.found) == ("fail", "0.7.4")
    assert gone.status == "pass"


def answer(monkeypatch: pytest.MonkeyPatch, **facts: object) -> None:
    monkeypatch.setattr(versions, "ask_torch", lambda: facts)


def test_cuda_and_arch_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, version="2.11.0+cu130", cuda="13.0", archs=["sm_80", "sm_90", "sm_120", "compute_120"])
    assert [row.status for row in versions.cuda_rows("13.0")] == ["pass"]
    assert [row.status for row in versions.cuda_rows("12.8")] == ["fail"]
    rows = list(versions.arch_rows(["8.6", "9.0", "10.0"]))
    assert [row.status for row in rows] == ["pass", "pass", "fail"]
    assert rows[0].detail == "served by sm_80"


def test_a_cpu_build_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, version="2.13.0+cpu", cuda=None, archs=[])
    (cuda,) = versions.cuda_rows("13.0")
    (arch,) = versions.arch_rows(["9.0"])
    assert (cuda.status, arch.status) == ("fail", "fail")
    assert "CPU build" in cuda.found
    assert "CPU build" in arch.found


def test_a_torch_that_cannot_be_imported_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "_ASK_TORCH", "raise ImportError('libcudart.so.13: cannot open shared object')")
    with pytest.raises(ConversionError, match=r"torch can't be imported: ImportError: libcudart\.so\.13"):
        versions.ask_torch()
