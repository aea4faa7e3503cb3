"""What may pass when a registry is written to, and what will not: told from BuildKit's texts and from answers.

Texts are those of Go's net packages, of containerd's resolver (``unexpected status from PUT request to …``) and of
BuildKit's push.
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from time import time
from typing import TYPE_CHECKING

from bake.registry.answer import Outcome
from bake.retry import Trouble
from bake.units import number_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bake.registry import Answer

_LOGINS = 2  # tries in a row for a login that is refused after it was taken: an expired token is fetched anew
_STATUS = re.compile(r"unexpected status[^\n]*?: (?P<status>\d{3})\b(?P<reason>[^\n]{0,60})")
_ENGINE = re.compile(r"error reading from server|docker\.sock|code = Unavailable|transport is closing")
_PASSING: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"connection reset by peer|broken pipe|forcibly closed"), "the connection was reset"),
    (re.compile(r"\bEOF\b|use of closed network connection|server closed idle connection"), "the connection broke"),
    (re.compile(r"i/o timeout|TLS handshake timeout|deadline exceeded|Client\.Timeout"), "no answer in time"),
    (re.compile(r"connect: connection refused"), "the registry refuses the connection"),
    (re.compile(r"no route to host|network is unreachable"), "the registry cannot be reached"),
    (re.compile(r"server misbehaving|Temporary failure in name resolution"), "the name server does not answer"),
    (re.compile(r"stream error: |GOAWAY|http2: "), "the connection broke"),
    (re.compile(r"(?i:toomanyrequests)"), "429: the registry limits how often it may be asked"),
)


def of_text(text: str) -> Trouble:
    """Judge BuildKit's error of a push that had been proven to be allowed."""
    statuses = [(int(match["status"]), match["reason"]) for match in _STATUS.finditer(text)]
    if statuses:
        status, reason = statuses[-1]
        return of_status(status, reason.strip())
    # After the statuses: BuildKit tells a registry's 503 with "code = Unavailable" too.
    if _ENGINE.search(text):
        return Trouble(reason="the connection to the engine broke", passing=False)
    for pattern, reason in _PASSING:
        if pattern.search(text):
            return Trouble(reason=reason)
    return Trouble(reason=text.strip().rpartition("\n")[2][:200] or "it failed", passing=False)


def of_status(status: int, reason: str, *, after: float | None = None) -> Trouble:
    """Judge an HTTP status; 401 counts as a token that expired, since the login was taken before."""
    shown = f"{status} {reason}".strip()
    if status == HTTPStatus.UNAUTHORIZED:
        return Trouble(reason=f"the login is no longer taken ({shown})", most=_LOGINS)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Trouble(reason=f"the registry limits how often it may be asked ({shown})", after=after)
    passing = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT
    passing = passing and status != HTTPStatus.NOT_IMPLEMENTED
    return Trouble(reason=f"the registry answered {shown}", passing=passing, after=after)


def of_answer(answer: Answer) -> Trouble | None:
    """Judge an answer of a registry; None: it did what was asked."""
    if answer.outcome is Outcome.ANSWERS:
        return None
    if answer.status:
        reason = answer.detail.removeprefix(str(answer.status)).strip()
        return of_status(answer.status, reason, after=retry_after(answer.headers))
    passing = answer.outcome in (Outcome.TIMEOUT, Outcome.REFUSED, Outcome.UNREACHABLE)
    return Trouble(reason=answer.detail, passing=passing)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of ``Retry-After`` (RFC 9110, 10.2.3): a number or a date; None where there is none."""
    value = headers.get("retry-after", "").strip()
    if (seconds := number_in(value)) is not None:
        return float(seconds)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
