"""What can go wrong, and the exit status that each kind of failure has.

The exit statuses are a contract: 0 done, 1 the build failed, 2 wrong usage or recipe, 3 the surroundings
(engine, registry, disk, asset) are not fit, 4 verification failed, 5 the deadline came first, 130 interrupted.
"""

from __future__ import annotations

from typing import ClassVar


class UpliftError(Exception):
    """A failure that a user can cause or mend; shown without a traceback.

    Args:
        message: what happened, in one sentence.
        where: the place: ``file:line``, a target and step, an image, an address.
        remedy: what to do about it.
    """

    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, *, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.message}" if self.where else self.message]
        if self.remedy:
            lines.append(f"  what to do: {self.remedy}")
        return "\n".join(lines)


class BuildFailed(UpliftError):
    """A step of the build failed."""

    exit_status = 1


class Drifted(UpliftError):
    """What is recorded is not what is there today: ``lock --check``."""

    exit_status = 1


class UsageError(UpliftError):
    """The command line or the recipe is wrong."""

    exit_status = 2


class EnvironmentUnfit(UpliftError):
    """The engine, a registry, the disk or an asset is not fit for the job."""

    exit_status = 3


class VerificationFailed(UpliftError):
    """The image was built, and a check on it failed."""

    exit_status = 4


class DeadlineReached(UpliftError):
    """The build was not done when its deadline came; what it had compiled is kept, and the next one goes on."""

    exit_status = 5


class Interrupted(UpliftError):
    """The user, or the system, asked for an end (SIGINT, SIGTERM)."""

    exit_status = 130
