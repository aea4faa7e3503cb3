"""What lies in an environment: added, changed, dead, double, for builders only; on real folders."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from conversion.verify import image_bytes

PREFIX = "opt/env"
SITE = "lib/python3.11/site-packages"


def _put(root, path, text="x", *, size=0):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode() * max(1, size))
    os.utime(file, (1_000_000, 1_000_000))
    return file


@pytest.fixture
def roots(tmp_path):
    """A base, and an image made from it: torch replaced, six kept, source patched outside the environment."""
    base, image = tmp_path / "base", tmp_path / "image"
    _put(base, f"{PREFIX}/{SITE}/six.py", "six")
    _put(base, f"{PREFIX}/{SITE}/torch/old.so", size=500)
    _put(base, f"{PREFIX}/{SITE}/torch/version.py", size=10)
    _put(base, "src/predict.py", size=77)
    shutil.copytree(base, image)
    (image / PREFIX / SITE / "torch/old.so").unlink()
    _put(image, f"{PREFIX}/{SITE}/torch/version.py", size=11)
    _put(image, f"{PREFIX}/{SITE}/torch/new.so", size=900)
    _put(image, f"{PREFIX}/{SITE}/torch/lib/libx.a", size=40)
    _put(image, f"{PREFIX}/{SITE}/torch/include/ATen/x.h", size=30)
    _put(image, f"{PREFIX}/{SITE}/torch/test/test_x.py", size=20)
    _put(image, f"{PREFIX}/{SITE}/torch/__pycache__/x.pyc", size=5)
    _put(image, f"{PREFIX}/{SITE}/torch/testing/api.py", size=3)
    record = "torch/new.so,,900\ntorch/version.py,,11\n../../../bin/tool,,\ntorch-2.0.dist-info/RECORD,,\n"
    _put(image, f"{PREFIX}/{SITE}/torch-2.0.dist-info/RECORD", record)
    _put(image, f"{PREFIX}/bin/tool", size=100)
    return base, image


def _look(roots, patched=()):
    base, image = roots
    # The image's own path of the environment is the prefix's: a link stands for the root that a container would have.
    inside = base / str(image / PREFIX).lstrip("/")
    inside.parent.mkdir(parents=True, exist_ok=True)
    inside.symlink_to(base / PREFIX)
    return image_bytes.contents(str(image / PREFIX), str(base), patched)


def test_what_is_gone_or_replaced_is_dead_in_the_base(roots):
    assert _look(roots)["dead"] == {"files": 2, "bytes": 510}


def test_what_is_new_and_what_stands_over_the_bases_own_is_told_apart(roots):
    found = _look(roots)

    assert found["changed"] == {"files": 1, "bytes": 11}
    assert found["added"]["files"] == 8
    assert found["environment"]["files"] == 10


def test_kinds_are_of_new_files_only_and_testing_is_a_library(roots):
    assert _look(roots)["kinds"] == {
        "static-libraries": {"files": 1, "bytes": 40},
        "headers": {"files": 1, "bytes": 30},
        "tests": {"files": 1, "bytes": 20},
        "bytecode": {"files": 1, "bytes": 5},
    }


def test_packages_are_counted_by_record_with_what_lies_outside_site_packages(roots):
    record = (roots[1] / PREFIX / SITE / "torch-2.0.dist-info/RECORD").stat().st_size

    assert _look(roots)["packages"] == [
        {"name": "torch", "version": "2.0", "files": 4, "bytes": 900 + 11 + 100 + record}
    ]


def test_patched_files_count_with_the_bytes_that_they_shadow(roots):
    assert _look(roots, ["/src/predict.py", "/src/absent.py"])["patched"] == {"files": 1, "bytes": 77}


def test_large_files_of_one_content_are_duplicates_and_hard_links_are_not(roots):
    _, image = roots
    large = image_bytes.LARGE + 1
    first = _put(image, f"{PREFIX}/a.so", "a", size=large)
    _put(image, f"{PREFIX}/b.so", "a", size=large)
    _put(image, f"{PREFIX}/c.so", "c", size=large)
    os.link(first, image / PREFIX / "linked.so")

    found = _look(roots)

    assert found["duplicates"] == [{"bytes": large, "paths": ["a.so", "b.so"]}]
    assert found["duplicated"] == {"files": 1, "bytes": large}


def test_a_large_file_written_anew_with_the_bases_content_is_told(roots):
    base, image = roots
    for name, text in (("same.so", "a"), ("other.so", "b")):
        _put(base, f"{PREFIX}/{name}", "a", size=image_bytes.LARGE + 1)
        os.utime(_put(image, f"{PREFIX}/{name}", text, size=image_bytes.LARGE + 1), (2_000_000, 2_000_000))

    assert _look(roots)["repeated"] == {"files": 1, "bytes": image_bytes.LARGE + 1}


def test_small_files_and_those_of_the_base_are_not_compared(roots):
    base, image = roots
    for root in (base, image):
        _put(root, f"{PREFIX}/one.so", "a", size=image_bytes.LARGE + 1)
        _put(root, f"{PREFIX}/two.so", "a", size=image_bytes.LARGE + 1)
    _put(image, f"{PREFIX}/small1", "s", size=image_bytes.LARGE)
    _put(image, f"{PREFIX}/small2", "s", size=image_bytes.LARGE)

    assert _look(roots)["duplicates"] == []


def test_the_script_writes_the_same_bytes_twice(roots, tmp_path):
    _look(roots)
    base, image = roots
    report = tmp_path / "patch-report.json"
    report.write_text(json.dumps({"changed": [{"file": "/src/predict.py"}]}), encoding="utf-8")
    outs = [tmp_path / "out" / name for name in ("1.json", "2.json")]
    for out in outs:
        arguments = ["--prefix", str(image / PREFIX), "--base", str(base), "--patch-report", str(report)]
        assert image_bytes.main([*arguments, "--out", str(out)]) == 0

    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert json.loads(outs[0].read_bytes())["patched"] == {"files": 1, "bytes": 77}


def test_a_failure_stands_in_the_file_and_fails_nothing(tmp_path):
    out = tmp_path / "bytes.json"

    status = image_bytes.main(
        ["--prefix", "/opt", "--base", str(tmp_path), "--patch-report", str(tmp_path / "absent"), "--out", str(out)]
    )

    assert status == 0
    assert "FileNotFoundError" in json.loads(out.read_bytes())["error"]
