"""Runs ``docker buildx bake`` and turns its stream into events, an outcome, a results file and clear failures."""

from __future__ import annotations

import dataclasses
import json
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bake.bakefile import read_bake_file
from bake.buildx.client import Client, require_docker
from bake.errors import BuildFailed, DeadlineReached, Interrupted, UpliftError
from bake.failure.explain import FailedStep, explain, failed_steps
from bake.progress.events import BakeEnded, BakeStarted, Cancelling, Event, State, Step, StepLog, StepStarted, Tick
from bake.progress.state import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bake.progress.facts import Fact

TICK = 0.1  # seconds between two ticks without output
_FIXED = {
    # The metadata file would hold build arguments otherwise.
    "BUILDX_METADATA_PROVENANCE": "disabled",
    # Default provenance changes the digest on every run; what is wanted stands in the bake file as `attest`.
    "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
    # buildx would ask git several times for each target, for a provenance that is not made.
    "BUILDX_GIT_INFO": "false",
    # "View build details" and usage hints are not for a program.
    "DOCKER_CLI_HINTS": "false",
}


@dataclass(frozen=True, kw_only=True)
class BakeRequest:
    """What to bake.

    Args:
        file: the bake file. targets: targets or groups; none means the group ``default``.
        variables: values of HCL variables. overrides: ``--set`` values, ``{"image.tags": "…"}``.
        builder: buildx builder, None for the current one. no_cache, push: as in buildx.
        metadata_file: where buildx writes digests when the bake succeeds. allow, allow_write: paths outside the
            context folder that the build may read (``--allow=fs.read=``) or write. context: working directory of
            buildx, the bake file's folder when None. environment: more environment variables for the client
            (``DOCKER_HOST``…). refuse: tells of a step that starts to run, not one that is cached, whether it may
            not; the build is ended then. deadline: when the build is ended if it is not done, in seconds since 1970.

    """

    file: Path
    targets: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    overrides: Mapping[str, str] = field(default_factory=dict)
    builder: str | None = None
    no_cache: bool = False
    push: bool = False
    metadata_file: Path | None = None
    allow: tuple[Path, ...] = ()
    allow_write: tuple[Path, ...] = ()
    context: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    refuse: Callable[[Step], bool] | None = None
    deadline: float | None = None


@dataclass(frozen=True, kw_only=True)
class BakeOutcome:
    """How a bake went.

    ``started`` and ``completed`` are seconds since the epoch; ``metadata`` is what buildx wrote, by target (empty
    unless it succeeded and a metadata file was asked for); ``failure`` is None on success; ``failed`` are the steps
    that failed of themselves; ``refused`` those that started and may not run. ``facts``: what the scripts inside the
    build told, each with its target.
    """

    request: BakeRequest
    state: State
    started: float
    completed: float
    steps: tuple[Step, ...]
    metadata: Mapping[str, Any]
    failure: UpliftError | None = None
    failed: tuple[FailedStep, ...] = ()
    refused: tuple[Step, ...] = ()
    facts: tuple[tuple[str, Fact], ...] = ()

    @property
    def seconds(self) -> float:
        """Wall time of the bake."""
        return self.completed - self.started

    def raise_for_failure(self) -> BakeOutcome:
        """Return self, or raise what went wrong."""
        if self.failure is not None:
            raise self.failure
        return self


def run_bake(request: BakeRequest, listener: Callable[[Event], None]) -> BakeOutcome:
    """Bake, telling ``listener`` of every event from the calling thread.

    SIGINT and SIGTERM end the build (in the main thread; handlers are put back afterwards), and so does its deadline.
    The outcome of a failed or cancelled bake is returned too, with the reason in ``failure``: write the results, then
    ``raise_for_failure()``.

    Raises:
        UsageError: the bake file cannot be read.
        EnvironmentUnfit: there is no docker command.

    """
    names = read_bake_file(request.file)
    require_docker()
    started = time.time()
    progress = Progress(names=names, requested=request.targets or ("default",))
    listener(BakeStarted(at=started, targets=request.targets or ("default",)))
    signals: list[signal.Signals] = []
    refused: list[Step] = []
    facts: list[tuple[str, Fact]] = []
    client = Client(
        lambda docker: _bake(docker, request),
        directory=(request.context or request.file.parent).resolve(),
        hidden=tuple(name for name in names.variables if name not in request.variables),
    )
    if request.metadata_file is not None:
        request.metadata_file.unlink(missing_ok=True)
    with _on_signal(signals, client), client:
        announced = 0
        late = False
        for line in client.lines(TICK):
            for name in signals[announced:]:
                listener(Cancelling(at=time.time(), signal=name.name))
            announced = len(signals)
            if not late and _is_late(request, client, progress):
                late = True
                client.stop()
                listener(Cancelling(at=time.time(), signal="the deadline"))
            events = progress.feed(line, now=time.time()) if line is not None else ()
            for event in events:
                listener(event)
                if isinstance(event, StepLog) and event.fact is not None:
                    facts.append((event.step.owner, event.fact))
                if isinstance(event, StepStarted) and request.refuse and request.refuse(event.step):
                    if not refused:
                        client.stop()
                    refused.append(event.step)
            listener(Tick(at=time.time()))
    if client.exit_status == 0 and not signals and not refused:
        for event in progress.settle(time.time()):
            listener(event)
    outcome = _outcome(request, client, progress, started, signals, refused, late=late)
    outcome = dataclasses.replace(outcome, facts=tuple(facts))
    listener(BakeEnded(at=outcome.completed, state=outcome.state, seconds=outcome.seconds, failed=progress.failed()))
    return outcome


