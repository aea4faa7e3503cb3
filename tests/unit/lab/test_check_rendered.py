from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.check_rendered import check_command, main

if TYPE_CHECKING:
    from pathlib import Path

BAKE_FILE = """
target "first" {
  context = "first"
}
target "second" {
  context  = "second"
  contexts = { first = "target:first", base = "docker-image://absent.example/never:pulled" }
  args     = { ARCH = "9.0" }
}
"""


def test_linked_targets_and_images_are_replaced_and_arguments_kept(tmp_path: Path) -> None:
    target = {
        "context": "out/contexts/image",
        "dockerfile": "Dockerfile",
        "contexts": {"torch": "target:torch", "base": "docker-image://x"},
        "args": {"ARCH": "9.0;12.0"},
        "target": "final",
    }
    command = check_command(target, placeholder=tmp_path)
    assert command[:5] == ["docker", "buildx", "build", "--check", "--file"]
    assert command[5] == "out/contexts/image/Dockerfile"
    assert command[6:-1] == [
        *("--build-context", f"torch={tmp_path}", "--build-context", f"base={tmp_path}"),
        *("--build-arg", "ARCH=9.0;12.0", "--target", "final"),
    ]
    assert command[-1] == "out/contexts/image"


@pytest.mark.engine
@pytest.mark.parametrize(
    ("second", "status", "words"),
    [
        ("FROM base AS built\nARG ARCH\nCOPY --from=first /x /x\nRUN echo $ARCH\n", 0, ""),
        ("FROM base as built\nCOPY --from=first /x /x\n", 1, "FromAsCasing"),
        ("FROM base\nCOPIE x /x\n", 1, "unknown instruction: COPIE"),
    ],
)
def test_every_target_is_linted_by_buildkit(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    second: str,
    status: int,
    words: str,
) -> None:
    for name, text in {"first": "FROM scratch\nCOPY x /x\n", "second": second}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "Dockerfile").write_text(text)
    (tmp_path / "docker-bake.hcl").write_text(BAKE_FILE)
    monkeypatch.chdir(tmp_path)
    assert main(["docker-bake.hcl"]) == status
    shown = capfd.readouterr().err
    assert words in shown
    assert ("second:" in shown) == bool(status)
    assert not shown.startswith("first:")
