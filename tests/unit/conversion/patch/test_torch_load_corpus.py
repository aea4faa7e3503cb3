"""The codemod against a corpus of hard cases: what it must make of each, and each run with a torch that takes notes.

Proves the codemod, on snippets written for it; `test_patch.py` has the trees of files. The torch here is a stand-in
with the real load's parameters.
"""

from __future__ import annotations

import asyncio
import builtins
import inspect
import subprocess
import sys
import types
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import tomli

from conversion.patch.scan import Looked, scan
from conversion.patch.torch_load import FSTRINGS_HAVE_POSITIONS, transform

Case = dict[str, Any]
CORPUS: dict[str, Case] = tomli.loads((Path(__file__).parent / "corpus.toml").read_text(encoding="utf-8"))
VERSION = sys.version_info[0] * 100 + sys.version_info[1]
# A case in the syntax of a later Python than this one is no case here.
NAMES = [name for name, case in CORPUS.items() if case.get("since", 0) <= VERSION]


def as_bytes(case: Case, field: str) -> bytes:
    text: str = case[field] if case.get("bare") else "import torch\n" + case[field]
    return text.encode(case.get("encoding", "utf-8"))


def outcome(case: Case) -> tuple[bytes, list[str]]:
    """The expected bytes and undecided reasons on this Python."""
    changes = "after" in case and (FSTRINGS_HAVE_POSITIONS or not case.get("fstring"))
    undecided = case.get("undecided", [])
    if case.get("fstring") and FSTRINGS_HAVE_POSITIONS:
        undecided = []
    return as_bytes(case, "after" if changes else "before"), undecided


def looked(case: Case, folder: Path, source: bytes) -> Looked:
    """What the patch makes of a case's file, with the files beside it."""
    folder.mkdir(exist_ok=True)
    (folder / "main.py").write_bytes(source)
    for name, text in case.get("beside", {}).items():
        (folder / name).write_text(text)
    (found,) = (item for item in scan([str(folder.resolve())]) if item.file.endswith("/main.py"))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_corpus(name: str, tmp_path: Path) -> None:
    case = CORPUS[name]
    expected, reasons = outcome(case)
    found = looked(case, tmp_path / "package", as_bytes(case, "before"))
    assert found.result is not None
    assert found.result.source == expected
    assert len(found.undecided) == len(reasons), [place.reason for place in found.undecided]
    for place, reason in zip(found.undecided, reasons, strict=True):
        assert reason in place.reason
    if "error" in case:
        assert case["error"] in str(found.skipped)
    else:
        assert found.skipped is None
        again = looked(case, tmp_path / "package", found.result.source).result
        assert again is not None
        assert again.source == found.result.source
        assert not again.edits


def test_the_corpus_is_large_and_its_afters_differ() -> None:
    sites = sum(as_bytes(case, "before").count(b"load") for case in CORPUS.values())
    assert len(CORPUS) >= 150
    assert sites >= 250
    assert all(case["after"] != case["before"] for case in CORPUS.values() if "after" in case)


# --- beside the guide's sed ---------------------------------------------------------------------------------------

# Step 1.3 of the manual guide that this replaces
GUIDE_SED = (
    r"s/torch\.load(\([^,)]*\), map_location=\([^,)]*\))/torch.load(\1, map_location=\2, weights_only=False)/g",
    r"s/torch\.load(\([^,)]*\))/torch.load(\1, weights_only=False)/g",
)


def sed(source: bytes) -> bytes:
    for script in GUIDE_SED:
        source = subprocess.run(["sed", script], input=source, capture_output=True, check=True).stdout
    return source


def test_what_the_guides_sed_makes_of_the_corpus() -> None:
    """Where sed fails: it breaks calls, misses them, or changes what is none (the share is what this shows)."""
    wrong = []
    for name in NAMES:
        case = CORPUS[name]
        if "error" in case or case.get("undecided"):
            continue
        if sed(as_bytes(case, "before")) != outcome(case)[0]:
            wrong.append(name)
    assert {"nested_call_argument", "load_in_load", "several_lines", "module_alias", "strings_and_comments"} <= set(
        wrong
    )
    assert len(wrong) >= 40


def test_sed_corrupts_a_nested_call() -> None:
    before = b"x = torch.load(open(f))\n"
    assert sed(before) == b"x = torch.load(open(f, weights_only=False))\n"
    assert transform(b"import torch\n" + before).source.endswith(b"torch.load(open(f), weights_only=False)\n")


def test_sed_changes_strings_and_passes_the_argument_to_others() -> None:
    assert sed(b's = "torch.load(f)"\n') == b's = "torch.load(f, weights_only=False)"\n'
    broken = sed(b"x = torch.load(str(f), map_location=a)\n")
    assert broken == b"x = torch.load(str(f, weights_only=False), map_location=a)\n"


# --- run with a torch that notes -----------------------------------------------------------------------------------

REAL = {"functools", "importlib", "json", "operator", "pickle", "sys", "unittest", "torch"}
Call = tuple[int, tuple[str, ...], object]


class Names(dict[str, Any]):
    """The builtins, and something for every name that a snippet uses and doesn't have."""

    def __missing__(self, name: str) -> Any:
        if name in {"__name__", "__class__", "__file__"}:
            raise KeyError(name)
        return self.setdefault(name, MagicMock(name=name))


