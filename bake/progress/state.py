"""Turns rawjson lines into events and the state of every target; pure: no clock, no terminal, no engine."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bake.progress import rawjson
from bake.progress.escapes import without_escapes
from bake.progress.events import (
    Event,
    State,
    Step,
    StepAnnounced,
    StepBytes,
    StepEnded,
    StepKind,
    StepLog,
    StepStarted,
    Text,
    Warned,
)
from bake.progress.facts import parse_fact

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bake.bakefile import BakeFile

LOG_LINES_KEPT = 200  # per step; an nvcc error with its template notes fits
TEXT_LINES_KEPT = 400

_BRACKET = re.compile(r"\[([^\]]*)\] ?(.*)", re.DOTALL)
_POSITION = re.compile(r"(\d+)/(\d+)")
_FIRST_STEP_OF_A_TARGET = "load build definition"
_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9]+(/v?[0-9a-z]+)?(->.*)?")
_CANCELLED = re.compile(r"context canceled|context cancelled|code = Canceled", re.IGNORECASE)
_KINDS = (
    (re.compile(r"(importing|exporting|preparing build) cache"), StepKind.CACHE),
    (re.compile(r"(exporting|pushing|unpacking|copying files|sending tarball|naming to)\b"), StepKind.EXPORT),
    (re.compile(r"(load|resolve|auth|booting|importing)\b"), StepKind.INTERNAL),
)


@dataclass(frozen=True, kw_only=True)
class TargetProgress:
    """Where a target stands: steps done of the steps known so far, the step that runs longest, what it waits for."""

    name: str
    state: State
    done: int
    total: int
    cached: int
    started: float | None
    completed: float | None
    current: Step | None
    waits_for: tuple[str, ...] = ()

    def seconds(self, now: float) -> float:
        """Seconds since its first step started, until its last step ended or ``now``."""
        if self.started is None:
            return 0.0
        end = self.completed if self.state.ended and self.completed is not None else now
        return max(0.0, end - self.started)


class Progress:
    """The state of one bake, fed line by line.

    Args:
        names: what the bake file declares. Target names settle whether ``[torch 2/3]`` means a target or a stage; links
            settle to which target a shared step belongs.
        requested: names asked for; the single-target form gives no name, so the only one of these is it.

    """

    def __init__(self, *, names: BakeFile, requested: Iterable[str] = ()) -> None:
        self._known = frozenset(names.targets)
        self._needs = {name: names.needs(name) for name in names.targets}
        self._sole = next(iter(requested), "default")
        self._prefixed: bool | None = None  # unknown until the first name tells
        self._steps: dict[tuple[str, str], Step] = {}
        self._loads_cancelled: set[tuple[str, str]] = set()
        self._by_digest: dict[str, list[tuple[str, str]]] = {}
        self._bytes: dict[str, dict[str, tuple[int, int]]] = {}
        self._logs: dict[str, deque[str]] = {}
        self._partial: dict[tuple[str, int], str] = {}
        self._seen_logs: dict[str, deque[tuple[str, int, str]]] = {}
        self._text: deque[str] = deque(maxlen=TEXT_LINES_KEPT)

    def feed(self, line: str, *, now: float) -> list[Event]:
        """Take one line in; returns what it changed, in order. Never raises on strange lines."""
        parsed = rawjson.parse_line(line)
        if isinstance(parsed, str):
            if not parsed.strip():
                return []
            self._text.append(parsed)
            return [Text(at=now, line=parsed)]
        events: list[Event] = []
        for vertex in parsed.vertexes:
            events += self._vertex(vertex, now)
        for status in parsed.statuses:
            events += self._status(status, now)
        for log in parsed.logs:
            events += self._log(log, now)
        events += [
            Warned(at=now, message=warning.short, file=warning.file, line=warning.line, url=warning.url)
            for warning in parsed.warnings
        ]
        return events

    def settle(self, now: float) -> list[Event]:
        """Take the end of a build that went well: every result is there, so nothing that is needed was cancelled.

        BuildKit cancels a step for a target that turns out to need no more of it (a merged layer that only another
        target unpacks), and does it for that other one. Likewise it gives up fetching what a cache had.
        """
        events: list[Event] = []
        for key, step in self._steps.items():
            if step.state is State.CANCELLED:
                state = State.CACHED if key in self._loads_cancelled else State.DONE
                self._steps[key] = replace(step, state=state, error="")
                events.append(StepAnnounced(at=now, step=self._steps[key]))
        return events

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, in the order in which they were announced."""
        return tuple(self._steps.values())

    @property
    def text(self) -> tuple[str, ...]:
        """The plain lines of the client, the newest at the end."""
        return tuple(self._text)

    def log_tail(self, digest: str, lines: int = LOG_LINES_KEPT) -> tuple[str, ...]:
        """The last output lines of a step."""
        return tuple(self._logs.get(digest, ()))[-lines:]

    def targets(self) -> tuple[TargetProgress, ...]:
        """Every target seen so far, in the order of appearance."""
        grouped: dict[str, list[Step]] = {}
        for step in self._steps.values():
            if step.target:
                grouped.setdefault(step.target, []).append(step)
        return tuple(target_progress(name, steps) for name, steps in grouped.items())

    def failed(self) -> tuple[Step, ...]:
        """Steps whose own failure this is: once each, without cancelled siblings.

        A cache that can't be read fails no build, and one that can't be written only where nothing else failed.
        """
        failed = [step for step in self._steps.values() if step.state is State.FAILED and not step.shared]
        caches = [step for step in failed if step.kind is StepKind.CACHE and not step.label.startswith("importing")]
        return tuple([step for step in failed if step.kind is not StepKind.CACHE] or caches)

    def _vertex(self, vertex: rawjson.Vertex, now: float) -> list[Event]:
        key = (vertex.digest, vertex.name)
        events: list[Event] = []
        if key not in self._steps:
            events += [StepAnnounced(at=now, step=step) for step in self._announce(key)]
        old = self._steps[key]
        completed = vertex.completed
        if completed is None and vertex.started is None:
            completed = old.completed
        step = replace(
            old,
            started=old.started if old.started is not None else vertex.started,
            completed=completed,
            error=vertex.error or old.error,
            state=_state(vertex, old),
        )
        self._steps[key] = step
        if step.state is old.state:
            return events
        self._loads_cancelled.discard(key)
        if step.state is State.CANCELLED and vertex.cached:
            self._loads_cancelled.add(key)
        if step.state is State.RUNNING or (step.state.ended and old.state is State.WAITING and not vertex.cached):
            events.append(StepStarted(at=now, step=step))
        if step.state.ended:
            events += [*self._rest_of_log(step, now), StepEnded(at=now, step=step)]
        return events

    def _announce(self, key: tuple[str, str]) -> list[Step]:
        """Take a new step in; gives it, and those that change hands because of it.

        A shared step belongs to the one of its targets that the others need, to the first when none is so.
        """
        digest, name = key
        self._steps[key] = self._new_step(digest, name)
        keys = self._by_digest.setdefault(digest, [])
        keys.append(key)
        targets = [self._steps[other].target for other in keys]
        free = [target for target in targets if not self._needs.get(target, frozenset()) & set(targets)]
        owner = (free or targets)[0]
        changed = [other for other in keys if self._steps[other].owner != owner]
        for other in changed:
            self._steps[other] = replace(self._steps[other], owner=owner)
        return [self._steps[other] for other in dict.fromkeys((*changed, key))]

    def _new_step(self, digest: str, name: str) -> Step:
        """Take the name apart: ``[target stage n/m] label``, ``[target] label``, or without target when it is alone."""
        match = _BRACKET.fullmatch(name)
        words = match[1].split() if match else []
        label = match[2] if match else name
        if self._prefixed is None and words:
            if words[0] in self._known:
                self._prefixed = True
            elif label.startswith(_FIRST_STEP_OF_A_TARGET):
                self._prefixed = False
        target = self._sole if self._prefixed is False else ""  # "": reads the bake file, boots a builder
        if self._prefixed and words and words[0] in self._known:
            target, *words = words
        position: tuple[int, int] | None = None
        if words and (found := _POSITION.fullmatch(words[-1])):
            position = (int(found[1]), int(found[2]))
            words = words[:-1]
        words = [word for word in words if not _PLATFORM.fullmatch(word)]
        return Step(
            digest=digest,
            name=name,
            target=target,
            owner=target,
            stage=" ".join(words),
            position=position,
            label=label,
            kind=_kind(words, position, label),
        )

    def _status(self, status: rawjson.Status, now: float) -> list[Event]:
        parts = self._bytes.setdefault(status.vertex, {})
        total = max(status.total, status.current)
        parts[status.id] = (status.current, total)
        current, total = (sum(column) for column in zip(*parts.values(), strict=True))
        events: list[Event] = []
        for key in self._by_digest.get(status.vertex, ()):
            step = self._steps[key]
            if (step.current, step.total) == (current, total):
                continue
            step = replace(step, current=current, total=total)
            self._steps[key] = step
            events.append(StepBytes(at=now, step=step))
        return events

    def _log(self, log: rawjson.Log, now: float) -> list[Event]:
        keys = self._by_digest.get(log.vertex)
        if not keys or self._repeated(log):
            return []
        *lines, rest = (self._partial.pop((log.vertex, log.stream), "") + log.data).split("\n")
        if rest:
            self._partial[log.vertex, log.stream] = rest[-65536:]
        step = next((self._steps[key] for key in keys if not self._steps[key].shared), self._steps[keys[0]])
        return self._said(step, lines, now)

    def _rest_of_log(self, step: Step, now: float) -> list[Event]:
        """The last piece of output, when it has no line end."""
        rests = [self._partial.pop((step.digest, stream), "") for stream in (1, 2)]
        return self._said(step, [rest for rest in rests if rest], now)

    def _said(self, step: Step, lines: Iterable[str], now: float) -> list[Event]:
        """Lines of output; of a fact people see what it says."""
        tail = self._logs.setdefault(step.digest, deque(maxlen=LOG_LINES_KEPT))
        events: list[Event] = []
        for line in map(_shown, lines):
            fact = parse_fact(line)
            tail.append(fact.says if fact else line)
            events.append(StepLog(at=now, step=step, line=tail[-1], fact=fact))
        return events

    def _repeated(self, log: rawjson.Log) -> bool:
        """A step that several targets share reports its output once for each of them."""
        if len(self._by_digest.get(log.vertex, ())) < 2 or not log.timestamp:  # noqa: PLR2004 - shared
            self._remember(log)
            return False
        if (log.timestamp, log.stream, log.data) in self._seen_logs.get(log.vertex, ()):
            return True
        self._remember(log)
        return False

    def _remember(self, log: rawjson.Log) -> None:
        seen = self._seen_logs.setdefault(log.vertex, deque(maxlen=64))
        seen.append((log.timestamp, log.stream, log.data))


