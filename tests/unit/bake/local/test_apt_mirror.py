from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.bake.local.conftest import Machine

DEB822 = """\
# mirrors of this site
Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Types: deb
# a comment inside
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""

FOLDED = """\
Types: deb deb-src
URIs:
 http://one.example/debian
 http://two.example/debian
Suites: bookworm
Components: contrib main
"""

LINES = """\
# deb http://off.example/debian bookworm main
deb-src http://s.example/debian bookworm main
deb http://u.example/debian bookworm-updates main
deb http://on.example/debian bookworm main # ours
"""

CASES = {
    "deb822": ("a.sources", DEB822, "http://mirror.example/debian"),
    "deb822, several, folded": ("a.sources", FOLDED, "http://one.example/debian"),
    "deb822, no blank line at the end": ("a.sources", DEB822.rstrip("\n"), "http://mirror.example/debian"),
    "deb822, field names in any case": (
        "a.sources",
        DEB822.replace("URIs:", "uris:"),
        "http://mirror.example/debian",
    ),
    "deb822, disabled": (
        "a.sources",
        DEB822.replace("Types: deb\n# a", "Enabled: no\nTypes: deb\n# a"),
        None,
    ),
    "deb822, sources only": ("a.sources", FOLDED.replace("deb deb-src", "deb-src"), None),
    "deb822, other component": ("a.sources", FOLDED.replace("contrib main", "non-free"), None),
    "lines": (
        "sources.list",
        "deb http://mirror.example/debian bookworm main contrib\n",
        "http://mirror.example/debian",
    ),
    "lines, options": (
        "sources.list",
        "deb [arch=amd64 signed-by=/k.gpg] https://mirror.example/debian/ bookworm main\n",
        "https://mirror.example/debian/",
    ),
    "lines, first enabled": (
        "sources.list",
        LINES,
        "http://on.example/debian",
    ),
    "lines, other suite": ("sources.list", "deb http://mirror.example/debian trixie main\n", None),
    "empty": ("sources.list", "", None),
}


@pytest.mark.parametrize(("name", "text", "expected"), CASES.values(), ids=CASES.keys())
def test_mirror_of_the_release(machine: Machine, name: str, text: str, expected: str | None) -> None:
    (machine.work / name).write_text(text)
    result = machine.run("apt-mirror.sh", "bookworm", name)
    assert result.stdout == (f"{expected}\n" if expected else "")
    assert result.returncode == (0 if expected else 1)


def test_first_file_that_has_it_wins_and_missing_files_are_passed_over(machine: Machine) -> None:
    (machine.work / "b.list").write_text("deb http://b.example/debian bookworm main\n")
    (machine.work / "c.sources").write_text(DEB822)
    result = machine.run("apt-mirror.sh", "bookworm", "absent.list", "b.list", "c.sources")
    assert result.stdout == "http://b.example/debian\n"


def test_without_a_suite_it_says_how_it_is_used(machine: Machine) -> None:
    result = machine.run("apt-mirror.sh")
    assert result.returncode == 2
    assert "usage:" in result.stderr
