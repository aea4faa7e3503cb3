"""Asks the mirrors of this site whether they answer."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from bake.address import shown
from bake.doctor.finding import Engine, Finding, Subject, error, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "mirrors"
_TIMEOUT = 5.0  # seconds


def check(subject: Subject, _engine: Engine) -> Iterator[Finding]:
    """Ask each address once; any answer but a server's error shows that the mirror is there."""
    if not subject.mirrors:
        return
    import requests

    from bake.assets.transfer import open_session, reason_of

    with open_session(subject.ca_bundle, subject.netrc) as session:
        for address in subject.mirrors:
            url = shown(address)
            try:
                with session.get(address, timeout=_TIMEOUT, stream=True) as response:
                    status, text = response.status_code, f"{response.status_code} {response.reason}"
            except requests.RequestException as failure:
                yield error(
                    NAME,
                    f"the mirror {url} can't be reached ({reason_of(failure).replace(address, url)})",
                    "start it, or mend its address in the site file; a private CA goes into --ca-bundle",
                )
                continue
            if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                yield warning(
                    NAME, f"the mirror {url} asks for a login ({text})", "put it into ~/.netrc, or the file of --netrc"
                )
            elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                yield error(NAME, f"the mirror {url} answers with an error ({text})", "look at the mirror's log")
            else:
                # A prefix of addresses need not be a page itself: 404 is an answer.
                yield ok(NAME, f"the mirror {url} answers")
