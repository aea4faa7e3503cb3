"""Sources compiled together: which ones may be, and that real compiles give the same functions as one by one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.contexts.scripts import CONTEXTS, load

groups = load("wheel/groups.py")
HEADERS = {
    "one.h": "#pragma once\n#define WIDTH 4\ninline int half(int x) { return x / 2; }\nint declared();\n",
    "guarded.h": "#ifndef SAME_H\n#define SAME_H\nint one_more();\n#endif\n",
    "copied.h": "#ifndef SAME_H\n#define SAME_H\nint another();\n#endif\n",
    "shared.h": "#pragma once\n#define EXACT 0\ninline int area(int x) { return x * x; }\nnamespace spaces {}\n",
    "packed.h": "#pragma once\n#pragma pack(1)\n",
    "packed_too.h": '#pragma once\n_Pragma("pack(1)")\n',
    "quiet.h": "#pragma once\n#define NDEBUG\n#include <cassert>\n",
    "open.h": "const int kOpen = 3;\n",
    "sub/deep.h": '#pragma once\n#include "one.h"\n',
}


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    groups.read.cache_clear()
    for name, text in HEADERS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def chosen(top: Path, *texts: str, suffix: str = ".cpp") -> list[list[str]]:
    for name, text in zip("abcdefgh", texts, strict=False):
        (top / f"{name}{suffix}").write_text(text)
    found = groups.choose([f"{name}{suffix}" for name in "abcdefgh"[: len(texts)]], [str(top)], top)
    return [[path.stem for path in members] for members in found]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("int f() { return 1; }", "int g() { return 2; }"),
        ("int f() { int same = 1; return same; }", "int g() { int same = 2; return same; }"),
        ('#include "one.h"\nint f() { return half(WIDTH); }', '#include "one.h"\nint g() { return half(WIDTH); }'),
        ('#include "sub/deep.h"\nint declared() { return 1; }', '#include "one.h"\nint g() { return half(3); }'),
        ("using namespace std;\nint f() { return 1; }", "using namespace std;\nint g() { return 2; }"),
        ("// g\nint f() { return 1; }", 'int g() { return sizeof("f"); }'),
        ("template <int N = 3> int f() { return N; }", "template <class N> int g() { return 2; }"),
        ("#include <vector>\n#define F 1\nint f() { return F; }", "#include <vector>\nint g() { return 2; }"),
        ("int f() {\n#pragma unroll\nfor (;;) {} }", "int g() { return 2; }"),
        (
            '#include "shared.h"\nnamespace spaces { int f() { return 1; } }',
            '#include "shared.h"\nnamespace spaces { int g(); }',
        ),
        ("namespace { int f() { return 1; } }", 'extern "C" { int g() { return 2; } }'),
    ],
)
def test_sources_that_mean_the_same_together(top: Path, one: str, other: str) -> None:
    assert chosen(top, one, other) == [["a", "b"]]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("static int f() { return 1; }", "static int f() { return 2; }"),
        ("int f(double) { return 1; }", "int g() { extern int f(int); return f(3); }"),
        ("namespace { const int k = 1; }", "int k() { return 2; }"),
        ('extern "C" { int f() { return 1; } }', "int g() { return f; }"),
        ("struct S { int x; };", "int g() { struct S; return 2; }"),
        ("using S = int;", "int g() { S x = 2; return x; }"),
        ("#define F 1\nint f() { return F; }", "int g(int F) { return F; }"),
        ("#define EARLY 1\n#include <vector>\nint f() { return 1; }", "int g() { return 2; }"),
        ("using namespace std;\nint f() { return 1; }", "int g() { return 2; }"),
        ("#pragma GCC optimize(0)\nint f() { return 1; }", "int g() { return 2; }"),
        ("#pragma pack(1)\nint f() { return 1; }", "int g() { return 2; }"),
        ("#ifdef A\nint f() {\n#else\nint f(int) {\n#endif\nreturn 1; }", "int g() { return 2; }"),
        ('#include "guarded.h"\nint f() { return 1; }', '#include "copied.h"\nint g() { return 2; }'),
        ('#include "open.h"\nint f() { return 1; }', '#include "open.h"\nint g() { return 2; }'),
        ('#include "one.h"\nint f() { return 1; }', "int g(int WIDTH) { return WIDTH; }"),
        ('#include "one.h"\nint half(double) { return 1; }\n', "int g() { return half(2); }"),
        ("struct V {}; V operator+(V a, V) { return a; }", "struct W {}; W operator+(W a, W) { return a; }"),
    ],
)
def test_sources_that_might_mean_something_else_together(top: Path, one: str, other: str) -> None:
    assert chosen(top, one, other) == []


def test_the_order_in_which_sources_are_given_changes_nothing(top: Path) -> None:
    texts = [f"int f{number}() {{ return {number}; }}\n" for number in range(4)]
    assert chosen(top, *texts) == [["a", "b", "c", "d"]]
    names = [f"{name}.cpp" for name in "dbca"]
    assert [path.stem for path in groups.choose(names, [], top)[0]] == ["a", "b", "c", "d"]


def test_long_sources_stay_alone_and_groups_end(top: Path) -> None:
    lines = groups.LONGEST_MEMBER
    assert chosen(top, *(f"int f{n}();\n" * (lines + 1) for n in range(2))) == []
    (top / "a.cpp").unlink()
    groups.read.cache_clear()
    assert chosen(top, *(f"int f{n}();\n" * lines for n in range(4))) == [["a", "b", "c"]]


def test_device_and_host_code_are_never_together(top: Path) -> None:
    (top / "b.cu").write_text("int g() { return 2; }")
    (top / "a.cpp").write_text("int f() { return 1; }")
    assert groups.choose(["a.cpp", "b.cu"], [], top) == []


def test_headers_outside_the_package_are_not_its_own(top: Path) -> None:
    inside = top / "package"
    inside.mkdir()
    (inside / "a.cpp").write_text('#include "open.h"\nint f() { return 1; }')
    (inside / "b.cpp").write_text('#include "open.h"\nint g() { return 2; }')
    assert groups.choose(["package/a.cpp", "package/b.cpp"], [str(top)], inside)
    assert not groups.choose(["package/a.cpp", "package/b.cpp"], [str(top)], top)


def compile_together(top: Path, flags: str = "") -> subprocess.CompletedProcess[str]:
    """Compile a.cpp and b.cpp as ninja would: what stands for both, to the object of the first."""
    (top / "slots").mkdir()
    members = [top / "a.cpp", top / "b.cpp"]
    file = groups.write(members, top / "together")
    sources, objects = groups.merge({file: members}, ["a.cpp", "b.cpp"], [str(top / "a.o"), str(top / "b.o")])
    assert (sources, objects) == ([str(file)], [str(top / "a.o")])
    environment = {
        "SLOTS": str(top / "slots"),
        "SLOT_JOBS": "1",
        "SLOT_WORKERS": "1",
        "SLOT_LOG": str(top / "calls"),
        "SLOT_WEIGHTS": str(top / "weights.json"),
    }
    call = [sys.executable, "-IS", str(CONTEXTS / "wheel/slot.py"), "jobs", "/usr/bin/c++", *flags.split()]
    return subprocess.run(
        [*call, "-fPIC", "-c", sources[0], "-o", objects[0]],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


SILENT = {
    "a macro of a header": (
        "#include <math.h>\nint f() { return 1; }",
        "#ifndef M_PI\n#define M_PI 3.0\n#endif\nint answer() { return M_PI * 100; }",
    ),
    "whether a header was read": (
        "#include <limits.h>\nint f() { return 1; }",
        "#ifdef INT_MAX\nint answer() { return 2; }\n#else\nint answer() { return 1; }\n#endif",
    ),
    "the guard of a header": (
        '#include "guarded.h"\nint f() { return 1; }',
        "#ifdef SAME_H\nint answer() { return 2; }\n#else\nint answer() { return 1; }\n#endif",
    ),
    "a macro that is taken away": (
        '#include "shared.h"\n#undef EXACT\n#define EXACT 1\nint f() { return 1; }',
        '#include "shared.h"\n#ifdef EXACT\nint answer() { return 1; }\n#else\nint answer() { return 2; }\n#endif',
    ),
    "an overload of its own": (
        '#include "shared.h"\nstatic int area(double x) { return x * x * 100; }\nint f() { return area(1.0); }',
        '#include "shared.h"\nint answer() { return area(2.5); }',
    ),
    "an overload in a namespace without a name": (
        '#include "shared.h"\nnamespace { int area(double x) { return x * 100; } }\nint f() { return area(1.0); }',
        '#include "shared.h"\nint answer() { return area(2.5); }',
    ),
    "how a header packs": (
        '#include "packed.h"\nint f() { return 1; }',
        "struct S { char c; int i; };\nint answer() { return sizeof(S); }",
    ),
    "how an operator packs": (
        '#include "packed_too.h"\nint f() { return 1; }',
        "struct S { char c; int i; };\nint answer() { return sizeof(S); }",
    ),
    "assertions that are off": (
        '#include "quiet.h"\nint f() { return 1; }',
        "#include <cassert>\nint answer() { int seen = 0; assert(++seen); return seen; }",
    ),
}


def answer(top: Path, *sources: Path) -> int:
    """Compile sources, each by itself, and run answer()."""
    main = top / "main.cpp"
    main.write_text('#include <cstdio>\nint answer();\nint main() { std::printf("%d", answer()); }')
    program = top / "program"
    subprocess.run(["/usr/bin/c++", *map(str, sources), str(main), "-o", str(program)], check=True, timeout=120)
    return int(subprocess.run([str(program)], capture_output=True, check=True, timeout=60).stdout)


@pytest.mark.parametrize("case", SILENT)
def test_what_would_silently_mean_something_else_is_not_together(top: Path, case: str) -> None:
    assert chosen(top, *SILENT[case]) == []
    members = [top / "a.cpp", top / "b.cpp"]
    assert answer(top, groups.write(members, top / "together")) != answer(top, *members)


def test_headers_that_others_bring_need_not_be_named(top: Path) -> None:
    package, foreign = top / "package", top / "foreign"
    for folder, name, text in (
        (foreign, "all.h", '#pragma once\n#include "detail.h"\n'),
        (foreign, "detail.h", "#pragma once\n#include <cmath>\n"),
        (package, "a.cpp", "#include <all.h>\n#include <cmath>\nint f() { return 1; }"),
        (package, "b.cpp", "#include <all.h>\nint g() { return 2; }"),
        (package, "c.cpp", "#include <all.h>\n#include <limits>\nint third() { return 3; }"),
    ):
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    sources = [str(package / f"{name}.cpp") for name in "abc"]
    assert groups.choose(sources, [str(foreign)], package) == [[package / "a.cpp", package / "b.cpp"]]


def functions(file: Path) -> list[str]:
    said = subprocess.run(["nm", "--defined-only", str(file)], capture_output=True, text=True, check=True).stdout
    return sorted(line.split()[-1] for line in said.splitlines())


def test_one_object_holds_everything_and_the_other_nothing(top: Path) -> None:
    (top / "a.cpp").write_text('#define NAME 3\n#include "one.h"\nint f() { return half(NAME); }')
    (top / "b.cpp").write_text('#include "one.h"\n#ifdef NAME\n#error of another source\n#endif\nint g() { return 2; }')
    done = compile_together(top)
    assert done.returncode == 0, done.stderr
    assert [name for name in functions(top / "a.o") if "half" not in name] == ["_Z1fv", "_Z1gv"]
    assert functions(top / "b.o") == []


def test_a_group_that_fails_is_taken_apart(top: Path) -> None:
    (top / "a.cpp").write_text("#define P(n) static int hid##n = 3;\nP(den)\nint f() { return hidden; }")
    (top / "b.cpp").write_text("#define Q(n) static int hid##n = 4;\nQ(den)\nint g() { return hidden; }")
    assert chosen(top, (top / "a.cpp").read_text(), (top / "b.cpp").read_text()) == [["a", "b"]]
    done = compile_together(top)
    assert done.returncode == 0, done.stderr
    assert functions(top / "a.o") == ["_Z1fv", "_ZL6hidden"]
    assert functions(top / "b.o") == ["_Z1gv", "_ZL6hidden"]
    (said,) = done.stderr.splitlines()
    assert said.startswith("groups.py: compiled one by one: a.cpp, b.cpp; together: ")
    assert "hidden" in said


def test_a_member_that_fails_by_itself_fails_with_its_own_words(top: Path) -> None:
    (top / "a.cpp").write_text("int f() { return 1; }")
    (top / "b.cpp").write_text("int g() { return nothing; }")
    done = compile_together(top)
    assert done.returncode == 1
    assert "b.cpp:1:18: error: 'nothing'" in done.stderr.replace("\u2018", "'").replace("\u2019", "'")
    assert functions(top / "a.o") == ["_Z1fv"]


def test_warnings_of_a_group_are_shown(top: Path) -> None:
    (top / "a.cpp").write_text("int f() { return 1; }")
    (top / "b.cpp").write_text("int g() { int unused; return 2; }")
    done = compile_together(top, "-Wall")
    assert done.returncode == 0
    assert "unused" in done.stderr
