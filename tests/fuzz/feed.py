"""The functions that take fuzzed input: each does with it what the program does with input of its kind."""

from __future__ import annotations

import functools
import http.client
import importlib
import io
import json
import sys
import tempfile
import urllib.request
from collections.abc import Mapping
from contextlib import redirect_stdout, suppress
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any
from unittest import mock

from bake import registry as registries
from bake.bakefile import names_in
from bake.buildx import results as records
from bake.buildx.client import Client
from bake.buildx.driver import BakeOutcome, BakeRequest
from bake.credentials import Keyring
from bake.errors import UpliftError, UsageError
from bake.failure.causes import Speaker, find_cause
from bake.failure.diagnosis import diagnose
from bake.failure.explain import explain, failed_steps
from bake.progress.display import JsonLines, PlainLines
from bake.progress.events import State
from bake.progress.state import Progress
from bake.reference import parse_reference
from bake.registry.layer_sizes import layers_in
from bake.registry.layers import in_registry
from bake.registry.transport import _SameMethod
from contexts.fetch import download, prebuilt
from conversion.models import forms
from conversion.patch import source_files, text_mentions, torch_load
from conversion.verify import checkpoints
from generator.commands.report import _text
from generator.console.reporter import Reporter
from generator.plan import Graph, build_graph
from generator.plan.specs import verify_json
from generator.recipe import Recipe, load_recipe
from generator.recipe import lock as locks
from generator.recipe.fit import apply_lock
from generator.render import render
from generator.report import make_report
from generator.resolve.site import Site, load_site, mirrored_image, mirrors_of, secret_table
from generator.verification import junit
from generator.verification import report as reports
from tests.fuzz.mutate import MARK, NEXT
from tests.fuzz.shape import WrongShapeError, shape

_TOP = Path(__file__).parents[2]
_renderer: Any = importlib.import_module("generator.render.render")
# Templates and files of our own are read once.
_renderer._environment = functools.cache(_renderer._environment)
_content, _own_content = _renderer._content, functools.cache(_renderer._content)
_renderer._content = lambda file: _content(file) if file.text is not None else _own_content(file)


@functools.cache
def _folder() -> Path:
    """Give a folder for files that are read by their path; it goes with the process."""
    folder = tempfile.TemporaryDirectory(prefix="fuzz-")
    _kept.append(folder)
    return Path(folder.name)


_kept: list[Any] = []


def _file(name: str, content: bytes) -> Path:
    path = _folder() / name
    path.write_bytes(content)
    return path


def _rendered(
    recipe: Recipe, origin: str, locked: Mapping[str, Mapping[str, str]] = MappingProxyType({})
) -> dict[PurePosixPath, bytes]:
    graph: Graph = build_graph(recipe, origin=origin, locked=locked)
    verify_json(recipe)
    mirrors_of(Site(), recipe)
    return render(graph)


def recipe(content: bytes) -> None:
    """A recipe: loaded, planned, rendered."""
    loaded = load_recipe(str(_file("recipe.toml", content)))
    shape(_rendered(loaded.recipe, loaded.origin))


def value(content: bytes) -> None:
    """A recipe in which a text takes the place of a mark: what is rendered keeps its shape."""
    marked, _, text = content.partition(b"\0")
    path = _file("recipe.toml", marked)
    plain = shape(_rendered(load_recipe(str(path)).recipe, "recipe.toml"))
    quoted = json.dumps(text.decode("utf-8", "replace"), ensure_ascii=False).replace("\x7f", "\\u007f")[1:-1]
    path.write_bytes(marked.replace(MARK.encode(), quoted.encode()))
    changed = shape(_rendered(load_recipe(str(path)).recipe, "recipe.toml"))
    for name in plain.keys() & changed.keys():
        if plain[name] != changed[name]:
            raise WrongShapeError(f"{name}: {plain[name]} became {changed[name]}")


def stack(content: bytes) -> None:
    """A file of stacks beside a recipe."""
    _file("fuzzed.toml", content)
    text = (_TOP / "generator/recipes/demo.toml").read_text(encoding="utf-8")
    recipe(text.replace("[stack]", '[stack]\nfrom = "fuzzed"', 1).encode())


