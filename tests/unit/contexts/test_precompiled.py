"""Precompiled headers: which sources share one, and that a real compiler's result is the same with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.contexts.scripts import CONTEXTS, load

precompiled = load("wheel/precompiled.py")
TORCH = """\
#pragma once
#include <vector>
#include <string>
#ifdef MARKED
#define SIZE 7
#else
#define SIZE 3
#endif
template <class T> std::vector<T> make() { return std::vector<T>(SIZE); }
"""
COMPILER = ["/usr/bin/c++", "-O2", "-g0", "-I", "include"]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "include/torch").mkdir(parents=True)
    (tmp_path / "include/torch/extension.h").write_text(TORCH)
    return tmp_path


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


@pytest.mark.parametrize(
    ("text", "head", "names"),
    [
        ("#include <torch/extension.h>\n#include <map>\nint x;\n", "#include <torch/extension.h>\n", ()),
        ("// (c)\n/* more\n*/\n#include <torch/torch.h>\n", "#include <torch/torch.h>\n", ()),
        ("#include <math.h>\n#include <ATen/ATen.h>\n", "#include <math.h>\n#include <ATen/ATen.h>\n", ()),
        (
            "#ifdef WITH_PYTHON\n#include <Python.h>\n#endif\n#include <torch/script.h>\n#include <x>\n",
            "#ifdef WITH_PYTHON\n#include <Python.h>\n#endif\n#include <torch/script.h>\n",
            (),
        ),
        ("#define API\n#include <torch/torch.h>\n", "#include <torch/torch.h>\n", ("API",)),
        ('#include "near.h"\nint x;\n', "#include <torch/torch.h>\n", ("FAR", "NEAR_H")),
    ],
)
def test_the_head_of_a_source(tmp_path: Path, text: str, head: str, names: tuple[str, ...]) -> None:
    write(tmp_path, "near.h", '#ifndef NEAR_H\n#define NEAR_H\n#include "far.h"\nvoid f();\n#endif\n')
    write(tmp_path, "far.h", "#pragma once\n#define FAR 1\n#include <torch/torch.h>\n")
    found = precompiled.head_of(write(tmp_path, "a.cpp", text))
    assert (found.text, found.names) == (head, names)


@pytest.mark.parametrize(
    "text",
    [
        "int x;\n#include <torch/torch.h>\n",
        "#include <vector>\n",
        '#include "nowhere.h"\n#include <torch/torch.h>\n',
        "#define A 1\n#ifdef A\n#include <torch/torch.h>\n#endif\n",
        "#ifdef WITH\n#include <torch/torch.h>\nint x;\n#endif\n",
        "using namespace std;\n#include <torch/torch.h>\n",
        "",
    ],
)
def test_sources_without_a_head(tmp_path: Path, text: str) -> None:
    assert precompiled.head_of(write(tmp_path, "a.cpp", text)) is None


def test_files_that_include_each_other_end(tmp_path: Path) -> None:
    write(tmp_path, "b.h", '#include "a.cpp"\n#include <torch/torch.h>\n')
    assert precompiled.head_of(write(tmp_path, "a.cpp", '#include "b.h"\n')).text == "#include <torch/torch.h>\n"


def test_a_header_is_made_where_it_pays(tmp_path: Path) -> None:
    many = [write(tmp_path, f"{n}.cpp", "#include <torch/torch.h>\n") for n in range(10)]
    few = [write(tmp_path, f"few{n}.cpp", "#include <torch/script.h>\n") for n in range(7)]
    device = [write(tmp_path, "a.cu", "#include <torch/torch.h>\n")]
    headers = precompiled.plan([*many, *few, *device], tmp_path / "headers", 2)
    (header,) = headers
    assert header.read_text() == "#include <torch/torch.h>\n"
    index = json.loads((tmp_path / "headers/index.json").read_text())
    assert index == {str(source): str(header) for source in many}


def test_no_header_where_most_sources_are_under_way_before_it_is_ready(tmp_path: Path) -> None:
    many = [write(tmp_path, f"{n}.cpp", "#include <torch/torch.h>\n") for n in range(10)]
    assert precompiled.plan(many, tmp_path / "headers", 16) == {}
    assert not (tmp_path / "headers").exists()


def compiled(source: Path, out: str, *, headers: Path | None) -> bytes:
    """Compile through slot.py, as in a build."""
    environment = {**os.environ, "SLOTS": ".", "SLOT_WORKERS": "1", "SLOT_LOG": f"{out}.log"}
    if headers:
        environment["SLOT_HEADERS"] = str(headers)
    command = [
        sys.executable,
        str(CONTEXTS / "wheel/slot.py"),
        "workers",
        *COMPILER,
        "-H",
        "-c",
        str(source),
        "-o",
        out,
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    used = any(line.startswith("! ") and line.endswith("head.h.gch") for line in done.stderr.splitlines())  # g++ -H
    assert used is bool(headers)
    return Path(out).read_bytes()


def test_the_result_is_the_same_to_the_byte(tree: Path) -> None:
    text = (
        "#define LOCAL 1\n#include <torch/extension.h>\n#include <map>\nint n{0}() {{ return make<int>().size(); }}\n"
    )
    sources = [write(tree, f"{n}.cpp", text.format(n)) for n in range(10)]
    plain = [compiled(source, f"{source.stem}.plain.o", headers=None) for source in sources]
    ((header, names),) = precompiled.plan(sources, tree / "headers", 2).items()
    assert names == ("LOCAL",)
    assert precompiled.make(header, names, COMPILER)
    assert [compiled(source, f"{source.stem}.o", headers=tree / "headers") for source in sources] == plain


@pytest.mark.parametrize("name", ["MARKED", "SIZE", "make"])
def test_a_name_that_the_header_knows_keeps_it_out(tree: Path, name: str) -> None:
    text = f"#define {name} 1\n#include <torch/extension.h>\n"
    ((header, names),) = precompiled.plan(
        [write(tree, f"{n}.cpp", text) for n in range(10)], tree / "headers", 2
    ).items()
    assert not precompiled.make(header, names, COMPILER)
    assert [file.name for file in header.parent.iterdir()] == ["head.h"]


def test_a_header_of_other_options_is_read_as_text(tree: Path) -> None:
    sources = [write(tree, f"{n}.cpp", f"#include <torch/extension.h>\nint n{n};\n") for n in range(10)]
    ((header, names),) = precompiled.plan(sources, tree / "headers", 2).items()
    assert precompiled.make(header, names, [*COMPILER, "-DMARKED", "-fshort-enums"])
    with pytest.raises(AssertionError):  # g++ -H marks a precompiled header that it can't use with x
        compiled(sources[0], "a.o", headers=tree / "headers")
    assert Path("a.o").read_bytes() == compiled(sources[0], "b.o", headers=None)


def test_a_compiler_that_is_killed_leaves_it_out(tree: Path) -> None:
    header = write(tree, "head.h", "#include <torch/extension.h>\n")
    killed = [sys.executable, f"{CONTEXTS}/wheel/precompiled.py", str(header), "", "--", "sh", "-c", "kill -9 $$"]
    done = subprocess.run(killed, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "precompiled.py: left out, the compiler ended with -9: #include <torch/extension.h>\n"
    assert not list(tree.glob("*.gch"))
