from __future__ import annotations

import pytest

from conversion.failures import ConversionError
from conversion.verify import torch_build


def test_cuda_and_arch_rows() -> None:
    assert torch_build.cuda_row("13.0", "13.0").status == "pass"
    assert torch_build.cuda_row("12.8", "13.0").status == "fail"
    rows = list(torch_build.arch_rows(["8.6", "9.0", "10.0"], ["sm_80", "sm_90", "sm_120", "compute_120"]))
    assert [row.status for row in rows] == ["pass", "pass", "fail"]
    assert rows[0].detail == "served by sm_80"


def test_a_cpu_build_of_torch() -> None:
    cuda = torch_build.cuda_row("13.0", None)
    (arch,) = torch_build.arch_rows(["9.0"], [])
    assert (cuda.status, arch.status) == ("fail", "fail")
    assert "CPU build" in cuda.found
    assert "CPU build" in arch.found


def test_a_torch_that_cannot_be_imported_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_build, "_ASK_TORCH", "raise ImportError('libcudart.so.13: cannot open shared object')")
    with pytest.raises(ConversionError, match=r"torch can't be imported: ImportError: libcudart\.so\.13"):
        torch_build.ask_torch()