@functools.cache
def _known(name: str) -> Recipe:
    return load_recipe(name).recipe


def site(content: bytes) -> None:
    """A site file, and what is asked of it."""
    loaded = load_site(_file("site.toml", content))
    for path in (loaded.site.ca_bundle, loaded.site.netrc, loaded.site.assets):
        with suppress(UsageError):
            loaded.path(path)
    table = mirrors_of(loaded.site, _known("demo"))
    mirrored_image("pbfslab/deepprep:25.1.0", table)
    rows = secret_table(table).splitlines()
    if len(rows) != len(table) or any(len(row.split()) != 2 for row in rows):
        raise AssertionError(f"not a row for each mirror: {rows}")


def lock(content: bytes) -> None:
    """A lock: read, written, read again, applied."""
    read = locks.parse_lock(content.decode("utf-8", "replace"), origin="fuzz")
    if locks.parse_lock(locks.as_toml(read, origin="fuzz", version="1"), origin="again") != read:
        raise AssertionError("another lock when read again")
    for name in ("demo", "deepprep"):
        with suppress(UsageError):
            applied = apply_lock(_known(name), read, origin="fuzz", platform="linux/amd64")
            shape(_rendered(applied.recipe, "fuzz", applied.files))


_HCL = "".join(f'target "{name}" {{\n  contexts = {{ a = "target:base" }}\n}}\n' for name in ("base", "a", "b", "c"))


def events(content: bytes) -> None:
    """What buildx says: read from the client, taken in, shown, explained and recorded."""
    lines = content.decode("utf-8", "replace").splitlines()
    progress = Progress(names=names_in(_HCL), requested=("image",))
    shown = (PlainLines(io.StringIO()), JsonLines(io.StringIO()))
    with Client(lambda _: iter(lines), directory=_folder()) as client:
        for number, line in enumerate(client.lines(1.0)):
            for event in progress.feed(line or "", now=1e9 + number):
                for listener in shown:
                    listener(event)
    if client.failure is not None:
        raise client.failure
    failure = explain(failed := failed_steps(progress, lambda _: ""), progress.text, 1)
    str(failure)
    progress.targets()
    progress.settle(2e9)
    outcome = BakeOutcome(
        request=BakeRequest(file=Path("x")),
        state=State.FAILED,
        started=1e9,
        completed=2e9,
        steps=progress.steps,
        metadata={},
        failure=failure,
        failed=failed,
    )
    records.record(outcome, recipe="fuzz", folder=_folder())
    records.load(_folder())


class _Socket:
    """What an HTTP connection reads one recorded answer from."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def makefile(self, *_: object) -> io.BytesIO:
        return io.BytesIO(self._content)

    def sendall(self, *_: object) -> None: ...

    def settimeout(self, *_: object) -> None: ...

    def close(self) -> None: ...


def _opener(answers: list[bytes]) -> urllib.request.OpenerDirector:
    """Make what opens addresses: one recorded answer for each request, the last one again and again."""

    class Connection(http.client.HTTPConnection):
        def connect(self) -> None:
            self.sock: Any = _Socket(answers.pop(0) if len(answers) > 1 else answers[0])

    class Handler(urllib.request.AbstractHTTPHandler):
        def http_open(self, request: urllib.request.Request) -> Any:
            return self.do_open(Connection, request)

        https_open = http_open
        http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_

    opener = urllib.request.OpenerDirector()
    for handler in (
        Handler(),
        _SameMethod(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


@functools.cache
def _registry() -> Any:
    return registries.Registry("registry.test", insecure=False, keyring=mock.Mock(Keyring, login_for=lambda _: None))


def registry(content: bytes) -> None:
    """A registry's answers, each question beginning with the first of them."""
    reference = parse_reference(f"registry.test/a/b:1@sha256:{'0' * 64}")
    tagged = parse_reference("registry.test/a/b:1")
    asked = _registry()
    asked._authorizer._tokens.clear()
    for question in (
        lambda: asked.probe().data,
        lambda: asked.image_config(reference, "linux/amd64"),
        lambda: asked.digest_of(tagged),
        lambda: _whole(asked.pushed(reference)),
        lambda: asked.tag(reference, "2"),
        lambda: asked.may_push("a/b"),
        lambda: asked.mount("a/b", "sha256:0", "c/d"),
        lambda: layers_in(asked, tagged),
        lambda: in_registry(asked, tagged, 1),
    ):
        asked._transport._opener = _opener(content.split(NEXT))
        with suppress(UpliftError):
            question()


