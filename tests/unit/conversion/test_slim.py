"""What is left out of new packages, and the proof that nobody there needs it; on real folders and processes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from conversion import place, share, slim
from conversion.imported import test_modules as imported_test_modules
from conversion.records import Package, packages
from conversion.rows import Row
from conversion.selection import KINDS, select
from conversion.slim_rows import left_out, slim_rows

PREFIX = "opt/env"
SITE = f"{PREFIX}/lib/python3.11/site-packages"
INNER = "lib/python3.11/site-packages"


def install(root: Path, name: str, version: str, files: dict[str, str]) -> None:
    """Put a package's files below a root, and list them in its RECORD."""
    site = root / SITE
    info = f"{name}-{version}.dist-info"
    listed = {**files, f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"}
    for path, content in listed.items():
        target = site / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
    rows = [f"{path},sha256=x,{len(content)}" for path, content in listed.items()]
    (site / info / "RECORD").write_text("\n".join([*rows, f"{info}/RECORD,,"]) + "\n")


def package(name: str, *paths: str) -> Package:
    return Package(name, "1", f"{INNER}/{name}-1.dist-info/RECORD", {f"{INNER}/{path}": 1 for path in paths})


@pytest.mark.parametrize(
    ("name", "path", "kind"),
    [
        ("numpy", "numpy/lib/libnpymath.a", "static-libraries"),
        ("other", "other/lib/libx.a", "static-libraries"),
        ("other", "other/data/model.a", None),
        ("other", "other/cells.lib", None),
        ("nvidia-cuda-runtime", "nvidia/cu13/lib/libcudadevrt.a", None),
        ("torch", "torch/include/ATen/Tensor.h", "headers"),
        ("nvidia-cuda-cccl-cu12", "nvidia/cccl/include/cuda/std/array", "headers"),
        ("nvidia-cuda-cccl-cu12", "nvidia/cccl/include/LICENSE", None),
        ("torch", "torch/csrc/x.h", None),
        ("triton", "triton/backends/nvidia/include/cuda.h", None),
        ("other", "other/include/other.h", None),
        ("other", "other/tests/test_x.py", "tests"),
        ("other", "other/sub/tests/data/x.npz", "tests"),
        ("other", "other/testing/test_x.py", None),
        ("other", "other/test/client.py", None),
        ("other", "tests/test_top.py", None),
        ("other", "other-1.dist-info/tests/test_x.py", None),
    ],
)
def test_what_is_left_out_of_which_package(name: str, path: str, kind: str | None) -> None:
    one = package(name, path, *(["other/sub/tests/test_more.py"] if "sub/tests" in path else []))
    found = {left.path: left.kind for left in select([one], [one], KINDS).files}
    assert found.get(f"{INNER}/{path}") == kind
    assert {left.kind for left in select([one], [one], [k for k in KINDS if k != kind]).files} <= {*KINDS} - {kind}


def test_a_file_that_a_package_of_the_base_has_too_stays() -> None:
    new = package("torch", "torch/include/a.h", "shared/include/b.h")
    assert [left.path for left in select([new], [new, package("old", "shared/include/b.h")], KINDS).files] == [
        f"{INNER}/torch/include/a.h"
    ]
    # Of two new ones, both must be without it.
    cuda = package("nvidia-cuda-runtime-cu12", "torch/include/a.h")
    assert len(select([new, cuda], [new, cuda], KINDS).files) == 2
    triton = package("triton", "torch/include/a.h")
    assert len(select([new, triton], [new, triton], KINDS).files) == 1


@pytest.mark.parametrize(("installed", "compilers"), [("numba", []), ("cupy-cuda12x", []), ("six", ["/usr/bin/g++"])])
def test_headers_stay_where_somebody_can_compile(installed: str, compilers: list[str]) -> None:
    torch = package("torch", "torch/include/a.h", "torch/lib/libx.a")
    chosen = select([torch], [torch, package(installed, "m.py")], KINDS, compilers=compilers)
    assert [left.kind for left in chosen.files] == ["static-libraries"]
    assert (compilers or [installed])[0] in chosen.kept[0]


def test_compilers_are_known_by_name_also_behind_absolute_links(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    for name in ("g++", "x86_64-linux-gnu-gcc-12", "gcc-ar", "ccache", "c++filt", "python3"):
        (tmp_path / "usr/bin" / name).symlink_to("/nowhere")
    found = slim.compilers(str(tmp_path), ["/usr/bin", "/not/there", ""])
    assert found == ["/usr/bin/g++", "/usr/bin/x86_64-linux-gnu-gcc-12"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("from .tests import run\n", True),
        ("from . import (\n    api,\n    tests,\n)\n", True),
        ("def f():\n    import pkg.tests.tool as t\n", True),
        ("import importlib\nimportlib.import_module('pkg.tests')\n", True),
        ("import importlib\nimportlib.import_module('.tests', __name__)\n", True),
        ("from pkg.tests.tool import x; print 'Python 2'\n", True),
        ("# from .tests import run\n", False),
        ('"""Run the tests with import and the rest."""\nimport pkg.testing\n', False),
        ("from .testing import tests_of\n", False),
        ("tests = 1\n", False),
    ],
)
def test_a_test_folder_that_the_program_imports_is_part_of_it(tmp_path: Path, text: str, named: bool) -> None:
    files = {"pkg/__init__.py": text, "pkg/tests/__init__.py": "", "pkg/tests/test_a.py": "from pkg.tests import *\n"}
    install(tmp_path, "pkg", "1", files)
    home = tmp_path / PREFIX
    assert ("pkg.tests" in {name[:9] for name in imported_test_modules(str(tmp_path / SITE))}) == named
    new = packages(str(home))
    chosen = slim.selection(str(home), str(tmp_path), new, new, ["tests"])
    assert bool(chosen.files) != named
    assert bool(chosen.kept) == named


def test_entry_points_and_other_packages_import_too(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        install(tmp_path, name, "1", {f"{name}/__init__.py": "", f"{name}/tests/test_x.py": ""})
    install(tmp_path, "user", "1", {"user.py": "from a.tests.test_x import y\n"})
    (tmp_path / SITE / "b-1.dist-info/entry_points.txt").write_text("[console_scripts]\nb = b.tests.test_x:main\n")
    new = packages(str(tmp_path / PREFIX))
    chosen = slim.selection(str(tmp_path / PREFIX), str(tmp_path), new, new, ["tests"])
    assert {left.package.name for left in chosen.files} == {"c"}


@pytest.fixture
def trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A base, and the same root after the uplift: one package changed, one new, one as it was."""
    monkeypatch.setenv("PATH", "/usr/bin")  # which the roots have not
    old, new = tmp_path / "old", tmp_path / "new"
    for root in (old, new):
        install(root, "kept", "1", {"kept/__init__.py": "", "kept/tests/test_k.py": "", "kept/libk.a": "k"})
    before = {"numpy/__init__.py": "1", "numpy/include/a.h": "old", "numpy/tests/test_a.py": "old"}
    install(old, "numpy", "1", before)
    install(new, "numpy", "2", {**dict.fromkeys(before, "new"), "numpy/__init__.py": "", "numpy/libn.a": "n" * 99})
    install(new, "more", "1", {"more/__init__.py": "", "more/tests/deep/test_m.py": "pass"})
    for path in old.rglob("*"):  # what is the same has the same time, as in the layers of an image
        status = path.lstat()
        if (new / path.relative_to(old)).exists() and "numpy" not in str(path):
            os.utime(new / path.relative_to(old), ns=(status.st_mtime_ns,) * 2)
    return old, new


def made(old: Path, new: Path, folder: Path, *kinds: str) -> Path:
    """Do with the old tree what the build does: choose, share out, place."""
    chosen = [option for kind in kinds for option in ("--kind", kind)]
    names = ["--base", str(old), "--new", str(new), "--out", str(folder / "slim.json")]
    assert slim.main(["--prefix", f"/{PREFIX}", *chosen, *names]) == 0
    listed = ["--leave-out", str(folder / "slim.json"), "--parts", "1", "--out", str(folder / "parts.json")]
    assert share.main(["--old", str(old), "--new", str(new), *listed]) == 0
    assert len(json.loads((folder / "parts.json").read_text())["parts"]) == 1
    placed = ["--parts", str(folder / "parts.json"), "--from", str(new), "--part", "1", "--to", str(old)]
    assert place.main(placed) == 0
    return old / SITE


def names_in(site: Path) -> set[str]:
    return {str(path.relative_to(site)) for path in site.rglob("*")}


def test_what_is_left_out_never_gets_into_the_layer_and_the_bases_own_stays(
    trees: tuple[Path, Path], tmp_path: Path
) -> None:
    old, new = trees
    whole = names_in(new / SITE)
    site = made(old, new, tmp_path, *KINDS)
    written = json.loads((tmp_path / "parts.json").read_text())
    assert not [path for (path,) in written["parts"][0] if path.endswith((".a", ".h")) or "/tests/" in path]
    assert whole - names_in(site) == {
        *("numpy/libn.a", "numpy/include", "numpy/include/a.h", "numpy/tests", "numpy/tests/test_a.py"),
        *("more/tests", "more/tests/deep", "more/tests/deep/test_m.py"),
    }
    assert {"kept/libk.a", "kept/tests/test_k.py"} <= names_in(site)
    assert "more/tests/deep/test_m.py" in (site / "more-1.dist-info/RECORD").read_text()


def test_only_the_kinds_asked_for_are_left_out(trees: tuple[Path, Path], tmp_path: Path) -> None:
    whole = names_in(trees[1] / SITE)
    assert whole - names_in(made(*trees, tmp_path, "static-libraries")) == {"numpy/libn.a"}


def test_packages_named_are_cleared_where_they_were_installed(trees: tuple[Path, Path]) -> None:
    _, new = trees
    whole = names_in(new / SITE)
    options = ["--kind", "tests", "--kind", "static-libraries", "--remove", "More", "--remove", "not-there"]
    assert slim.main(["--prefix", f"/{PREFIX}", "--new", str(new), *options]) == 0
    gone = {"more/tests", "more/tests/deep", "more/tests/deep/test_m.py"}
    assert whole - names_in(new / SITE) == gone


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment at its own path, beside an empty base; what is imported is found in it."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / SITE))
    monkeypatch.setenv("PATH", "/not/there")
    return tmp_path


def rows_after(root: Path, kinds: list[str], *gone: str, checked: tuple[str, ...] = ()) -> list[Row]:
    for path in gone:
        (root / SITE / path).unlink()
    return list(slim_rows(str(root / PREFIX), "/not/there", kinds, checked))


def failed(rows: list[Row]) -> list[tuple[str, str, str]]:
    return [(row.subject, row.found, row.detail) for row in rows if row.status == "fail"]


def test_a_package_that_does_not_need_them_passes(environment: Path) -> None:
    install(environment, "zz-one", "1", {"zz_one/__init__.py": "x = 1\n", "zz_one/tests/test_a.py": "12345"})
    rows = rows_after(environment, ["tests"], "zz_one/tests/test_a.py")
    assert failed(rows) == []
    assert [(row.subject, row.found) for row in rows] == [
        ("tests", "1 files, 0.0 MiB left out"),
        ("files of new packages", "3 files"),
        ("zz-one", "imports"),
    ]
    assert left_out(str(environment / PREFIX), "/not/there", ["headers", "tests"]) == {
        "kinds": {"headers": {"files": 0, "bytes": 0}, "tests": {"files": 1, "bytes": 5}},
        "packages": [{"name": "zz-one", "version": "1", "kind": "tests", "files": 1, "bytes": 5}],
    }


OPENS = """\
import os
try:
    open(os.path.join(os.path.dirname(__file__), "tests/data.txt"))
except OSError:
    pass
"""
IMPORTS = """\
import importlib
try:
    importlib.import_module("zz_two." + "tests.test_a")
except ImportError:
    pass
"""
LISTS = "import os\nos.listdir(os.path.dirname(__file__) + '/tests')\n"


@pytest.mark.parametrize(
    ("text", "found", "detail"),
    [
        (OPENS, "asks for what was left out", "open of /"),
        (IMPORTS, "asks for what was left out", "import of zz_two.tests"),
        (LISTS, "asks for what was left out", "FileNotFoundError"),
        ("raise RuntimeError('no such thing')\n", "does not import", "no such thing"),
        ("import os\nos._exit(3)\n", "exit status 3", "no message"),
    ],
)
def test_what_asks_for_them_at_import_fails(environment: Path, text: str, found: str, detail: str) -> None:
    files = {"zz_two/tests/__init__.py": "", "zz_two/tests/test_a.py": "", "zz_two/tests/data.txt": "1"}
    install(environment, "zz-two", "1", {"zz_two/__init__.py": text, **files})
    whole = failed(rows_after(environment, [], checked=("zz-two",)))
    assert bool(whole) == (found != "asks for what was left out")  # with the files there, nobody minds
    for path in files:
        (environment / SITE / path).unlink()
    (environment / SITE / "zz_two/tests").rmdir()
    (row,) = failed(rows_after(environment, ["tests"]))
    assert row[:2] == ("zz-two", found)
    assert detail in row[2]


def test_other_files_that_are_missing_and_those_that_are_still_there_fail(environment: Path) -> None:
    files = {
        "zz_three/__init__.py": "",
        "zz_three/data.bin": "1",
        "zz_three/liba.a": "",
        "zz_three/tests/test_b.py": "",
    }
    install(environment, "zz-three", "1", files)
    rows = failed(rows_after(environment, ["static-libraries"], "zz_three/data.bin", "zz_three/tests/test_b.py"))
    assert [row[:2] for row in rows] == [
        ("static-libraries", "1 files are there"),
        ("files of new packages", "2 are missing"),
    ]
    assert "zz_three/data.bin" in rows[1][2]
    assert "zz_three/tests/test_b.py" in rows[1][2]


def test_a_compiler_that_came_later_makes_missing_headers_fail(environment: Path) -> None:
    install(environment, "numpy", "1", {"zz_four.py": "", "zz_four/include/a.h": ""})
    assert failed(rows_after(environment, ["headers"], "zz_four/include/a.h")) == []
    (environment / PREFIX / "bin").mkdir()
    (environment / PREFIX / "bin/g++").write_text("")
    (row,) = failed(rows_after(environment, ["headers"]))
    assert row[:2] == ("files of new packages", "1 are missing")
