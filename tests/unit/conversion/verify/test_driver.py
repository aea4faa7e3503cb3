from __future__ import annotations

from conversion.verify.driver import driver_rows

REQUIREMENT = "cuda>=12.8 cuda>=12.0,arch<10.0"


def statuses(**environ: str) -> dict[str, str]:
    return {row.subject: row.status for row in driver_rows(REQUIREMENT, ">=570.26", environ)}


def test_the_requirement_of_the_new_cuda() -> None:
    assert statuses(NVIDIA_REQUIRE_CUDA=REQUIREMENT) == {"NVIDIA_REQUIRE_CUDA": "pass"}
    assert statuses(NVIDIA_REQUIRE_CUDA="cuda>=11.8 brand=tesla,driver>=470,driver<471") == {
        "NVIDIA_REQUIRE_CUDA": "fail"
    }
    (row,) = driver_rows(REQUIREMENT, ">=570.26", {})
    assert (row.status, row.found) == ("info", "not set")
    assert row.detail.startswith("driver >=570.26, label io.image-uplift.driver; the base does not set it")


def test_other_variables_of_nvidia() -> None:
    found = statuses(
        NVIDIA_DRIVER_CAPABILITIES="utility", NVIDIA_REQUIRE_DRIVER="driver>=1", NVIDIA_VISIBLE_DEVICES="all"
    )
    assert found["NVIDIA_DRIVER_CAPABILITIES"] == "info"
    assert found["NVIDIA_REQUIRE_DRIVER"] == "info"
    assert "NVIDIA_DRIVER_CAPABILITIES" not in statuses(NVIDIA_DRIVER_CAPABILITIES="compute,utility")