def _is_late(request: BakeRequest, client: Client, progress: Progress) -> bool:
    """Tell whether the deadline ends a build; one that has failed, or is over, ends by itself."""
    if request.deadline is None or time.time() < request.deadline:
        return False
    return client.exit_status is None and not progress.failed()


def _bake(docker: Any, request: BakeRequest) -> Iterator[str]:
    """Start ``buildx bake``; python-on-whales has no parameter for --allow, but passes targets through."""
    allowed = [f"--allow=fs.read={path}" for path in request.allow]
    allowed += [f"--allow=fs.write={path}" for path in request.allow_write]
    stream: Iterator[str] = docker.buildx.bake(
        targets=[*allowed, *request.targets],
        builder=request.builder,
        files=[request.file.resolve()],
        cache=not request.no_cache,
        push=request.push,
        progress="rawjson",
        set=dict(request.overrides),
        variables={**_FIXED, **request.environment, **request.variables},
        metadata_file=request.metadata_file.resolve() if request.metadata_file else None,
        stream_logs=True,
    )
    return stream


@contextmanager
def _on_signal(signals: list[signal.Signals], client: Client) -> Iterator[None]:
    """Note SIGINT and SIGTERM, stop the client on each, and put the handlers back afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, _frame: object) -> None:
        signals.append(signal.Signals(number))
        client.stop()

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def _outcome(
    request: BakeRequest,
    client: Client,
    progress: Progress,
    started: float,
    signals: list[signal.Signals],
    refused: list[Step],
    *,
    late: bool,
) -> BakeOutcome:
    if client.failure is not None:
        raise client.failure
    state = State.DONE
    failure: UpliftError | None = None
    failed: tuple[FailedStep, ...] = ()
    if signals:  # also when the build was done by then: who asked for the end wants nothing more to start
        state = State.CANCELLED
        failure = Interrupted(f"the build was cancelled by {signals[0].name}; finished steps stay in the cache")
    elif refused:
        state = State.FAILED
        names = ", ".join(dict.fromkeys(f"{step.target}: {step.title}" for step in refused))
        failure = BuildFailed(f"these steps are not cached, and may not run here: {names}")
    elif late and client.exit_status != 0:  # it may have been done by then
        state = State.CANCELLED
        failure = DeadlineReached(
            "the deadline came before the build was done; finished steps stay in the cache",
            remedy="run the same command again: it goes on from what this builder and the registry keep",
        )
    elif client.exit_status != 0:
        state = State.FAILED
        failed = failed_steps(progress, lambda target: _dockerfile_of(target, request))
        failure = explain(failed, progress.text, client.exit_status)
    return BakeOutcome(
        request=request,
        state=state,
        started=started,
        completed=time.time(),
        steps=progress.steps,
        metadata=_metadata(request.metadata_file) if state is State.DONE else {},
        failure=failure,
        failed=failed,
        refused=tuple(refused),
    )


def _dockerfile_of(target: str, request: BakeRequest) -> str:
    """Path of a target's Dockerfile, asked of ``bake --print``; "" when it cannot be told."""
    from python_on_whales import DockerClient, DockerException

    try:
        printed: Any = DockerClient().buildx.bake(
            targets=[target], files=[request.file.resolve()], print=True, variables=dict(request.variables)
        )
        definition = printed["target"][target]
    except (DockerException, KeyError, TypeError, ValueError):
        return ""
    if "dockerfile-inline" in definition:
        return ""
    folder = Path(definition.get("context", ".")) / definition.get("dockerfile", "Dockerfile")
    full = (request.context or request.file.parent).resolve() / folder
    if not full.is_file():
        return str(folder)
    return str(full.relative_to(Path.cwd()) if full.is_relative_to(Path.cwd()) else full)


def _metadata(path: Path | None) -> Mapping[str, Any]:
    if path is None:
        return {}
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    entries = read.items() if isinstance(read, dict) else ()
    return {name: entry for name, entry in entries if isinstance(entry, dict)}  # beside the targets there are warnings
