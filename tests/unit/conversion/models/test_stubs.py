"""Stand-ins for packages that are not built yet: for the model's own code alone."""

from __future__ import annotations

import importlib
import pickle
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Optional, Union

import pytest

from conversion.failures import ConversionError
from conversion.models import stubs

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def stubbed() -> Iterator[None]:
    """This file's folder is the model's own code."""
    before = list(sys.meta_path)
    stubs.install(["absent_library", "there.not_here"], [str(Path(__file__).parent)])
    yield
    sys.meta_path[:] = before
    for name in [name for name in sys.modules if name.startswith("absent_library")]:
        del sys.modules[name]


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


@pytest.mark.usefixtures("stubbed")
def test_other_modules_are_untouched() -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("absent_library_2")
    assert not isinstance(importlib.import_module("json.tool"), stubs.StubModule)


@pytest.mark.usefixtures("stubbed")
def test_a_library_does_not_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "library_of_test.py").write_text(
        "try:\n    import absent_library\nexcept ImportError:\n    absent_library = None\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert importlib.import_module("library_of_test").absent_library is None
    del sys.modules["library_of_test"]
