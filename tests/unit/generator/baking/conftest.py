"""A job whose driver builds nothing: it writes down what it is asked, and answers as it was told to."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from bake.buildx.driver import BakeOutcome, BakeRequest
from bake.errors import BuildFailed
from bake.failure.explain import FailedStep
from bake.progress.events import Event, State, Step, StepKind
from generator.console.reporter import Reporter
from generator.job import Job, Preflight, Rendered, Reuse, Wheel, WheelLookup
from generator.plan import build_graph
from generator.plan.keys import Key
from generator.plan.specs import verify_json
from generator.recipe import Recipe
from generator.render import BAKE_FILE
from generator.resolve.facts import Facts
from generator.resolve.signing import Signing, signer_of
from generator.trust import Trust
from generator.trust.keys import public_key
from generator.trust.provenance import hashed
from generator.verification import report
from tests.loopback import Loopback

CONFIGURATION = b'{"os": "linux"}'
DIGEST, CONFIG = f"sha256:{'a' * 64}", f"sha256:{hashlib.sha256(CONFIGURATION).hexdigest()}"
MADE = {"containerimage.digest": DIGEST, "containerimage.config.digest": CONFIG}
ROW = {"check": "version", "subject": "torch", "expected": "2.11.0", "found": "2.11.0", "status": "pass", "detail": ""}

INSTALLED = {
    "schema": 1,
    "os": {"id": "debian", "version": "12"},
    "python": [{"name": "torch", "version": "2.11.0"}],
    "conda": [{"name": "python", "version": "3.11.9", "build": "h955ad1f_0"}],
    "dpkg": [{"name": "libc6", "version": "2.36-9+deb12u10", "architecture": "amd64"}],
}


@dataclass
class Driver:
    """Stands in for buildx; the requests are those that the real driver would get.

    Args:
        fails: by the first target of a request, how it fails. passes: whether verification does. plants: what the
            image's code puts into the exported folder before the report. writes: whether a report is.
        rows: those that pass. made: what buildx tells of the image, one export after the other. then: how the
            requests after the first end, one after the other. configuration: that of the image in an archive; none: no
            image. pushed: digests of what other targets make.
    """

    folder: Path
    requests: list[BakeRequest] = field(default_factory=list)
    fails: dict[str, list[BakeOutcome]] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    passes: bool = True
    plants: Callable[[Path], None] = lambda _folder: None
    writes: bool = True
    made: list[dict[str, str]] = field(default_factory=lambda: [MADE])
    rows: Sequence[dict[str, str]] = ()
    configuration: bytes = CONFIGURATION
    then: list[BakeOutcome] = field(default_factory=list)
    pushed: dict[str, str] = field(default_factory=dict)

    def __call__(self, request: BakeRequest, _listener: Callable[[Event], None]) -> BakeOutcome:
        self.requests.append(request)
        if self.then and len(self.requests) > 1:
            return replace(self.then.pop(0), request=request)
        if waiting := self.fails.get(request.targets[0]):
            return replace(waiting.pop(0), request=request)
        if "verify" in request.targets:
            document = {"schema": 1, "recipe": "demo", "passed": True}
            rows = [*self.rows, *([] if self.passes else [{**ROW, "status": "fail"}])]
            (self.folder / "verify").mkdir(exist_ok=True)
            self.plants(self.folder / "verify")
            if self.writes:
                (self.folder / "verify/report.json").write_text(json.dumps({**document, "rows": rows}))
                (self.folder / "verify/installed.json").write_text(json.dumps(INSTALLED))
        for override in request.overrides.values():
            if "dest=" in override:
                write_archive(Path(override.rpartition("dest=")[2]), self.configuration)
        metadata = {
            target: {"containerimage.digest": self.pushed[target]}
            for target in request.targets
            if target in self.pushed
        }
        if "image" in request.targets:
            metadata["image"] = self.made.pop(0) if len(self.made) > 1 else self.made[0]
        return outcome(request, steps=self.steps, metadata=metadata)

    @property
    def asked(self) -> list[tuple[str, ...]]:
        return [request.targets for request in self.requests]


def write_archive(file: Path, configuration: bytes) -> None:
    """Write an archive as BuildKit does, with the layout of OCI in it."""

    def named(content: bytes) -> str:
        return hashlib.sha256(content).hexdigest()

    manifest = json.dumps({"config": {"digest": f"sha256:{named(configuration)}"}}).encode()
    index = json.dumps({"manifests": [{"digest": f"sha256:{named(manifest)}"}]}).encode()
    blobs = {f"blobs/sha256/{named(content)}": content for content in (configuration, manifest)}
    with tarfile.open(file, "w") as archive:
        for name, content in {**blobs, "index.json": index}.items() if configuration else ():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def outcome(
    request: BakeRequest,
    *,
    failure: str = "",
    failed: tuple[FailedStep, ...] = (),
    refused: tuple[Step, ...] = (),
    steps: tuple[Step, ...] = (),
    metadata: Any = None,
) -> BakeOutcome:
    return BakeOutcome(
        request=request,
        state=State.FAILED if failure else State.DONE,
        started=0.0,
        completed=1.0,
        steps=steps,
        metadata=metadata or {},
        failure=BuildFailed(failure) if failure else None,
        failed=failed,
        refused=refused,
    )


def step(target: str, *, stage: str = "compile", state: State = State.DONE) -> Step:
    return Step(
        digest=f"sha256:{target}-{stage}",
        name=f"[{target} {stage} 1/1] RUN make",
        target=target,
        owner=target,
        stage=stage,
        position=(1, 1),
        label="RUN make",
        kind=StepKind.INSTRUCTION,
        state=state,
    )


WHEEL = Wheel(target="wheel-torch-scatter", extension="torch-scatter", key=Key(target="wheel-torch-scatter", inputs={}))


@pytest.fixture
def driver(tmp_path: Path, demo: Recipe) -> Driver:
    (tmp_path / "build").mkdir()
    wanted = report.wanted(json.loads(verify_json(demo)))
    rows = [{**ROW, "check": check, "subject": subject} for check, subject in wanted]
    return Driver(folder=tmp_path / "build", rows=rows)


@pytest.fixture
def make_job(tmp_path: Path, demo: Recipe, driver: Driver) -> Callable[..., Job]:
    def make(*, stored: str = "", **found: Any) -> Job:
        graph = build_graph(demo)
        folder = tmp_path / "build"
        wheel = replace(WHEEL, reference=stored)
        facts = Facts(
            tag="demo:1",
            registry="",
            base="base:1",
            archs="12.0",
            ca_bundle=None,
            folder=folder,
            progress="json",
            more_tags=("demo:2",),
        )
        return Job(
            reporter=Reporter(),
            recipe=demo,
            facts=facts,
            rendered=Rendered(graph=graph, folder=folder, file=folder / BAKE_FILE, files={}),
            preflight=Preflight(
                **{"base": f"base:1@{DIGEST}", "fetcher": "python:3", "platform": "linux/amd64", **found}
            ),
            reuse=Reuse(
                keys={name: Key(target=name, inputs={}) for name in graph.names},
                lookup=WheelLookup(wheels=(wheel,)),
            ),
            driver=driver,
        )

    return make


Keys = Callable[..., tuple[Path, Path]]
DOCUMENTS = {"recipe": hashed("a recipe"), "lock": hashed("its lock")}


@pytest.fixture
def facts_of(write_keys: Keys, lab: Loopback) -> Callable[..., Facts]:
    """Facts of somebody with a key of his own, who trusts himself, or somebody else."""
    files = {name: write_keys(name) for name in ("lab", "others")}

    def make(signs: str = "", trusts: str = "", **more: Any) -> Facts:
        signer = signer_of(Signing(key=str(files[signs][0]))) if signs else None
        trust = Trust(keys={f"{trusts}.pub": public_key(files[trusts][1])}) if trusts else Trust()
        return Facts(
            tag="demo:1",
            registry=f"{lab.host}/lab",
            base="base:1",
            archs="12.0",
            ca_bundle=None,
            folder=Path("build"),
            progress="json",
            signer=signer,
            trust=trust,
            documents=DOCUMENTS,
            **more,
        )

    return make


FactsOf = Callable[..., Facts]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What is asked of the engine by its API."""
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(
        "generator.baking.delivery.name_image",
        lambda digest, names, context=None: calls.append((digest, names, context)),
    )
    monkeypatch.setattr(
        "generator.baking.delivery.remove_nameless", lambda digest, context: calls.append(("remove", digest, context))
    )
    monkeypatch.setattr("generator.baking.delivery.remove_name", lambda name: calls.append(("forget", name)))
    monkeypatch.setattr("generator.baking.delivery.remove_parts", lambda *_, **__: None)
    monkeypatch.setattr("generator.baking.early_export.remove_name", lambda *_, **__: None)
    return calls
