"""Sources, keys and the list of packages of a frozen image: data that leads nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from contexts.fetch import debs, download

STATUS = """\
Package: apt
Status: install ok installed
Architecture: amd64

Package: dpkg
Status: install ok installed
Maintainer: somebody
Architecture: arm64
Version: 1
"""


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(download, "MIRRORS", tmp_path / "mirrors")
    root = tmp_path / "image"
    for folder in ("etc/apt/sources.list.d", "etc/apt/trusted.gpg.d", "usr/share/keyrings"):
        (root / folder).mkdir(parents=True)
    (root / "usr/share/keyrings/archive.gpg").write_bytes(b"key")
    return root


def written(image: Path, tmp_path: Path) -> str:
    folder = tmp_path / "state"
    folder.mkdir()
    debs.write_sources(debs.Image(image), folder)
    return (folder / "image.sources").read_text()


def test_sources_of_both_formats_are_read(image: Path, tmp_path: Path) -> None:
    (image / "etc/apt/sources.list").write_text(
        "# deb http://no/ x main\ndeb-src http://no/ x main\n"
        "deb [signed-by=/usr/share/keyrings/archive.gpg trusted=yes] http://one/debian stable main contrib\n"
    )
    (image / "etc/apt/sources.list.d/two.sources").write_text(
        "Types: deb deb-src\nURIs: https://two/debian\nSuites: stable stable-updates\nComponents: main\n"
        "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n -----END PGP PUBLIC KEY BLOCK-----\n\n"
        "Types: deb\nEnabled: no\nURIs: https://no/\nSuites: x\n"
    )
    text = written(image, tmp_path)
    assert text == (
        "Types: deb\nURIs: http://one/debian\nSuites: stable\nComponents: main contrib\nTrusted: yes\n"
        f"Signed-By: {tmp_path}/state/keys/0.gpg\n\n"
        "Types: deb\nURIs: https://two/debian\nSuites: stable stable-updates\nComponents: main\n"
        f"Signed-By: {tmp_path}/state/keys/1.asc\n"
    )
    assert (tmp_path / "state/keys/0.gpg").read_bytes() == b"key"
    assert "BLOCK-----\n\nabc\n" in (tmp_path / "state/keys/1.asc").read_text()


def test_mirrors_stand_in_for_sources(image: Path, tmp_path: Path) -> None:
    (tmp_path / "mirrors").write_text("http://deb.example/ https://lab/\n")
    (image / "etc/apt/sources.list").write_text("deb http://deb.example/debian stable main\n")
    assert "URIs: https://lab/debian\n" in written(image, tmp_path)


@pytest.mark.parametrize(
    "source",
    [
        "deb file:///run/secrets stable main",
        "deb copy:/run/secrets ./",
        "deb ssh://host/x stable main",
        "deb http://e/$(id) stable main",
        "deb http://[foo stable main",
        "deb http://e:port/ stable main",
    ],
)
def test_sources_that_are_no_web_server_are_left_out(image: Path, tmp_path: Path, source: str) -> None:
    (image / "etc/apt/sources.list").write_text(f"{source}\ndeb http://one/ stable main\n")
    assert written(image, tmp_path).count("URIs") == 1


def test_an_image_without_sources_is_told(image: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="names no source of packages"):
        written(image, tmp_path)


@pytest.mark.parametrize("target", ["/outside/secret", "../../../../outside/secret", "loop"])
def test_no_link_leads_out_of_the_image(image: Path, tmp_path: Path, target: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("word")
    (image / "etc/apt/loop").symlink_to("loop")
    (image / "etc/apt/sources.list").symlink_to(target)
    assert debs.Image(image).read("/etc/apt/sources.list") is None
    (image / "outside").symlink_to(tmp_path / "outside")
    assert debs.Image(image).read("/outside/secret") is None


def test_links_are_followed_as_the_image_would(image: Path) -> None:
    (image / "etc/keys").symlink_to("/usr/share/keyrings")
    (image / "etc/up").symlink_to("../../../usr/share")
    assert debs.Image(image).read("/etc/keys/archive.gpg") == b"key"
    assert debs.Image(image).read("/etc/up/keyrings/archive.gpg") == b"key"


def test_the_architecture_is_that_of_dpkg() -> None:
    assert debs.architecture(STATUS) == "arm64"
    with pytest.raises(SystemExit, match="no packages of dpkg"):
        debs.architecture(STATUS.replace("arm64", "arm64;x"))
    with pytest.raises(SystemExit, match="no packages of dpkg"):
        debs.architecture("Package: dpkg\n" * 1_000_000)


@pytest.mark.parametrize(
    ("file", "package"),
    [
        ("g++_4%3a12.2.0-3_amd64.deb", "g++:amd64=4:12.2.0-3"),
        ("ccache_4.8+really4.7.5-1_amd64.deb", "ccache:amd64=4.8+really4.7.5-1"),
        ("libc6_2.36-9+deb12u13~x_arm64.deb", "libc6:arm64=2.36-9+deb12u13~x"),
    ],
)
def test_a_file_is_asked_for_by_its_package(file: str, package: str) -> None:
    assert debs.pinned(file) == package


@pytest.mark.parametrize("file", ["../x_1_amd64.deb", "--option=x_1_amd64.deb", "x_1 2_amd64.deb", "x.deb"])
def test_a_name_that_is_none_of_a_package_is_not_asked_for(file: str) -> None:
    with pytest.raises(SystemExit, match="is no name of a package's file"):
        debs.pinned(file)