def _shown(line: str) -> str:
    """Give what a terminal would show at last: no colours, the last state of a progress bar."""
    return without_escapes(line.rstrip("\r").rsplit("\r", 1)[-1])


def is_cancellation(error: str) -> bool:
    """True for the error that BuildKit gives to steps it stopped because of another one."""
    return bool(_CANCELLED.search(error))


def _state(vertex: rawjson.Vertex, old: Step) -> State:
    if vertex.error and is_cancellation(vertex.error):
        return State.CACHED if old.state is State.CACHED else State.CANCELLED
    if vertex.error:
        return State.FAILED
    # What comes from a remote cache is reported again while it is fetched.
    if old.state is State.CACHED or (vertex.cached and vertex.completed is not None):
        return State.CACHED
    if vertex.completed is not None:
        return State.DONE
    if vertex.started is not None and not vertex.cached:  # one that is loaded from the cache starts too
        return State.RUNNING
    return old.state


def _kind(words: list[str], position: tuple[int, int] | None, label: str) -> StepKind:
    for pattern, kind in _KINDS:
        if position is None and pattern.match(label):
            return kind
    if words and words[-1] in {"internal", "auth"}:
        return StepKind.INTERNAL
    return StepKind.INSTRUCTION if position else StepKind.OTHER


def target_progress(name: str, steps: list[Step]) -> TargetProgress:
    """Sum up a target by its own steps; by all that it needs when others brought in everything."""
    own = [step for step in steps if not step.shared]
    counted = own if any(step.kind is StepKind.INSTRUCTION for step in own) else steps
    ended = [step for step in counted if step.state.ended]
    starts = [step.started for step in own if step.started is not None and step.kind is not StepKind.INTERNAL]
    ends = [step.completed for step in counted if step.completed is not None]
    running = [step for step in own if step.state is State.RUNNING]
    return TargetProgress(
        name=name,
        state=_target_state(counted),
        done=len(ended),
        total=len(counted),
        cached=sum(step.cached for step in counted),
        started=min(starts, default=None),
        completed=max(ends, default=None),
        current=min(running, key=lambda step: step.started or 0.0, default=None),
        waits_for=tuple(
            dict.fromkeys(step.owner for step in steps if step.shared and not step.state.ended and step.owner)
        ),
    )


def _target_state(steps: list[Step]) -> State:
    states = {step.state for step in steps if step.kind is not StepKind.CACHE or step.state is not State.FAILED}
    instructions = [step for step in steps if step.kind is StepKind.INSTRUCTION]
    for decisive in (State.FAILED, State.RUNNING, State.CANCELLED):
        if decisive in states:
            return decisive
    if State.WAITING in states or not instructions:
        begun = any(step.state.ended for step in instructions)
        return State.RUNNING if begun else State.WAITING
    return State.CACHED if all(step.cached for step in instructions) else State.DONE
