from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).parents[3]


def environment(folder: Path) -> dict[str, str]:
    """The environment that a command gets, with the secrets that lie in the folder."""
    tools = folder / "tools"
    tools.mkdir()
    for name in ("with-ca", "mirrored"):
        text = (TOP / "contexts/tools" / name).read_text()
        (tools / name).write_text(text.replace("/run/secrets", str(folder)).replace("/tools/", f"{tools}/"))
        (tools / name).chmod(0o755)
    done = subprocess.run(
        [str(tools / "with-ca"), "env"], env={"PATH": "/usr/bin:/bin"}, check=True, capture_output=True
    )
    return dict(line.split("=", 1) for line in done.stdout.decode().splitlines())


def test_without_secrets_nothing_is_set(tmp_path: Path) -> None:
    assert not {"SSL_CERT_FILE", "PIP_CERT", "NETRC", "UV_DEFAULT_INDEX", "PIP_INDEX_URL"} & set(environment(tmp_path))


@pytest.mark.parametrize("tool", ["SSL_CERT_FILE", "PIP_CERT", "GIT_SSL_CAINFO"])
def test_every_tool_is_told_of_the_private_ca(tmp_path: Path, tool: str) -> None:
    (tmp_path / "ca-bundle").touch()
    assert environment(tmp_path)[tool] == str(tmp_path / "ca-bundle")


def test_credentials_and_the_index_of_the_place_are_told(tmp_path: Path) -> None:
    (tmp_path / "netrc").touch()
    (tmp_path / "mirrors").write_text("https://a/ https://b/\npypi https://lab.example/simple\n")
    found = environment(tmp_path)
    assert found["NETRC"] == str(tmp_path / "netrc")
    assert found["UV_DEFAULT_INDEX"] == found["PIP_INDEX_URL"] == "https://lab.example/simple"
