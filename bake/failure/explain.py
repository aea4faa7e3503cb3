"""What a failed bake says at its end: which target, which step, which line, and the step's last output."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from bake.errors import BuildFailed, EnvironmentUnfit, UpliftError
from bake.failure.causes import Known, Speaker, find_cause

if TYPE_CHECKING:
    from collections.abc import Callable

    from bake.progress.events import Step
    from bake.progress.state import Progress

LOG_LINES_SHOWN = 25
_PLACE = re.compile(r"(?P<file>[^\s:]+):(?P<line>\d+)")
_PROCESS = re.compile(r"did not complete successfully: exit code: (?P<code>\d+)")
_AGAIN = "run the same command again: steps that finished are cached"
_RETRY = f"mend it and {_AGAIN}"
_KILLED = 128 + 9


@dataclass(frozen=True, kw_only=True)
class FailedStep:
    """A step that failed of itself.

    ``file`` is the Dockerfile's path and ``line`` its 1-based line, "" and None when BuildKit did not say; ``log``
    holds the last lines of the step's output; ``known`` is the cause that the table knows for it.
    """

    target: str
    step: str
    error: str
    file: str
    line: int | None
    log: tuple[str, ...]
    known: Known | None = None

    @property
    def where(self) -> str:
        """The place, for people."""
        place = f"{self.file}:{self.line}, " if self.file and self.line else ""
        return f"{place}target {self.target}" if self.target else place.rstrip(", ") or "bake"


def failed_steps(progress: Progress, dockerfile_of: Callable[[str], str]) -> tuple[FailedStep, ...]:
    """Sum up the steps that failed of themselves; cancelled siblings are left out.

    Args:
        dockerfile_of: gives the path of a target's Dockerfile, "" when it cannot be told.

    """
    failed = progress.failed()
    place = _place(progress.text)
    paths = {step.target: dockerfile_of(step.target) for step in failed} if place else {}
    return tuple(_failed_step(step, progress, place, paths.get(step.target, "")) for step in failed)


def explain(steps: tuple[FailedStep, ...], text: tuple[str, ...], exit_status: int | None) -> UpliftError:
    """Turn a failed bake into the failure to raise.

    Args:
        steps: what failed. text: the client's plain lines. exit_status: of the client.

    """
    for step in steps:
        if (unfit := _unfit(step)) is not None:
            return unfit
    if steps:
        first = steps[0]
        known = next((step.known for step in steps if step.known), None)
        remedy = f"{known.remedy}; then {_AGAIN}" if known else _RETRY
        return BuildFailed("\n".join(_summary(steps)), where=first.where, remedy=remedy)
    if (known := find_cause("\n".join(text), speaker=Speaker.ENGINE)) is not None:
        return known.failure(f"{known.message}\n{_indented(_last_error(text))}", remedy=known.remedy)
    if exit_status in (_KILLED, -9):
        return EnvironmentUnfit("the docker client was killed", remedy="was memory short? run the same command again")
    return BuildFailed(_last_error(text) or f"buildx ended with status {exit_status} and said nothing", remedy=_RETRY)


def _failed_step(step: Step, progress: Progress, place: tuple[str, int] | None, path: str) -> FailedStep:
    matches = place is not None and (not path or path.rsplit("/", 1)[-1] == place[0].rsplit("/", 1)[-1])
    return FailedStep(
        target=step.target,
        step=step.title,
        error=step.error,
        file=(path or place[0]) if place and matches else "",
        line=place[1] if place and matches else None,
        log=progress.log_tail(step.digest, LOG_LINES_SHOWN),
        known=_known(step.title, step.error, progress.log_tail(step.digest)),
    )


def _known(title: str, error: str, log: tuple[str, ...]) -> Known | None:
    """The known cause of a failed step: BuildKit's error names it, or the output of the program that ended."""
    if not _PROCESS.search(error):
        return find_cause(f"{title}: {error}", speaker=Speaker.ENGINE)
    return find_cause("\n".join((*log, error)), speaker=Speaker.PROGRAM)


def _unfit(step: FailedStep) -> UpliftError | None:
    """The failure when the surroundings caused it."""
    if step.known is None or not issubclass(step.known.failure, EnvironmentUnfit):
        return None
    lines = [step.known.message, f"  step: {step.step}", *(f"  error: {line}" for line in step.error.splitlines())]
    lines += [f"  | {line}" for line in step.log[-5:]]
    return step.known.failure("\n".join(lines), where=step.where, remedy=step.known.remedy)


def _summary(steps: tuple[FailedStep, ...]) -> list[str]:
    lines: list[str] = []
    for number, step in enumerate(steps):
        code = _PROCESS.search(step.error)
        how = f"exit code {code['code']}" if code else step.error
        head = "the step failed" if number == 0 else f"{step.where}: this step failed too"
        lines += [f"{head} ({how})", f"  step: {step.step}"]
        if step.log:
            lines += ["  its last output:", *(f"  | {line}" for line in step.log)]
        elif code:
            lines.append("  it printed nothing")
        if step.known:
            lines.append(f"  known cause: {step.known.message}")
    return lines


def _place(text: tuple[str, ...]) -> tuple[str, int] | None:
    """File name and line of BuildKit's excerpt: ``Dockerfile:12`` above a row of dashes."""
    for line, following in pairwise(text):
        match = _PLACE.fullmatch(line.strip())
        if match and set(following.strip()) == {"-"}:
            return match["file"], int(match["line"])
    return None


def _last_error(text: tuple[str, ...]) -> str:
    for line in reversed(text):
        if line.startswith("ERROR: "):
            return line.removeprefix("ERROR: ")
    return text[-1] if text else ""


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
