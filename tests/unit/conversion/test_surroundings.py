"""Stand-ins for absent modules, and CUDA defaults made CPU."""

from __future__ import annotations

import importlib
import pickle
import sys
from typing import TYPE_CHECKING, Optional, Union

import pytest

from conversion import cpu_defaults, stubs
from conversion.failures import ConversionError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def stubbed() -> Iterator[stubs.StubFinder]:
    finder = stubs.install(["absent_library", "there.not_here"])
    yield finder
    stubs.remove(finder)


@pytest.mark.usefixtures("stubbed")
class TestStubs:
    def test_any_submodule_and_attribute_can_be_imported(self) -> None:
        module = importlib.import_module("absent_library.ops.knn")
        structures = importlib.import_module("absent_library.structures")
        Meshes, utils = structures.Meshes, structures.utils  # noqa: N806 - a class's name

        assert module.__spec__ is not None
        assert "Meshes" in repr(Meshes)
        assert "absent_library.structures.utils.deeper.name" in repr(utils.deeper.name)
        assert importlib.util.find_spec("absent_library") is not None

    def test_calling_fails_with_the_full_name(self) -> None:
        knn_points = importlib.import_module("absent_library.ops").knn_points

        with pytest.raises(ConversionError, match=r"absent_library\.ops\.knn_points\.fast was called.*needs"):
            knn_points.fast(1, k=2)

    def test_it_can_be_a_base_class_and_the_class_cannot_be_used(self) -> None:
        Base = importlib.import_module("absent_library").Base  # noqa: N806 - a class's name

        class Derived(Base):  # type: ignore[misc, valid-type]
            pass

        with pytest.raises(ConversionError, match=r"absent_library\.Base was instantiated"):
            Derived()

    def test_annotations(self) -> None:
        Meshes = importlib.import_module("absent_library").Meshes  # noqa: N806 - a class's name

        assert Optional[Meshes]  # noqa: UP045 - the old spelling, on purpose
        assert Union[Meshes, int]  # noqa: UP007 - the same
        assert Meshes | None
        assert Meshes["batch"]
        assert not isinstance(3, Meshes)

    def test_it_refuses_to_be_pickled(self) -> None:
        thing = importlib.import_module("absent_library").thing

        with pytest.raises(ConversionError, match=r"absent_library\.thing was pickled"):
            pickle.dumps({"a": thing})

    def test_dunder_names_are_absent(self) -> None:
        absent_library = importlib.import_module("absent_library")

        with pytest.raises(AttributeError, match="stand-in"):
            _ = absent_library.__version__
        assert not hasattr(absent_library.thing, "__torch_function__")


def test_other_modules_are_untouched_and_all_is_undone(stubbed: stubs.StubFinder) -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("absent_library_2")
    importlib.import_module("absent_library.a.b")
    stubs.remove(stubbed)
    assert not [name for name in sys.modules if name.startswith("absent_library")]
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("absent_library")


def test_an_installed_module_is_stubbed_too() -> None:
    finder = stubs.install(["json.tool"])
    try:
        assert isinstance(importlib.import_module("json.tool"), stubs.StubModule)
    finally:
        stubs.remove(finder)
    assert not isinstance(importlib.import_module("json.tool"), stubs.StubModule)


def test_lacking_imports_nothing() -> None:
    assert stubs.lacking(["absent_library", "absent_library.sub", "json", "json.absent", "antigravity"]) == [
        "absent_library",
        "absent_library.sub",
        "json.absent",
    ]
    assert "antigravity" not in sys.modules


MODULE = """
import functools
DEVICE = "cuda"
class device:
    def __init__(self, type): self.type = type
def plain(n, device="cuda"): return n, device
def only_keyword(*, n=1, device="cuda:1"): return device
def as_object(where=device("cuda")): return where.type
def other(device="cpu", note="cudalike"): return device, note
def wrap(f):
    @functools.wraps(f)
    def inner(*a, **k): return f(*a, **k)
    return inner
def wrap_silently(f):
    def inner(*a, **k): return f(*a, **k)
    return inner
@wrap
def decorated(device="cuda"): return device
@wrap_silently
def hidden(device="cuda"): return device
class Index:
    def __init__(self, device="cuda"): self.device = device
    @staticmethod
    def fixed(device="cuda"): return device
    @classmethod
    def of(cls, device="cuda"): return cls(device).device
partly = functools.partial(plain, 3)
short = lambda device="cuda": device
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "pooling_of_test.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "pooling_of_test"
    del sys.modules["pooling_of_test"]


def test_every_kind_of_cuda_default_becomes_cpu(module: str) -> None:
    changed = cpu_defaults.neutralise([module])
    made = importlib.import_module(module)
    assert made.plain(1) == (1, "cpu")
    assert made.only_keyword() == "cpu"
    assert made.as_object() == "cpu"
    assert made.decorated() == "cpu"
    assert made.hidden() == "cpu"
    assert made.Index().device == "cpu"
    assert made.Index.fixed() == "cpu"
    assert made.Index.of() == "cpu"
    assert made.partly() == (3, "cpu")
    assert made.short() == "cpu"
    assert made.other() == ("cpu", "cudalike")
    assert made.DEVICE == "cuda"
    assert made.plain(1, device="cuda") == (1, "cuda"), "what is asked for by name stays"
    assert f"{module}.plain(device)" in changed
    assert len(changed) == len(set(changed)) == 9


def test_a_second_time_changes_nothing(module: str) -> None:
    cpu_defaults.neutralise([module])
    assert cpu_defaults.neutralise([module]) == []


def test_a_module_that_cannot_be_imported_is_named() -> None:
    with pytest.raises(ConversionError, match="absent_pooling, named in cpu_defaults"):
        cpu_defaults.neutralise(["absent_pooling"])
