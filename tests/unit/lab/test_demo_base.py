from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from bake.errors import BuildFailed, EnvironmentUnfit
from generator.recipe import load_recipe
from lab import base_image, demo_base, demo_rootfs
from lab.base_image import BaseImage


class FakeMachine(demo_rootfs.Machine):
    """A machine with some images, on which nothing is really done."""

    def __init__(self, labels: dict[str, str], *, pulls: bool = False) -> None:
        self.said: list[str] = []
        super().__init__(self.said.append)
        self.labels = labels
        self.pulls = pulls
        self.made: list[str] = []

    def label(self, image: str) -> str | None:
        return self.labels.get(image)

    def pulled(self, image: str) -> bool:
        assert image == demo_rootfs.PULLED_ROOTFS
        return self.pulls

    def data_root(self) -> Path:
        return Path("/nonexistent")

    def make_rootfs(self, image: str) -> None:
        self.made.append(image)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    (folder / "source").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "source" / "a.py").write_text("a = 1\n")
    return folder


def of(context: Path, **contexts: Path) -> BaseImage:
    return BaseImage(tag="x:1", target="some", needed_bytes=8 * 10**9, takes="soon", context=context, contexts=contexts)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    commands: list[list[str]] = []
    monkeypatch.setattr(base_image, "build", lambda command: commands.append(list(command)))
    return commands


def test_hash_is_stable_and_ignores_compiled_files(context: Path) -> None:
    before = base_image.inputs_hash(context)
    cache = context / "source" / "__pycache__"
    cache.mkdir()
    (cache / "a.cpython-311.pyc").write_bytes(b"\0")
    assert base_image.inputs_hash(context) == before


@pytest.mark.parametrize("change", ["content", "name", "mode", "new file", "moved border"])
def test_hash_sees_every_change(context: Path, change: str) -> None:
    before = base_image.inputs_hash(context)
    file = context / "source" / "a.py"
    if change == "content":
        file.write_text("a = 2\n")
    elif change == "name":
        file.rename(file.with_name("b.py"))
    elif change == "mode":
        file.chmod(0o755)
    elif change == "new file":
        (context / "source" / "b.py").touch()
    else:
        file.write_text("a = 1")
        (context / "source" / "a.py2").write_text("\n")
    assert base_image.inputs_hash(context) != before


def test_nothing_is_built_when_the_inputs_are_unchanged(context: Path, built: list[list[str]]) -> None:
    machine = FakeMachine({"x:1": base_image.inputs_hash(context)})
    assert not base_image.make(of(context), force=False, machine=machine, environ={})
    assert built == []
    assert machine.made == []


@pytest.mark.parametrize("label", [None, "", "other"])
def test_a_missing_or_outdated_image_is_built(context: Path, built: list[list[str]], label: str | None) -> None:
    labels = {demo_rootfs.LOCAL_ROOTFS: ""} | ({} if label is None else {"x:1": label})
    machine = FakeMachine(labels)
    assert base_image.make(of(context), force=False, machine=machine, environ={})
    assert f"{demo_rootfs.LABEL}={base_image.inputs_hash(context)}" in built[0]
    assert f"ROOTFS={demo_rootfs.LOCAL_ROOTFS}" in built[0]
    assert machine.made == []


def test_root_filesystem_is_pulled_where_that_works(context: Path, built: list[list[str]]) -> None:
    machine = FakeMachine({}, pulls=True)
    base_image.make(of(context), force=False, machine=machine, environ={})
    assert f"ROOTFS={demo_rootfs.PULLED_ROOTFS}" in built[0]


def test_root_filesystem_is_made_where_nothing_can_be_pulled(context: Path, built: list[list[str]]) -> None:
    machine = FakeMachine({})
    base_image.make(of(context), force=False, machine=machine, environ={})
    assert machine.made == [demo_rootfs.LOCAL_ROOTFS]
    assert f"ROOTFS={demo_rootfs.LOCAL_ROOTFS}" in built[0]


