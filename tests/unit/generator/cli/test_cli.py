from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bake.errors import UsageError
from generator.cli.app import app

TOP = Path(__file__).parents[4]


def generator(*command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "generator", *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(TOP), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["-r", "dmeo", "plan"], 'did you mean "demo"?'),
        (["-r", "none.toml", "plan"], "No such file"),
        (["render", "--arch", "12"], 'write "12.0"'),
        (["-r", "demo", "render", "--arch", "7.0"], "CUDA 12.9 was the last"),
        (["bake", "--tag", "Up:per:case"], "--tag: 'Up:per:case' is not a valid image reference"),
        (["bake", "--registry", "a//b"], "--registry"),
        (["verify", "no image"], "IMAGE: 'no image' is not a valid image reference"),
        (["bake", "wheel-torch-scater"], 'did you mean "wheel-torch-scatter"?'),
        (["bake", "image", "--push"], "--push pushes the verified image\n  what to do: name no targets beside it"),
        (["bake", "image", "--output", "oci-archive", "x.tar"], "name no targets beside it"),
        (["-r", "demo", "warm", "--registry", "h:1/x", "--caches-readonly"], "warm: the caches are only read here"),
        (["-r", "demo", "warm"], "warm: nothing is named that outlives this builder"),
        (["-r", "demo", "warm", "--layer-limit-mib", "0"], "Invalid value for '--layer-limit-mib'"),
        (["frobnicate"], "No such command"),
        (["plan", "--format", "gif"], "--format"),
        (["ci"], "--for"),
        (["ci", "--for", "jenkins"], "github"),
        (["ci", "--for", "github", "--runner", ","], "no runner is named"),
        (["ci", "--for", "github", "--runner", "${{ x }}"], "--runner: '${{ x }}' can't stand in a CI file"),
        (["ci", "--for", "gitlab", "--main", "a b"], "--main: 'a b' can't stand in a CI file"),
        (["ci", "--for", "gitlab", "--registry", "a//b"], "--registry"),
        (["ci", "--for", "gitlab", "--requirement", "x $Y"], "--requirement"),
        (["-r", "a/../../b.toml", "ci", "--for", "github"], "'a/../../b.toml' lies outside the repository"),
        (["-r", "/lab.toml", "ci", "--for", "github"], "by its path from the repository's root"),
    ],
)
def test_wrong_usage_has_its_message_and_status_2(tmp_path: Path, command: list[str], message: str) -> None:
    done = generator(*command, folder=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


CANARY = "canary-7f3"
LOGINS = (f"me:{CANARY}@h.example", f"https://me:{CANARY}@h.example/lab", f"me:{CANARY[:6]}@{CANARY[6:]}@h.example/x")


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize(
    "command",
    [
        ["bake", "--registry"],
        ["bake", "--tag"],
        ["bake", "--tag", "demo:1", "--tag"],
        ["bake", "--base"],
        ["bake", "--cache"],
        ["bake", "--wheels"],
        ["bake", "--wheels-readonly"],
        ["bake", "--compiler-cache"],
        ["bake", "--dry-run", "--cache-branch", "x", "--registry"],
        ["verify"],
        ["ci", "--for", "github", "--registry"],
        ["ci", "--for", "gitlab", "--requirement"],
        ["ci", "--for", "gitlab", "--main"],
        ["ci", "--for", "github", "--runner"],
    ],
)
def test_a_refused_value_shows_no_password(command: list[str], login: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(["-r", "demo", *command, login], capsys)
    assert "canary" not in said
    assert "7f3" not in said


def refused(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What is said of a command line that is refused before anything is asked."""
    with pytest.raises(UsageError) as failure:
        app(command, standalone_mode=False)
    shown = capsys.readouterr()
    return f"{failure.value}{shown.out}{shown.err}"


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("site.toml", "registry = {}"),
        ("site.toml", "registry = [{}]"),
        ("site.toml", "ca-bundle = [{}]"),
        ("site.toml", "cache = {}"),
        ("site.toml", "wheels = {}"),
        ("site.toml", "mirrors = {}"),
        ("site.toml", '[mirrors]\n"docker.io/" = {}\n"pypi" = "a b"'),
        ("recipe.toml", "base = {}"),
        ("recipe.toml", "[base]\nimage = {}"),
        ("recipe.toml", "[image]\ntag = {}"),
        ("recipe.toml", "[stack]\nrequirements = [{}]"),
        ("recipe.toml", "[stack]\nfrom = {}"),
        ("recipe.toml", "[assets.x]\nurls = [{}]"),
        ("recipe.toml", "[assets.x]\nsha256 = {}"),
    ],
)
def test_a_refused_line_shows_no_password(
    tmp_path: Path, name: str, text: str, login: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / name
    file.write_text(text.replace("{}", f'"{login}"') + "\n")
    recipe, site = (str(file), []) if name == "recipe.toml" else ("demo", ["--site", str(file)])
    said = refused(["-r", recipe, "bake", "--output-dir", str(tmp_path / "build"), *site], capsys)
    assert "canary" not in said
    assert "7f3" not in said


def test_a_wrong_site_file_lists_its_keys_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "site.toml"
    file.write_text("zzzz = 1\n")
    assert refused(["-r", "demo", "plan", "--site", str(file)], capsys).count("layer-limit-mib") == 1


def test_render_writes_its_path_to_stdout_and_the_rest_to_stderr(tmp_path: Path) -> None:
    done = generator("-r", "demo", "render", "-o", "out", folder=tmp_path)
    assert done.returncode == 0
    assert done.stdout == "out/docker-bake.hcl\n"
    assert "docker buildx bake -f out/docker-bake.hcl" in done.stderr
    assert (tmp_path / "out/contexts/verify/verify.json").is_file()


def test_options_come_from_the_environment_too(tmp_path: Path) -> None:
    done = generator("-r", "demo", "render", folder=tmp_path, GENERATOR_OUTPUT_DIR="elsewhere", GENERATOR_ARCH="12.0")
    assert done.returncode == 0
    assert 'default     = "12.0"' in (tmp_path / "elsewhere/docker-bake.hcl").read_text()


@pytest.mark.parametrize("command", [["plan", "-r", "demo"], ["-r", "deepprep", "plan", "--recipe", "demo"]])
def test_the_recipe_is_named_on_either_side_of_the_command(tmp_path: Path, command: list[str]) -> None:
    done = generator(*command, folder=tmp_path, GENERATOR_RECIPE="deepprep-cu130")
    assert done.returncode == 0
    assert done.stdout.startswith("demo: ")


def test_the_lock_is_named_on_either_side_of_the_command(tmp_path: Path) -> None:
    for command in (["--lock", "none.toml", "plan"], ["plan", "--lock", "none.toml"]):
        done = generator("-r", "demo", *command, folder=tmp_path)
        assert done.returncode == 2
        assert "none.toml: the lock can't be read" in done.stderr


def test_each_command_has_a_variable_of_its_own_for_its_format(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("all is well\n")
    formats = {"GENERATOR_VERIFY_FORMAT": "junit", "GENERATOR_DIAGNOSE_FORMAT": "json"}
    done = generator("diagnose", "log", folder=tmp_path, **formats)
    assert done.stdout.startswith('{\n  "log": "log"')
    assert generator("doctor", "--help", folder=tmp_path, **formats).returncode == 0


def test_a_bad_bundle_is_unfit_surroundings(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    done = generator("-r", "demo", "bake", "--ca-bundle", "ca.pem", folder=tmp_path)
    assert done.returncode == 3
    assert "holds no certificate" in done.stderr


def test_only_commands_that_exist_are_listed(tmp_path: Path) -> None:
    listed = generator("--help", folder=tmp_path).stdout
    commands = listed.split("Commands:")[1].split("Exit status")[0]
    names = set(re.findall(r"^  ([a-z]+)\b", commands, flags=re.MULTILINE))
    around = {"fetch", "lock", "bundle", "doctor", "diagnose", "run", "clean", "ci", "report"}
    assert names == {"render", "plan", "bake", "warm", "verify", *around}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_outside_a_bake_gives_130_without_a_traceback(tmp_path: Path, number: signal.Signals) -> None:
    script = (
        "import os, sys\n"
        "from generator import pipeline\n"
        "from generator.cli import app\n"
        f"pipeline.render = lambda *a, **k: os.kill(os.getpid(), {int(number)})\n"
        "sys.argv = ['generator', '-r', 'demo', 'render']\n"
        "app.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(TOP)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 130
    assert f"interrupted by {number.name}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path) -> None:
    command = f"{sys.executable} -m generator -r demo plan --format json | head -1"
    done = subprocess.run(
        command,
        shell=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(TOP)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "{\n"
    assert "Traceback" not in done.stderr
