"""The real lab's parts, on made-up checkouts: packaging only. What they prove is proven by `make real`."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest
import tomli

from bake.buildx import results
from bake.errors import UsageError
from generator.console.reporter import Reporter
from generator.resolve.site import Site, SiteFile, load_site
from lab import real_base, real_site, real_summary

REPORT = {
    "passed": False,
    "rows": [
        {"check": "model", "subject": "a.model", "expected": "", "found": "equal", "status": "pass", "detail": "4e-16"},
        {"check": "version", "subject": "torch", "expected": "2", "found": "2", "status": "pass", "detail": ""},
        {"check": "conflict", "subject": "x", "expected": "none", "found": "one", "status": "fail", "detail": ""},
    ],
}
BAKED = {
    "schema": 1,
    "cpu": {"seconds": 1460.0, "cores": 2},
    "wheels": {"wheel-pytorch3d": {"origin": "compiled", "compilers": {"measured": "67 files in 1460 CPU seconds"}}},
    "targets": {"wheel-pytorch3d": {"steps": []}, "verify": {"steps": []}},
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A git repository with a source, a picture, and one commit."""
    folder = tmp_path / "checkout"
    (folder / "pytorch3d").mkdir(parents=True)
    (folder / "pytorch3d" / "knn.cu").write_text("kernel\n")
    (folder / "setup.py").write_text("setup()\n")
    (folder / "picture.gif").write_bytes(b"GIF")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "x")
    return folder


def git(folder: Path, *command: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *command], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def lose(folder: Path, name: str) -> None:
    blob = git(folder, "rev-parse", f"HEAD:{name}")
    (folder / ".git" / "objects" / blob[:2] / blob[2:]).unlink()


def names(file: Path) -> set[str]:
    with tarfile.open(file) as archive:
        return {member.name for member in archive.getmembers() if member.isfile()}


def test_the_archive_is_the_commits_and_says_so(checkout: Path, tmp_path: Path) -> None:
    commit, file = git(checkout, "rev-parse", "HEAD"), tmp_path / "out" / "x.tar.gz"
    assert real_site.archive(checkout, commit=commit, prefix="p-1", out=file) == []
    assert names(file) == {"p-1/pytorch3d/knn.cu", "p-1/setup.py", "p-1/picture.gif"}
    with tarfile.open(file) as archive:
        assert archive.pax_headers["comment"] == commit
    first = file.read_bytes()
    (checkout / "setup.py").write_text("changed, not committed\n")
    real_site.archive(checkout, commit=commit, prefix="p-1", out=file)
    assert file.read_bytes() == first


def test_what_the_checkout_lacks_is_left_out_and_named(checkout: Path, tmp_path: Path) -> None:
    commit, file = git(checkout, "rev-parse", "HEAD"), tmp_path / "x.tar.gz"
    lose(checkout, "picture.gif")
    assert real_site.archive(checkout, commit=commit, prefix="p", out=file) == ["picture.gif"]
    assert names(file) == {"p/pytorch3d/knn.cu", "p/setup.py"}


def test_a_checkout_without_a_source_is_refused(checkout: Path, tmp_path: Path) -> None:
    lose(checkout, "pytorch3d/knn.cu")
    with pytest.raises(UsageError, match=r"lacks what is compiled: pytorch3d/knn\.cu"):
        real_site.archive(checkout, commit=git(checkout, "rev-parse", "HEAD"), prefix="p", out=tmp_path / "x")


@pytest.mark.parametrize("kind", ["no folder", "no checkout", "another commit"])
def test_what_is_no_checkout_of_pytorch3d_is_said(checkout: Path, tmp_path: Path, kind: str) -> None:
    folder = {"no folder": tmp_path / "nowhere", "no checkout": Path("/proc"), "another commit": checkout}[kind]
    with pytest.raises(UsageError, match=r"no checkout with commit a{40}") as raised:
        real_site.archive(folder, commit="a" * 40, prefix="p", out=tmp_path / "x")
    assert "git clone --branch v0.7.9" in str(raised.value.remedy)