def noting_torch(calls: list[Call]) -> dict[str, types.ModuleType]:
    """torch and torch.serialization, whose load notes how it is called."""

    def load(f: Any, map_location: Any = None, pickle_module: Any = None, **keywords: Any) -> Any:  # noqa: ARG001
        given = 1 + (map_location is not None) + (pickle_module is not None)
        others = tuple(sorted(set(keywords) - {"weights_only"}))
        decided = keywords.get("weights_only")
        calls.append((given, others, decided if decided is None or isinstance(decided, bool) else "unknown"))
        return MagicMock()

    torch, serialization = types.ModuleType("torch"), types.ModuleType("torch.serialization")
    torch.__dict__.update(load=load, serialization=serialization, save=MagicMock(), hub=MagicMock(), jit=MagicMock())
    torch.__dict__.update(float32=1, other=0, __version__="0", nn=MagicMock(), device=MagicMock(), __path__=[])
    serialization.__dict__.update(load=load)
    return {"torch": torch, "torch.serialization": serialization, "torch.nn": MagicMock()}


def run(source: bytes, case: Case) -> tuple[list[Call], list[str]]:
    """How load is called when a snippet and all that it defines are run, and the kinds of errors that come."""
    calls: list[Call] = []
    errors: list[str] = []
    beside = {Path(name).stem: text for name, text in case.get("beside", {}).items()}

    def import_(name: str, *rest: Any) -> Any:
        root = name.partition(".")[0]
        level = rest[3] if len(rest) > 3 else 0
        if root in REAL and not level:
            return builtins.__import__(name, *rest)
        if (root or "__init__") in beside:
            module = types.ModuleType(root)
            module.__dict__["__builtins__"] = names
            exec(beside[root or "__init__"], module.__dict__)
            return module
        return MagicMock(name=name)

    names = Names(vars(builtins), __import__=import_, open=MagicMock(), print=MagicMock())
    space: dict[str, Any] = {"__builtins__": names, "__name__": "snippet"}
    with pytest.MonkeyPatch.context() as patched, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, module in noting_torch(calls).items():
            patched.setitem(sys.modules, name, module)
        attempt(lambda: exec(compile(source, "snippet", "exec"), space), errors)
        for value in [*space.values()]:
            for work in works(value):
                attempt(work, errors)
    return calls, errors


def attempt(work: Callable[[], object], errors: list[str]) -> None:
    try:
        made = work()
        if inspect.iscoroutine(made):
            asyncio.run(made)
        elif inspect.isgenerator(made):
            list(made)
    except Exception as error:  # noqa: BLE001 - a snippet may fail in any way, before as after
        errors.append(type(error).__name__)


def works(value: object) -> Iterator[Callable[[], object]]:
    """A snippet's function, or a class's methods, called with something for every parameter."""
    if getattr(value, "__module__", "") != "snippet":
        return
    if inspect.isfunction(value):
        needed = [p for p in inspect.signature(value).parameters.values() if p.default is p.empty]
        given = [MagicMock() for p in needed if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]
        yield lambda: value(*given)
    elif isinstance(value, type):
        instance = value()
        for name in vars(value):
            method = getattr(instance, name)
            if inspect.ismethod(method) and name != "__init__":
                yield lambda method=method: method(*[MagicMock()] * (method.__code__.co_argcount - 1))  # type: ignore[misc]


def test_what_runs_is_neither_missed_nor_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Missed: a call that comes without the argument, of a file in which nothing was reported, or other than expected.

    Broken: a changed file whose calls come in another number or order, with other arguments, or with other errors.
    """
    counts: Counter[str] = Counter()
    missed, broken = [], []
    for name in NAMES:
        case = CORPUS[name]
        before = as_bytes(case, "before")
        found = looked(case, tmp_path / name, before)
        assert found.result is not None
        expected, reasons = outcome(case)
        counts["changed"] += len(found.result.edits)
        counts["reported"] += len(found.undecided) + bool(found.skipped)
        counts["untouched cases"] += not (found.result.edits or found.undecided or found.skipped)
        if found.result.source != expected or len(found.undecided) != len(reasons):
            missed.append(name)
        if found.skipped:
            continue
        (calls, errors), (new, new_errors) = run(before, case), run(found.result.source, case)
        counts["cases whose load ran"] += bool(new)
        counts["calls run"] += len(new)
        if any(call[2] is None for call in new) and not found.undecided:
            missed.append(name)
        kept = [now == was or (now[:2] == was[:2] and (was[2], now[2]) == (None, False))
                for was, now in zip(calls, new, strict=False)]  # fmt: skip
        if len(calls) != len(new) or not all(kept) or errors != new_errors:
            broken.append(name)
    with capsys.disabled():
        shown = ", ".join(f"{number} {what}" for what, number in counts.items())
        print(f"\ncorpus: {len(NAMES)} cases: {shown}, {len(missed)} missed, {len(broken)} broken")  # noqa: T201
    assert (missed, broken) == ([], [])
    assert counts["changed"] + counts["reported"] >= 150
    assert counts["cases whose load ran"] >= 120


def test_the_run_finds_what_is_missed_and_what_is_broken() -> None:
    case: Case = {}
    assert run(b"import torch\ntorch.load(1)\n", case) == ([(1, (), None)], [])
    assert run(b"import torch\ndef g(f): return torch.load(f, weights_only=False)\n", case) == ([(1, (), False)], [])
    assert run(b"import torch\ntorch.load()\n", case) == ([], ["TypeError"])