def test_the_ca_bundle_is_a_secret_and_never_a_build_argument(
    context: Path, built: list[list[str]], tmp_path: Path
) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("x")
    environ = {"GENERATOR_CA_BUNDLE": str(bundle)}
    base_image.make(of(context), force=True, machine=FakeMachine({}), environ=environ)
    command = built[0]
    assert command[command.index("--secret") + 1] == f"id=ca-bundle,src={bundle}"
    assert sum(str(bundle) in part for part in command) == 1


def test_no_secret_without_a_bundle() -> None:
    assert base_image.ca_bundle({"SSL_CERT_FILE": "/nonexistent.pem"}) is None


def test_a_wrong_ca_bundle_is_said() -> None:
    with pytest.raises(EnvironmentUnfit, match="no readable file") as raised:
        base_image.ca_bundle({"GENERATOR_CA_BUNDLE": "/nonexistent.pem"})
    assert raised.value.where == "GENERATOR_CA_BUNDLE"


def test_no_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(EnvironmentUnfit, match="no `docker` on PATH") as raised:
        demo_rootfs.Machine(print).label("x:1")
    assert raised.value.exit_status == 3


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [("Error: No such image: x:1", None), ("error during connect: no route", EnvironmentUnfit)],
)
def test_no_image_and_no_engine_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, stderr: str, expected: type[EnvironmentUnfit] | None
) -> None:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", stderr)

    monkeypatch.setattr(subprocess, "run", run)
    machine = demo_rootfs.Machine(print)
    if expected is None:
        assert machine.label("x:1") is None
    else:
        with pytest.raises(expected, match="no route"):
            machine.label("x:1")


def test_no_mirror_and_no_pull(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_rootfs.Machine, "mirror", lambda _: "")
    with pytest.raises(EnvironmentUnfit, match="name no mirror") as raised:
        demo_rootfs.Machine(print).make_rootfs("x:1")
    assert demo_rootfs.PULLED_ROOTFS in str(raised.value.remedy)


def test_too_little_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10**9})())
    with pytest.raises(EnvironmentUnfit, match=r"while it is made, needs 8 GB, and 1\.0 GB are free"):
        base_image.check_disk(tmp_path, of(tmp_path))


def test_what_the_demo_needs_is_said_alike_everywhere() -> None:
    top = Path(demo_base.__file__).parents[1]
    bake = load_recipe("demo").recipe.image.disk_gib * 2**30
    assert demo_base.NEEDED_BYTES + bake < demo_base.DEMO_BYTES < demo_base.NEEDED_BYTES + bake + 3e9
    readme = (top / "README.md").read_text(encoding="utf-8")
    assert f"about {demo_base.DEMO_BYTES / 1e9:.0f} GB of disk" in readme
    assert "demo_base --demo" in (top / "bake/local/demo.sh").read_text(encoding="utf-8")


def test_a_failing_build_is_said() -> None:
    with pytest.raises(BuildFailed, match="ended with status 7"):
        base_image.build(["sh", "-c", "exit 7"])


def test_main_gives_the_exit_status_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert demo_base.main(["--tag", "x:1"]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: there is no `docker` on PATH")
    assert "make engine" in captured.err


def test_folders_that_take_the_place_of_stages_count_among_the_inputs(
    context: Path, built: list[list[str]], tmp_path: Path
) -> None:
    source = tmp_path / "sources"
    source.mkdir()
    (source / "a.py").touch()
    image = of(context, source=source)
    before = image.inputs
    base_image.make(image, force=True, machine=FakeMachine({}), environ={})
    assert built[0][built[0].index("--build-context") + 1] == f"source={source}"
    assert built[0][built[0].index("--target") + 1] == "some"
    (source / "b.py").touch()
    assert image.inputs != before


def test_the_mirror_is_read_from_this_machines_apt_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = tmp_path / "sources.list"
    sources.write_text("deb http://mirror.example.org/debian bookworm main\n")
    monkeypatch.setenv("APT_SOURCES", str(sources))
    machine = demo_rootfs.Machine(lambda _: None)
    assert machine.mirror() == "http://mirror.example.org/debian"
    sources.write_text("deb http://mirror.example.org/debian trixie main\n")
    assert machine.mirror() == ""
