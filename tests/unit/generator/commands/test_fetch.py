"""The commands ``fetch`` and ``lock`` as users start them, against a real server."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.certificates import self_signed, server_context

TOP = Path(__file__).parents[4]
RECIPE = """\
schema = 2
name = "small"
summary = "A small recipe"

[image]
tag = "small:1"

[base]
image = "base@sha256:{digest}"
prefix = "/opt/env"

[stack]
cuda = "13.0"
archs = ["12.0"]
install = ["torch==2.11.0"]

[toolkit]
source = "runfile"
asset = "tool"

[assets.tool]
url = "{url}"
"""
LOCK = ("lock", "--without", "stack", "--without", "fetcher")  # nothing is built or asked for


@pytest.fixture
def command(tmp_path):
    """Start ``python -m generator -r small.toml …`` in an empty folder; ``asset`` adds keys of the asset."""

    def start(source, *arguments, asset="", environment=None, **options):
        text = RECIPE.format(url=source.url, digest="a" * 64) + asset + "\n"
        (tmp_path / "small.toml").write_text(text)
        return subprocess.Popen(
            [sys.executable, "-m", "generator", "-r", "small.toml", *arguments],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(TOP),
                "GENERATOR_ASSETS_DIR": str(tmp_path / "assets"),
                "no_proxy": "*",
                **(environment or {}),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    return start


@pytest.fixture
def run(command):
    def wait(source, *arguments, **options):
        process = command(source, *arguments, **options)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    return wait


def listed(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_fetch_prints_name_hash_and_path(sources, run):
    source = sources()
    sha256 = hashlib.sha256(source.content).hexdigest()
    status, out, err = run(source, "fetch", asset=f'sha256 = "{sha256}"\nsize = 3000000')
    assert status == 0, err
    name, found, path = out.strip().split("\t")
    assert (name, found) == ("tool", sha256)
    assert Path(path).read_bytes() == source.content
    assert "tool: 3.0 MB, from http://127.0.0.1" in err
    assert "warning" not in err


def test_sigint_leaves_only_the_part_and_the_next_fetch_goes_on(sources, command, run, tmp_path):
    source = sources(slow=0.05)
    process = command(source, "fetch")
    deadline = time.monotonic() + 30
    while source.sent < 300_000 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "of tool.run are kept" in err
    assert "Traceback" not in err
    part, origin = sorted((tmp_path / "assets").iterdir())
    assert (part.suffix, origin.suffixes) == (".part", [".part", ".json"])
    kept = part.stat().st_size
    assert 0 < kept < 3_000_000
    source.slow = 0
    status, out, err = run(source, "fetch")
    assert status == 0, err
    assert source.ranges_asked()[-1] == f"bytes={kept}-"
    assert Path(out.strip().split("\t")[2]).read_bytes() == source.content
    assert listed(tmp_path / "assets") == sorted([f"{part.stem}.json", "tool.run"])


def test_a_wrong_hash_is_exit_3(sources, run, tmp_path):
    status, out, err = run(sources(), "fetch", asset=f'sha256 = "{"0" * 64}"')
    assert (status, out) == (3, "")
    assert f"{'0' * 64} was expected" in err
    assert "what to do:" in err
    assert listed(tmp_path / "assets") == []


def test_an_unknown_hash_is_a_warning_and_the_lock_ends_it(sources, run, tmp_path):
    source = sources()
    sha256 = hashlib.sha256(source.content).hexdigest()
    status, _, err = run(source, "fetch")
    assert status == 0
    assert f"nobody knew its hash beforehand; it is {sha256}" in err
    status, out, err = run(source, *LOCK)
    assert (status, out) == (0, "small.lock.toml\n"), err
    first = (tmp_path / "small.lock.toml").read_bytes()
    assert len(source.asked) == 1
    assert run(source, *LOCK)[0] == 0
    assert (tmp_path / "small.lock.toml").read_bytes() == first
    status, _, err = run(source, "fetch")
    assert (status, err) == (0, "")


def test_what_changed_since_the_lock_is_refused(sources, run, tmp_path):
    source = sources()
    assert run(source, *LOCK)[0] == 0
    for path in (tmp_path / "assets").rglob("tool.run"):
        path.unlink()
    source.content, source.etag = source.content[::-1], '"two"'
    status, _, err = run(source, "fetch")
    assert status == 3
    assert "was expected" in err


def test_a_lock_may_be_named_and_must_exist(sources, run):
    source = sources()
    assert run(source, *LOCK, "-o", "elsewhere.toml")[0] == 0
    assert run(source, "fetch", environment={"GENERATOR_LOCK": "elsewhere.toml"})[2] == ""
    status, _, err = run(source, "fetch", environment={"GENERATOR_LOCK": "none.toml"})
    assert status == 2
    assert "none.toml: the lock can't be read" in err


def test_an_unknown_asset_is_wrong_usage(sources, run):
    status, _, err = run(sources(), "fetch", "tol")
    assert status == 2
    assert "there is no asset 'tol'" in err


def test_a_private_ca_is_trusted_when_its_bundle_is_given(sources, run, tmp_path):
    certificate, key = self_signed(tmp_path)
    source = sources(tls=server_context(certificate, key))
    status, _, err = run(source, "fetch")
    assert status == 3
    assert "the certificate is not trusted" in err
    assert "--ca-bundle" in err
    status, _, err = run(source, "fetch", "--ca-bundle", str(certificate))
    assert status == 0, err
