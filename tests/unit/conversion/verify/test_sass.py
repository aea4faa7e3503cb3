from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from conversion.failures import ConversionError
from conversion.verify import sass

if TYPE_CHECKING:
    from collections.abc import Callable

    from conversion.verify.rows import Row


@pytest.fixture
def row_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, library: Any) -> Callable[..., Row]:
    """The row of a package with libraries that have code for what their names say: ``scatter_90_120_ptx.so``."""

    def row(*names: str) -> Row:
        files = []
        for name in names:
            archs = " ".join(part for part in name.split(".")[0].split("_") if part[0].isdigit())
            kind = "ptx" if "ptx" in name else "sass"
            files.append(str(library.write(tmp_path / name, **{kind: archs})))
        monkeypatch.setattr(sass, "libraries_of", lambda _package, _installed: files)
        (found,) = sass.extension_rows("torch-scatter", ["9.0", "12.0"], {})
        return found

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
    installed = {"pydantic-core": metadata.distribution("pydantic_core")}
    found = sass.libraries_of("pydantic_core", installed)
    assert found
    assert all(path.startswith("/") and path.endswith(".so") for path in found)
    with pytest.raises(ConversionError, match="absent-package is not installed"):
        sass.libraries_of("absent-package", installed)
