"""Every target of tests/fuzz with the inputs that once brought something about, and with a few hundred new ones."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest

from tests.fuzz.guard import finding
from tests.fuzz.mutate import as_toml, parsed_toml
from tests.fuzz.shape import WrongShapeError, shape
from tests.fuzz.targets import CORPUS, TARGETS

if TYPE_CHECKING:
    from tests.fuzz.targets import Target

COUNT = {
    "value": 50,
    "stack": 60,
    "registry": 40,
    "lock": 100,
    "results": 100,
    "contents": 60,
    "events": 60,
}  # those that take long
USUAL = 150


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_what_was_found_once_stays_mended(target: Target) -> None:
    for path in target.corpus:
        found = finding(target, path.read_bytes())
        assert found is None, f"{path}: {found.text if found else ''}"


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_input_made_worse_brings_no_traceback(target: Target) -> None:
    for number in range(COUNT.get(target.name, USUAL)):
        found = finding(target, target.input(0, number))
        again = f"python -m tests.fuzz {target.name} --first {number} --count 1"
        assert found is None, f"{again}: {found.text if found else ''}"


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_seeds_are_good_input(target: Target) -> None:
    if target.name == "value":
        return  # its input is a recipe and a text
    for content in target.seed_inputs:
        found = finding(target, content)
        assert found is None, f"{found.text if found else ''}"


def test_every_kept_input_belongs_to_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} <= TARGETS.keys()


def test_an_input_is_the_same_whenever_it_is_made() -> None:
    for target in TARGETS.values():
        assert [target.input(1, number) for number in range(20)] == [target.input(1, number) for number in range(20)]


def test_a_document_reads_as_it_was_written() -> None:
    for content in TARGETS["recipe"].seed_inputs:
        assert parsed_toml(as_toml(parsed_toml(content)).encode()) == parsed_toml(content)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Dockerfile", "FROM a\nRUN fuzz\n"),
        ("Dockerfile", "FROM a\nfuzz\n"),
        ("Dockerfile", "FROM a\nRUN x ; fuzz ; y\n"),
        ("Dockerfile", 'FROM a\nRUN x "$(fuzz)"\n'),
        ("Dockerfile", "FROM a\r\nRUN x\n"),
        ("docker-bake.hcl", 'a = "b"\n}\ntarget "x" {\n  fuzz = 1\n}\n'),
        ("docker-bake.hcl", 'a = "${fuzz}"\n'),
        ("docker-bake.hcl", 'a = "x\n'),
    ],
)
def test_a_value_that_became_code_is_seen(name: str, text: str) -> None:
    with pytest.raises(WrongShapeError):
        shape({PurePosixPath(name): text.encode()})