def test_the_site_is_the_users_but_for_assets_and_checksum(tmp_path: Path) -> None:
    own = tmp_path / "own" / "site.toml"
    own.parent.mkdir()
    own.write_text(
        'netrc = "n"\nassets = "mine"\nregistry = "r.example"\ndisk-gib = 30\n[mirrors]\npypi = "https://m.example/"\n'
    )
    text = real_site.site_text(load_site(own), assets=tmp_path / "assets", checksums={"https://x.example/f": "b" * 64})
    (tmp_path / "site.toml").write_text(text)
    site = load_site(tmp_path / "site.toml").site
    assert site.netrc == str(own.parent / "n")
    assert site.assets == str(tmp_path / "assets")
    assert (site.registry, site.disk_gib) == ("r.example", 30)
    assert site.mirrors == {"pypi": "https://m.example/"}
    assert site.checksums == {"https://x.example/f": "b" * 64}


def test_a_site_with_nothing_in_it(tmp_path: Path) -> None:
    read = tomli.loads(real_site.site_text(SiteFile(site=Site()), assets=tmp_path, checksums={}))
    assert read == {"assets": str(tmp_path), "disk-gib": real_site.DISK_GIB, "checksums": {}}


def test_another_hash_than_githubs_goes_into_the_site_file(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    monkeypatch.setattr(real_site, "archive", lambda *_, out, **__: out.write_bytes(b"x") and [])
    (tmp_path / "out" / "assets").mkdir(parents=True)
    said = io.StringIO()
    reporter = Reporter(stderr=said)
    own = tmp_path / "own.toml"
    own.touch()
    written = real_site.make(checkout, tmp_path / "out", recipe="deepprep-cu130", site=own, reporter=reporter)
    found = tomli.loads(written.read_text())["checksums"]
    assert list(found.values()) == [hashlib.sha256(b"x").hexdigest()]
    assert "its bytes are not GitHub's" in said.getvalue()
    assert len(commit) == 40


def test_a_folder_that_is_no_checkout_of_deepprep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "deepprep" / "SUGAR").mkdir(parents=True)
    assert real_base.main(["--deepprep", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "it lacks deepprep/SUGAR/gatunet_model.py" in said
    assert "git clone --branch 25.1.0" in said


def test_the_base_is_made_from_the_checkout_and_never_named_as_the_users_image(tmp_path: Path) -> None:
    for name in real_base.NEEDED_FILES:
        (tmp_path / "deepprep" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "deepprep" / name).touch()
    image = real_base.real_base(real_base.TAG, tmp_path)
    assert image.contexts["source"] == (tmp_path / "deepprep").resolve()
    assert image.tag.startswith("uplift-real/")
    for folder in image.contexts.values():
        assert folder.is_dir()


def test_the_summary_has_every_model_and_failure_and_counts_the_rest() -> None:
    found = real_summary.figures("i:1", times={"bake": 7}, baked=results.Results(BAKED), report=REPORT)
    assert found["passed"] is False
    assert [row["subject"] for row in found["rows"]] == ["a.model", "x"]
    assert found["checks"] == {"pass": {"model": 1, "version": 1}, "fail": {"conflict": 1}}
    assert found["targets"] == {"wheel-pytorch3d": {"seconds": 0, "compilers": "67 files in 1460 CPU seconds"}}
    assert found["compile_cpu"]["seconds"] == 1460


def test_the_summary_is_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "verify").mkdir()
    (tmp_path / "verify" / "report.json").write_text(json.dumps(REPORT))
    (tmp_path / "results.json").write_text(json.dumps(BAKED))
    (tmp_path / "times").write_text("bake and verify\t7\n")
    arguments = ["--image", "i:1", "--build", str(tmp_path), "--times", str(tmp_path / "times")]
    real_summary.main([*arguments, "--json", str(tmp_path / "real.json")])
    said = capsys.readouterr().err
    for text in ("1460 CPU s on 2 cores", "a.model", "4e-16", "fail: 1 (1 conflict)", "i:1: NOT verified"):
        assert text in said
    assert json.loads((tmp_path / "real.json").read_text())["seconds"] == {"bake and verify": 7}
