"""What a bake tells its listener while it runs: frozen events, each with a ``kind`` and plain values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from bake.progress.facts import Fact

_FLAGS = re.compile(r"^(RUN|COPY|ADD)(?: --[a-z-]+(?:=\S+)?)+(?= )")


class State(str, Enum):
    """State of a step, and of a target."""

    WAITING = "waiting"
    RUNNING = "running"
    CACHED = "cached"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """True when nothing more will come."""
        return self not in (State.WAITING, State.RUNNING)


class StepKind(str, Enum):
    """What a step does: an instruction of a Dockerfile, or something that BuildKit adds."""

    INSTRUCTION = "instruction"
    INTERNAL = "internal"
    EXPORT = "export"
    CACHE = "cache"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of a target; keyed by (digest, name), since targets share digests.

    A step that several targets need runs once and is reported for each of them; ``owner`` is the target that it
    belongs to: the one that the others are linked to. ``target`` is "" for what belongs to
    the bake as a whole, such as reading the bake file.

    ``started`` and ``completed`` are seconds since the epoch; ``current`` and ``total`` are the bytes that it
    reports, 0 when it reports none.
    """

    digest: str
    name: str
    target: str
    owner: str
    stage: str
    position: tuple[int, int] | None
    label: str
    kind: StepKind
    state: State = State.WAITING
    started: float | None = None
    completed: float | None = None
    error: str = ""
    current: int = 0
    total: int = 0

    @property
    def shared(self) -> bool:
        """True when the step belongs to another target, and this one only needs it."""
        return self.owner != self.target

    @property
    def title(self) -> str:
        """The step on one line, for people: ``2/3 RUN make``; mounts and other flags are left out."""
        place = f"{self.position[0]}/{self.position[1]} " if self.position else ""
        stage = f"{self.stage} " if self.stage not in ("", "internal") else ""
        label = _FLAGS.sub(r"\1", " ".join(self.label.split()))
        return f"{stage}{place}{label}"

    @property
    def cached(self) -> bool:
        """True when the result came out of the cache."""
        return self.state is State.CACHED

    def seconds(self, now: float | None = None) -> float:
        """Seconds from start to completion, or to ``now`` while it runs; 0 before it starts."""
        if self.started is None:
            return 0.0
        end = self.completed if self.completed is not None else now
        return max(0.0, end - self.started) if end is not None else 0.0


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened at ``at`` (seconds since the epoch)."""

    kind: ClassVar[str] = "event"
    at: float


@dataclass(frozen=True, kw_only=True)
class BakeStarted(Event):
    """The build begins; ``targets`` as asked for."""

    kind: ClassVar[str] = "bake-started"
    targets: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class StepAnnounced(Event):
    """A step became known, or turned out to belong to another target than it seemed."""

    kind: ClassVar[str] = "step-announced"
    step: Step


@dataclass(frozen=True, kw_only=True)
class StepStarted(Event):
    """A step runs."""

    kind: ClassVar[str] = "step-started"
    step: Step


@dataclass(frozen=True, kw_only=True)
class StepEnded(Event):
    """A step ended: cached, done, failed or cancelled."""

    kind: ClassVar[str] = "step-ended"
    step: Step


@dataclass(frozen=True, kw_only=True)
class StepLog(Event):
    """A line of a step's output (a shared step's line comes once), and the fact that it tells, if any."""

    kind: ClassVar[str] = "step-log"
    step: Step
    line: str
    fact: Fact | None = None


@dataclass(frozen=True, kw_only=True)
class StepBytes(Event):
    """A transfer, extraction or push moved on."""

    kind: ClassVar[str] = "step-bytes"
    step: Step


@dataclass(frozen=True, kw_only=True)
class Warned(Event):
    """A warning of the build checks."""

    kind: ClassVar[str] = "warning"
    message: str
    file: str = ""
    line: int | None = None
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class Text(Event):
    """A plain line of the client, such as its error text."""

    kind: ClassVar[str] = "text"
    line: str


@dataclass(frozen=True, kw_only=True)
class Tick(Event):
    """Time passed; sent several times a second so that a display can move on."""

    kind: ClassVar[str] = "tick"


@dataclass(frozen=True, kw_only=True)
class Cancelling(Event):
    """A signal asked for the end; ``signal`` is its name."""

    kind: ClassVar[str] = "cancelling"
    signal: str


@dataclass(frozen=True, kw_only=True)
class BakeEnded(Event):
    """The build ended: done, failed or cancelled."""

    kind: ClassVar[str] = "bake-ended"
    state: State
    seconds: float
    failed: tuple[Step, ...] = field(default=())