def _whole(pushed: Any) -> None:
    if isinstance(pushed, registries.Pushed):
        str((pushed.complete, pushed.size))
    else:
        registries.failure_of(pushed, "registry.test")


def page(content: bytes) -> None:
    """A page of an index, or of links, on which a step of a build looks for a wheel."""
    out = _folder() / "wheels"
    inventory = _file("inventory.json", _INVENTORY)
    command = ["prebuilt.py", "--page", "https://pages.test/a/", "--package", "torch-scatter", "--version", "2.1.2+x"]
    for kind in ("text/html", "application/vnd.pypi.simple.v1+json"):
        with (
            mock.patch.object(download, "opened", return_value=_Answer(content, kind)),
            mock.patch.object(download, "fetch", lambda _url, target, **_: target.write_bytes(b"")),
            mock.patch.object(download, "CACHE", _folder() / "cache"),
            mock.patch.object(download, "LIST", _folder() / "files.json"),
            mock.patch.object(sys, "argv", [*command, "--inventory", str(inventory), "--out", str(out)]),
            redirect_stdout(io.StringIO()),
            suppress(SystemExit),
        ):
            prebuilt.main()
        for path in out.iterdir() if out.is_dir() else ():
            path.unlink()
        if [path.name for path in _folder().iterdir() if path.suffix == ".whl"]:
            raise AssertionError("a wheel outside of its folder")


_INVENTORY = json.dumps(
    {
        "python": "3.10.14",
        "packages": {},
        "editable": {},
        "requires": {},
        "platform": {"implementation": "cpython", "machine": "x86_64", "glibc": "2.35"},
    }
).encode()


class _Answer(io.BytesIO):
    """What a server says."""

    def __init__(self, content: bytes, kind: str) -> None:
        super().__init__(content)
        self.headers = {"Content-Type": kind}

    def geturl(self) -> str:
        """The address that was asked."""
        return "https://pages.test/a/"


def _asked(read: records.Results) -> None:
    """Ask a record of a bake for all that it has, and report on it in every form."""
    for name in read.targets:
        read.digest_of(name)
        read.busy(name)
        read.overlap(name, name)
    made = make_report(read, None)
    for form in ("text", "json", "trace", *(["html"] if made.wall % 8 < 1 else [])):  # of HTML the template takes long
        _text(made, form)


def report(content: bytes) -> None:
    """What a verification left."""
    _file(reports.REPORT, content)
    read = reports.read_report(_folder(), image="x:1")
    held = reports.held_against(read, json.loads(verify_json(_known("demo"))))
    reports.as_json(held)
    junit.as_junit(held)
    if len(content) < 1 << 20:
        reports.show_table(Reporter(stdout=io.StringIO(), stderr=io.StringIO()), held)
    reports.require_passed(held)


def model(content: bytes) -> None:
    """A file of a model, as far as it is read without torch."""
    path = _file("model.pt", content)
    checkpoints._is_checkpoint(str(path))
    forms.read(str(path))


def source(content: bytes) -> None:
    """A file of source that may call torch.load."""
    path = _file("source.py", content)
    for item in source_files.look_at(str(path)):
        if item.source is None:
            continue
        result = torch_load.transform(item.source)
        if result.error and "can't be followed" in result.error:
            raise AssertionError(result.error)
        if result.error is None and torch_load.transform(result.source).edits:
            raise AssertionError("edited twice")
        list(text_mentions.lines(item.source.decode("utf-8", "replace")))


def log(content: bytes) -> None:
    """A log of anything."""
    text = content.decode("utf-8", "replace")
    diagnose(text.splitlines(keepends=True))
    for speaker in Speaker:
        find_cause(text, speaker=speaker)
